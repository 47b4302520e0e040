"""The tables that are not records by id: outbox, uses of agreements, audit, who is told of it, secrets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from connector.dsp.messages import Kind
from connector.ports import AuditRecord, Envelope, Subscription, Use
from connector.store.connection import Connection, Row
from connector.store.records import MESSAGES, decoder, encode, from_micros, moment, to_micros

ENVELOPE = (
    "id, family, process_id, kind, peer, url, message, correlation_id, created_at, next_try, give_up_at, attempts, "
    "last_error, last_status, purpose, protocol"
)
HEAD = "NOT EXISTS (SELECT 1 FROM outbox AS older WHERE older.process_id = outbox.process_id AND older.seq < outbox.seq)"


class OutboxTable:
    """Outgoing messages. Only the oldest of a process is ever due, so that its peer gets them in order."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._messages: dict[Kind, Callable[[str], Any]] = {kind: decoder(cls) for kind, cls in MESSAGES.items()}

    def add(self, envelope: Envelope, lease: datetime | None = None, /) -> None:
        e = envelope
        give_up_at = None if e.give_up_at is None else to_micros(e.give_up_at)
        times = (to_micros(e.created_at), to_micros(e.next_try), give_up_at)
        head = (e.id, e.family, e.process_id, e.kind, e.peer, e.url, encode(e.message), e.correlation_id)
        tail = (e.attempts, e.last_error, e.last_status, e.purpose, e.protocol, to_micros(lease or e.next_try))
        values = (*head, *times, *tail)
        self._db.run(f"INSERT INTO outbox ({ENVELOPE}, wake_at) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608

    def due(self, now: datetime, limit: int, lease: datetime, /) -> list[Envelope]:
        # `+seq`: without statistics SQLite would rather walk the whole table in order than search the few that are due.
        rows = self._rows(f"WHERE wake_at <= ? AND {HEAD} ORDER BY +seq LIMIT ?", (to_micros(now), limit))
        for envelope in rows:
            self._db.run("UPDATE outbox SET wake_at = ? WHERE id = ?", (to_micros(lease), envelope.id))
        return rows

    def get(self, id: str, /) -> Envelope | None:
        return next(iter(self._rows("WHERE id = ?", (id,))), None)

    def retry(self, envelope: Envelope, /) -> None:
        e, next_try = envelope, to_micros(envelope.next_try)
        self._db.run(
            "UPDATE outbox SET attempts = ?, next_try = ?, last_error = ?, last_status = ?, wake_at = ? WHERE id = ?",
            (e.attempts, next_try, e.last_error, e.last_status, next_try, e.id),
        )

    def remove(self, id: str, /) -> None:
        self._db.run("DELETE FROM outbox WHERE id = ?", (id,))

    def of_process(self, process_id: str, /) -> list[Envelope]:
        return self._rows("WHERE process_id = ? ORDER BY seq", (process_id,))

    def next_try(self) -> datetime | None:
        return moment(self._db.first(f"SELECT wake_at FROM outbox WHERE {HEAD} ORDER BY wake_at LIMIT 1"))  # noqa: S608

    def depth(self) -> int:
        return int(self._db.first("SELECT count(*) FROM outbox"))

    def give_back(self) -> None:
        """End every lease: their holder was a process that is no more."""
        self._db.run("UPDATE outbox SET wake_at = next_try WHERE wake_at <> next_try")

    def _rows(self, rest: str, values: Row) -> list[Envelope]:
        return [self._read(*row) for row in self._db.all(f"SELECT {ENVELOPE} FROM outbox {rest}", values)]  # noqa: S608

    def _read(self, *row: Any) -> Envelope:
        id, family, process_id, kind, peer, url, message, correlation_id, created_at, next_try, give_up_at, *rest = row
        return Envelope(
            id,
            family,
            process_id,
            Kind(kind),
            peer,
            url,
            self._messages[Kind(kind)](message),
            correlation_id,
            from_micros(created_at),
            from_micros(next_try),
            moment(give_up_at),
            *rest,
        )


class UsesTable:
    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def count(self, agreement_id: str, /) -> int:
        return self._db.first("SELECT uses FROM use_counts WHERE agreement_id = ?", (agreement_id,)) or 0

    def reserve(self, use: Use, /) -> None:
        values = (use.id, use.agreement_id, use.transfer_id, to_micros(use.at), use.settled, use.bytes)
        self._db.run(
            "INSERT INTO uses (id, agreement_id, transfer_id, at, settled, bytes) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET settled = 1",
            values,
        )

    def has(self, id: str, /) -> bool:
        return self._db.first("SELECT 1 FROM uses WHERE id = ?", (id,)) is not None

    def settle(self, id: str, size: int, /) -> None:
        self._db.run("UPDATE uses SET settled = 1, bytes = ? WHERE id = ?", (size, id))

    def release(self, id: str, /) -> None:
        self._db.run("DELETE FROM uses WHERE id = ? AND settled = 0", (id,))


RECORD = "at, event, correlation_id, subject, peer, detail"


class AuditTable:
    """What happened, in order. The schema refuses to change, replace or delete a row."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._detail = decoder(dict[str, Any])

    def add(self, record: AuditRecord, /) -> None:
        r = record
        values = (to_micros(r.at), r.event, r.correlation_id, r.subject, r.peer, encode(r.detail))
        self._db.run(f"INSERT INTO audit ({RECORD}) VALUES (?, ?, ?, ?, ?, ?)", values)  # noqa: S608

    def of_subject(self, subject: str, limit: int = 1000, /) -> list[AuditRecord]:
        """Return the newest `limit` records of `subject`, in the order they happened."""
        return self._rows("WHERE subject = ? ORDER BY seq DESC LIMIT ?", (subject, limit))[::-1]

    def since(self, seq: int, limit: int, /) -> list[AuditRecord]:
        return self._rows("WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))

    def of_subject_since(self, subject: str, seq: int, limit: int, /) -> list[AuditRecord]:
        return self._rows("WHERE subject = ? AND seq > ? ORDER BY seq LIMIT ?", (subject, seq, limit))

    def last(self) -> int:
        return self._db.first("SELECT max(seq) FROM audit") or 0

    def _rows(self, rest: str, values: Row) -> list[AuditRecord]:
        rows = self._db.all(f"SELECT {RECORD}, seq FROM audit {rest}", values)  # noqa: S608
        return [
            AuditRecord(from_micros(at), event, correlation_id, subject, peer, self._detail(detail), seq)
            for at, event, correlation_id, subject, peer, detail, seq in rows
        ]


SUBSCRIPTION = "id, subject, seq, attempts, wake_at, last_error"


class SubscriptionsTable:
    """Cursors over the audit."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, id: str, /) -> Subscription | None:
        return next(iter(self._rows("WHERE id = ?", (id,))), None)

    def put(self, subscription: Subscription, /) -> None:
        s = subscription
        values = (s.id, s.subject, s.seq, s.attempts, to_micros(s.next_try), s.last_error)
        self._db.run(f"REPLACE INTO subscriptions ({SUBSCRIPTION}) VALUES (?, ?, ?, ?, ?, ?)", values)  # noqa: S608

    def delete(self, id: str, /) -> bool:
        return self._db.run("DELETE FROM subscriptions WHERE id = ?", (id,)).rowcount > 0

    def all(self) -> list[Subscription]:
        return self._rows("ORDER BY id", ())

    def due(self, now: datetime, /) -> list[Subscription]:
        of_all = "subject IS NULL AND seq < (SELECT max(seq) FROM audit)"
        of_one = "EXISTS (SELECT 1 FROM audit WHERE audit.subject = s.subject AND audit.seq > s.seq)"
        return self._rows(f"AS s WHERE wake_at <= ? AND ({of_all} OR {of_one}) ORDER BY id", (to_micros(now),))

    def next_try(self, now: datetime, /) -> datetime | None:
        return moment(self._db.first("SELECT min(wake_at) FROM subscriptions WHERE wake_at > ?", (to_micros(now),)))

    def _rows(self, rest: str, values: Row) -> list[Subscription]:
        rows = self._db.all(f"SELECT {SUBSCRIPTION} FROM subscriptions {rest}", values)  # noqa: S608
        return [
            Subscription(id, subject, seq, from_micros(wake_at), attempts, last_error)
            for id, subject, seq, attempts, wake_at, last_error in rows
        ]


class SecretsTable:
    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, name: str, /) -> str | None:
        value: str | None = self._db.first("SELECT value FROM secrets WHERE name = ?", (name,))
        return value

    def put(self, name: str, value: str, /) -> None:
        self._db.run(
            "INSERT INTO secrets VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    def delete(self, name: str, /) -> bool:
        return self._db.run("DELETE FROM secrets WHERE name = ?", (name,)).rowcount > 0
