"""The tables of a transaction: records by id, processes, and the ledgers beside them.

A `Tables` belongs to one connection and has no state of its own; which transaction it speaks in is up to the connection.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from connector.dsp.negotiation import Negotiation
from connector.dsp.offering import Agreement, Asset, ContractDefinition, Criterion, PolicyDefinition
from connector.dsp.process import Process
from connector.dsp.transfer import TransferProcess
from connector.ports import Query
from connector.store import criteria
from connector.store.connection import Connection, Row
from connector.store.ledgers import AuditTable, OutboxTable, SecretsTable, SubscriptionsTable, UsesTable
from connector.store.records import decoder, encode, moment, to_micros

R = TypeVar("R")
P = TypeVar("P", bound=Process)


@dataclass(frozen=True, slots=True)
class Shape(Generic[R]):
    """How a type is stored: its table, the fields that are columns too, and the column that tells its age."""

    table: str
    type: type[R]
    columns: tuple[str, ...] = ("id", "created_at")
    age: str = "created_at"


SEARCHED = ("id", "role", "peer", "peer_pid", "state", "ended", "deadline", "dataset_id", "agreement_id", "correlation_id")
PROCESS = (*SEARCHED, "created_at", "updated_at")
PARTIES = ("provider", "consumer")

NEGOTIATIONS = Shape("negotiations", Negotiation, PROCESS)
TRANSFERS = Shape("transfers", TransferProcess, PROCESS)
AGREEMENTS = Shape(
    "agreements", Agreement, ("id", "negotiation_id", *PARTIES, "dataset_id", "in_force", "signed_at"), age="signed_at"
)
ASSETS = Shape("assets", Asset)
POLICIES = Shape("policies", PolicyDefinition)
DEFINITIONS = Shape("definitions", ContractDefinition, ("id", "access_policy_id", "contract_policy_id", "created_at"))


def cell(value: Any) -> Any:
    """Return a field's value as a column holds it."""
    return to_micros(value) if isinstance(value, datetime) else value


class RecordTable(Generic[R]):
    def __init__(self, connection: Connection, shape: Shape[R]) -> None:
        self._db = connection
        self._shape = shape
        self._columns = frozenset(shape.columns)
        self._decode = decoder(shape.type)
        names = (*shape.columns, "record")
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        self._select = f"SELECT record FROM {shape.table}"  # noqa: S608 (names of our own)
        self._put = (
            f"INSERT INTO {shape.table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "  # noqa: S608
            f"ON CONFLICT (id) DO UPDATE SET {changes}"
        )

    def get(self, id: str, /) -> R | None:
        return self._one("WHERE id = ?", (id,))

    def put(self, record: R, /) -> None:
        cells = (cell(getattr(record, name)) for name in self._shape.columns)
        self._db.run(self._put, (*cells, encode(record)))

    def delete(self, id: str, /) -> bool:
        return self._db.run(f"DELETE FROM {self._shape.table} WHERE id = ?", (id,)).rowcount > 0  # noqa: S608

    def query(self, query: Query, /) -> list[R]:
        table, age = self._shape.table, self._shape.age
        where = criteria.where(table, self._columns, query.filters)
        order = criteria.order(table, self._columns, age, query.sort, descending=query.descending)
        limit = criteria.MAX_ROWS if query.limit is None else query.limit
        page = tuple(max(0, min(number, criteria.MAX_ROWS)) for number in (limit, query.offset))
        values = (*where.values, *order.values, *page)
        return self._all(f"WHERE {where.text} ORDER BY {order.text} LIMIT ? OFFSET ?", values)

    def count(self, filters: tuple[Criterion, ...] = ()) -> int:
        where = criteria.where(self._shape.table, self._columns, filters)
        sql = f"SELECT count(*) FROM {self._shape.table} WHERE {where.text}"  # noqa: S608 (operands are parameters)
        return int(self._db.first(sql, where.values))

    def _one(self, rest: str, values: Row) -> R | None:
        record = self._db.first(f"{self._select} {rest}", values)
        return None if record is None else self._decode(record)

    def _all(self, rest: str, values: Row) -> list[R]:
        return [self._decode(record) for (record,) in self._db.all(f"{self._select} {rest}", values)]


class ProcessTable(RecordTable[P]):
    def by_peer_pid(self, peer: str, peer_pid: str, /) -> P | None:
        return self._one("WHERE peer = ? AND peer_pid = ? ORDER BY created_at LIMIT 1", (peer, peer_pid))

    def overdue(self, now: datetime, limit: int, /) -> list[P]:
        return self._all("WHERE ended = 0 AND deadline <= ? ORDER BY deadline LIMIT ?", (to_micros(now), limit))

    def next_deadline(self) -> datetime | None:
        sql = f"SELECT min(deadline) FROM {self._shape.table} WHERE ended = 0 AND deadline IS NOT NULL"  # noqa: S608
        return moment(self._db.first(sql))


class Tables:
    """`ports.Transaction` on one connection."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        connection = Connection(raw)
        self.negotiations = ProcessTable(connection, NEGOTIATIONS)
        self.transfers = ProcessTable(connection, TRANSFERS)
        self.agreements = RecordTable(connection, AGREEMENTS)
        self.assets = RecordTable(connection, ASSETS)
        self.policies = RecordTable(connection, POLICIES)
        self.definitions = RecordTable(connection, DEFINITIONS)
        self.outbox = OutboxTable(connection)
        self.uses = UsesTable(connection)
        self.audit = AuditTable(connection)
        self.secrets = SecretsTable(connection)
        self.subscriptions = SubscriptionsTable(connection)
