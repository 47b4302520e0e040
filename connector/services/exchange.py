"""What negotiations and transfers do alike: take a message, commit one, settle its delivery, end in time.

Each step is one transaction: the process, its outbox row and its audit row commit together; what is sent is handed to
delivery after the commit, never before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import structlog

from connector.config import Settings
from connector.dsp import codec, dialects
from connector.dsp import process as rules
from connector.dsp.binding import join, path
from connector.dsp.messages import Ack, Kind, Message, Role
from connector.dsp.process import PROMISES, TERMINATIONS, Cause, CauseCode, Process
from connector.errors import ConnectorError, IllegalTransition, Malformed, NotFound
from connector.identity.participant import Participant
from connector.observe import Metrics
from connector.odrl.model import Json
from connector.ports import AuditRecord, Clock, Envelope, Ids, Processes, Store, Transaction
from connector.services.delivery import Delivery, Outcome, Refused, Spent, Taken

log = structlog.get_logger()

SAID = 1000  # characters of a reason that are kept: it may quote what the peer wrote
LONGEST_PID = 2048  # of those that a peer's answer gives; messages are held to it by their shape

P = TypeVar("P", bound=Process)
T = TypeVar("T")


@dataclass(slots=True)
class Unit:
    """One transaction with what is to happen after its commit."""

    tx: Transaction
    now: datetime
    send: list[Envelope] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)  # transfers whose data must stop now
    opened: list[str] = field(default_factory=list)  # transfers whose data is to be pushed from now on
    moved: list[Process] = field(default_factory=list)  # processes that reached a state
    soon: bool = False  # a deadline was set that delivery's loop may not know yet
    refusal: ConnectorError | None = None  # raised once the commit is durable: remembering a refusal is a change too

    def audit(self, event: str, process: Process, **detail: Json) -> None:
        self.tx.audit.add(
            AuditRecord(
                self.now, event, process.correlation_id, process.id, process.peer, {k: v for k, v in detail.items() if v}
            )
        )


@dataclass(frozen=True, slots=True)
class Desk:
    """What every service works with."""

    store: Store
    delivery: Delivery
    clock: Clock
    ids: Ids
    settings: Settings
    metrics: Metrics
    close: Callable[[str], None] = lambda _transfer: None  # ends running data of a transfer at once
    push: Callable[[str], None] = lambda _transfer: None  # begins to push the data of a transfer

    async def run(self, work: Callable[[Unit], T]) -> T:
        """Commit one unit of work, then let its consequences happen."""
        unit: list[Unit] = []

        def transaction(tx: Transaction) -> T:
            unit[:] = [Unit(tx, self.clock())]
            return work(unit[0])

        result = await self.store.transact(transaction)
        self.follow(unit[0])
        if unit[0].refusal is not None:
            raise unit[0].refusal
        return result

    def follow(self, unit: Unit) -> None:
        for transfer in unit.closed:
            self.close(transfer)
        for transfer in unit.opened:
            self.push(transfer)
        for process in unit.moved:
            self.metrics.states.labels(process.FAMILY, process.current).inc()
            log.info(f"{process.FAMILY}.moved", id=process.id, peer=process.peer, role=process.role, state=process.current,
                     correlation_id=process.correlation_id)  # fmt: skip
        self.delivery.hand(unit.send)
        if unit.soon:
            self.delivery.wake()


class Exchange(Generic[P]):
    """The common half of a service; subclasses say what a message means in their family."""

    family: str
    _callback: str  # our address in the newest version

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def table(self, tx: Transaction) -> Processes[P]:
        raise AttributeError

    def next_step(self, unit: Unit, before: P | None, now: P) -> P:
        """Decide what follows and commit it; return the process."""
        raise AttributeError

    def settled(self, unit: Unit, before: P, now: P) -> P:
        """Called when our message moved the process; return it with what that means."""
        return now

    def termination(self, process: P, cause: Cause) -> Message:
        raise AttributeError

    # --- reading ------------------------------------------------------------------------------------------------------

    async def get(self, pid: str) -> P:
        """Raises NotFound."""
        found = await self.desk.store.read(lambda tx: self.table(tx).get(pid))
        if found is None:
            raise NotFound(f"no {self.family[:-1]} {pid}")
        return found

    async def show(self, caller: Participant, pid: str) -> P:
        """Return the process to its counter-party only (DSP-064, DSP-067). Raises NotFound."""
        found = await self.get(pid)
        if found.peer != caller.id:
            raise NotFound(f"no {self.family[:-1]} {pid}")
        if found.current is None and found.pending is not None:  # who knows our pid has taken the message that made it
            return found.at(rules.after(found, None, found.role, found.pending))
        return found

    # --- receiving ----------------------------------------------------------------------------------------------------

    def owned(self, unit: Unit, caller: Participant, pid: str, message: Message) -> P:
        """Return the process a follow-up message speaks of. Raises NotFound for foreign callers and pids alike."""
        process = self.table(unit.tx).get(pid)
        if process is None or process.peer != caller.id:
            raise NotFound(f"no {self.family[:-1]} {pid}")
        ours, theirs = pids(message, process.role)
        if ours not in (None, process.id) or (process.peer_pid is not None and theirs not in (None, process.peer_pid)):
            raise NotFound(f"the pids of the message are not those of {self.family[:-1]} {pid}")
        if process.peer_pid is None and theirs:
            process = replace(process, peer_pid=theirs)  # the message overtook the acknowledgement that carries the pid
        return process

    def kept(self, process: P, protocol: str) -> P:
        """Return the process, which keeps the version that it began with (DSP-102). Raises IllegalTransition."""
        if process.protocol != protocol:
            raise IllegalTransition(f"this began in {process.protocol}: go on at that version's address")
        return process

    def listening(self, protocol: str) -> str:
        """Return our own address for a process in this version."""
        return dialects.of(protocol).address(self._callback)

    def take(self, unit: Unit, process: P, message: Message) -> P:
        """Move the process by a received message; the same object when it was a repetition.

        A refusal is committed with the process and raised after it (`Unit.refusal`); the process is unmoved then.
        """
        digest = message.id or hashlib.sha256(repr(astuple(message)).encode()).hexdigest()[:32]
        # Without an @id only a repetition of what led to the present state can be told apart (DSP-053).
        key = digest if message.id else f"{digest}:{process.current}"
        try:
            moved = rules.take(process, message.kind, key)
        except IllegalTransition as error:
            unit.refusal = error
            if process.current is not None:
                self.table(unit.tx).put(rules.declined(process, key))
            return process
        if moved is process:
            return process
        if message.id is None:
            moved = replace(moved, seen=(*moved.seen[:-1], f"{digest}:{moved.current}"))
        self.supersede(unit, process, moved)
        before, pending = process.current, process.pending
        if pending is not None and rules.after(process, before, process.role.other, message.kind) is None:
            ours = rules.after(process, before, process.role, pending)  # rule 2: it was taken, whatever became of its answer
            unit.audit(f"{self.family}.sent", moved, message=pending, before=before, after=ours)
            before = ours
        unit.audit(f"{self.family}.received", moved, message=message.kind, before=before, after=moved.current)
        return self.touch(unit, moved)

    def supersede(self, unit: Unit, before: P, after: P) -> None:
        """Drop the outbox row that a received message proved taken or made void."""
        if before.pending is not None and after.pending is None:
            for envelope in unit.tx.outbox.of_process(before.id):
                if envelope.kind is before.pending:
                    unit.tx.outbox.remove(envelope.id)

    def touch(self, unit: Unit, process: P) -> P:
        if process.current is not None:
            unit.moved.append(process)
        deadline = None if process.ended else unit.now + self.desk.settings.deciding.deadline
        return replace(process, updated_at=unit.now, deadline=deadline)

    # --- sending ------------------------------------------------------------------------------------------------------

    def commit(self, unit: Unit, process: P, message: Message) -> P:
        """Commit a message of ours to the outbox. Raises IllegalTransition, Conflict."""
        kind = message.kind
        moved = rules.commit(process, kind)
        self.supersede(unit, process, moved)
        moved = replace(moved, updated_at=unit.now)
        creates = process.peer_pid is None
        if creates and kind in TERMINATIONS:
            return moved  # the peer's pid is unknown: the termination follows when its answer to our request arrives
        self.queue(unit, moved, message, creates=creates)
        return moved

    def queue(self, unit: Unit, process: P, message: Message, *, creates: bool = False) -> None:
        delivering = self.desk.settings.delivering
        envelope = Envelope(
            id=message.id or self.desk.ids(),
            family=self.family,
            process_id=process.id,
            kind=message.kind,
            peer=process.peer,
            url=join(process.peer_address, path(message.kind, None if creates else process.peer_pid)),
            message=message,
            correlation_id=process.correlation_id,
            created_at=unit.now,
            next_try=unit.now,
            give_up_at=None if message.kind in PROMISES else unit.now + delivering.give_up,
            purpose=process.purpose,
            protocol=process.protocol,
        )
        unit.tx.outbox.add(envelope, unit.now + delivering.timeout * 2)
        unit.send.append(envelope)
        unit.audit(f"{self.family}.queued", process, message=message.kind)

    def end(self, unit: Unit, process: P, cause: Cause) -> P:
        """Terminate and tell the peer. Raises IllegalTransition, Conflict."""
        cause = replace(cause, detail=cause.detail[:SAID])
        ended = self.commit(unit, process, self.termination(process, cause))
        ended = replace(ended, cause=cause, deadline=None)
        unit.moved.append(ended)
        unit.audit(f"{self.family}.terminated", ended, cause=cause.code, detail=cause.detail, by=cause.by)
        return self.settled(unit, process, ended)

    async def act(self, pid: str, step: Callable[[Unit, P], P]) -> P:
        """Let an operator, or a decision made later, move a process. Raises NotFound, IllegalTransition, Conflict."""

        def work(unit: Unit) -> P:
            process = self.table(unit.tx).get(pid)
            if process is None:
                raise NotFound(f"no {self.family[:-1]} {pid}")
            moved = step(unit, process)
            self.table(unit.tx).put(moved)
            return moved

        return await self.desk.run(work)

    async def terminate(self, pid: str, reason: str, code: CauseCode = CauseCode.OPERATOR) -> P:
        return await self.act(pid, lambda unit, p: self.end(unit, p, Cause(code, reason, p.role)))

    # --- delivery's answers -------------------------------------------------------------------------------------------

    async def prepare(self, envelope: Envelope) -> Message:
        """Return the message to send now; a subclass puts fresh tokens into it."""
        return envelope.message

    def write(self, envelope: Envelope, message: Message) -> bytes:
        """Return the message in the words of the version that its process began with (DSP-102)."""
        provider = envelope.peer if envelope.kind is Kind.REQUEST else self.desk.settings.participant
        dialect = dialects.of(envelope.protocol)
        return dialect.write(codec.write_message(message), address=self._callback, provider=provider)

    async def settle(self, envelope: Envelope, outcome: Outcome) -> None:
        """Record what became of an envelope, and do what follows from it."""

        def work(unit: Unit) -> None:
            queued = unit.tx.outbox.get(envelope.id) is not None
            unit.tx.outbox.remove(envelope.id)
            process = self.table(unit.tx).get(envelope.process_id)
            current = queued or (process is not None and process.peer_pid is None)  # else: superseded meanwhile
            if process is not None and current:
                match outcome:
                    case Taken(ack):
                        after = self.taken(unit, process, envelope, ack)
                    case Refused() | Spent():
                        after = self.failed(unit, process, envelope, outcome) if queued else process
                if after is not process:
                    self.table(unit.tx).put(after)

        await self.desk.run(work)

    def taken(self, unit: Unit, process: P, envelope: Envelope, ack: Ack | None) -> P:
        known = process
        if process.peer_pid is None and ack is not None:
            theirs = ack.provider_pid if process.role is Role.CONSUMER else ack.consumer_pid
            if theirs and len(theirs) <= LONGEST_PID:
                known = replace(process, peer_pid=theirs)
        if known.peer_pid is None:
            return self.failed(unit, process, envelope, Refused(None, "its answer names no pid of its own"))
        if known.ended and known is not process and known.cause is not None:
            self.queue(unit, known, self.termination(known, known.cause))  # we left while our request was on its way
            return known
        moved = rules.acknowledged(known, envelope.kind)
        if moved.current is known.current and moved.pending is known.pending:
            return known
        unit.audit(f"{self.family}.sent", moved, message=envelope.kind, before=known.current, after=moved.current)
        moved = self.settled(unit, known, self.touch(unit, moved))
        return self.next_step(unit, known, moved)

    def failed(self, unit: Unit, process: P, envelope: Envelope, outcome: Refused | Spent) -> P:
        if envelope.kind in TERMINATIONS:
            unit.audit(f"{self.family}.undelivered", process, message=envelope.kind, detail=outcome.detail)
            return process  # DSP-063: we are terminated whatever the peer says
        free = rules.refused(process, envelope.kind)
        if free is process:
            return process
        unit.audit(f"{self.family}.refused", free, message=envelope.kind, detail=outcome.detail)
        if isinstance(outcome, Refused) and not rules.disagrees(free, envelope.kind):  # else rule 7: it must end
            return replace(free, updated_at=unit.now)
        code = CauseCode.PEER_REFUSED if isinstance(outcome, Refused) else CauseCode.PEER_UNREACHABLE
        return self.end(unit, free, Cause(code, outcome.detail, process.role.other))

    # --- time ---------------------------------------------------------------------------------------------------------

    async def expire(self, now: datetime) -> datetime | None:
        """End what is overdue; return the next deadline."""

        def work(unit: Unit) -> None:
            for process in self.table(unit.tx).overdue(now, 100):
                if process.pending in PROMISES:  # cannot be taken back: repeated until answered (dsp.process, rule 4)
                    self.table(unit.tx).put(replace(process, deadline=now + self.desk.settings.deciding.deadline))
                else:
                    self.table(unit.tx).put(self.end(unit, process, self.overdue_cause(process)))

        overdue = await self.desk.store.read(lambda tx: bool(self.table(tx).overdue(now, 1)))
        if overdue:
            await self.desk.run(work)
        return await self.desk.store.read(lambda tx: self.table(tx).next_deadline())

    def overdue_cause(self, process: P) -> Cause:
        waited = (
            "nobody decided: " + process.waiting if process.waiting else f"nothing moved it from {process.current} in time"
        )
        return Cause(CauseCode.DEADLINE, waited, process.role)


def pids(message: Message, ours: Role) -> tuple[str | None, str | None]:
    """Return (our pid, the peer's pid) as the message names them."""
    consumer = getattr(message, "consumer_pid", None)
    provider = getattr(message, "provider_pid", None)
    return (consumer, provider) if ours is Role.CONSUMER else (provider, consumer)


def told(process: Process, code: str | None, reason: tuple[Json, ...]) -> Cause:
    """Return why the peer ended the process, in its own words."""
    words = "; ".join(map(str, reason)) or "no reason given"
    detail = f"{code}: {words}" if code else words
    return Cause(CauseCode.PEER_TERMINATED, detail[:1000], process.role.other)


def callback(address: str) -> str:
    """Return a usable callback address. Raises Malformed (DSP-059, DSP-087: unrecoverable).

    A query or fragment would swallow the path that is put behind it, and make us post to wherever the sender likes.
    """
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        valid = valid and "@" not in parts.netloc and address.isprintable() and not set("?# \\") & set(address)
    except ValueError:
        valid = False
    if not valid or len(address) > 2000:
        raise Malformed("callbackAddress is not an http(s) URL: send the address in front of /negotiations and /transfers")
    return address.rstrip("/")
