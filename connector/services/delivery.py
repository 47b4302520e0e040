"""Delivery: empties the outbox. A committed step is sent at once; what fails is tried again, later and later.

No polling: `hand` starts what was just committed; a single loop sleeps until the next retry or deadline. Statuses: 2xx
taken; 409, 408, 425, 429, 5xx and no answer: again (a 409 on an agreement is a race at the peer, not a refusal); 401,
403, 404: again a few times (a key is being rotated, a peer is starting); every other 4xx, and the 404 of an unknown offer
or agreement: refused. The 400 of a termination is tried again too: a peer that has not yet read our answer to its own
request may refuse it, and would wait for ever. A promise (dsp.process, rule 4) is undone only by an answer about the
process: a peer that does not know *us* any more (401, 403) may have taken it before. A peer that lets us wait fills its own
lanes, never those of others.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

import structlog

from connector.config import Delivering
from connector.dsp import codec
from connector.dsp.messages import Ack, Message
from connector.dsp.process import PROMISES, TERMINATIONS
from connector.errors import Malformed, PeerError, Unavailable
from connector.observe import Metrics, correlation_id
from connector.ports import Answer, Clock, Envelope, Identity, Peers, Store

log = structlog.get_logger()

AGAIN = frozenset({408, 409, 425, 429})
AGAIN_A_FEW_TIMES = frozenset({401, 403, 404})
A_FEW = 5
AT_ONCE = 256  # deliveries in flight
LANES = 32  # of them to one peer
DUE = 64  # rows leased in one transaction
RACE = timedelta(milliseconds=50)  # first wait after a 409


@dataclass(frozen=True, slots=True)
class Taken:
    ack: Ack | None


@dataclass(frozen=True, slots=True)
class Refused:
    code: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Spent:
    """Given up: the peer did not answer in time."""

    detail: str


Outcome: TypeAlias = Taken | Refused | Spent


class Settler(Protocol):
    """A family of processes: says what to send and learns what became of it."""

    async def prepare(self, envelope: Envelope) -> Message: ...
    def write(self, envelope: Envelope, message: Message) -> bytes: ...
    async def settle(self, envelope: Envelope, outcome: Outcome) -> None: ...
    async def expire(self, now: datetime) -> datetime | None: ...


class Delivery:
    def __init__(
        self, store: Store, peers: Peers, identity: Identity, clock: Clock, settings: Delivering, metrics: Metrics
    ) -> None:
        self._store, self._peers, self._identity = store, peers, identity
        self._clock, self._settings, self._metrics = clock, settings, metrics
        self._settlers: Mapping[str, Settler] = {}
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._lanes: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(LANES))
        self._underway: set[str] = set()  # ids of envelopes that have a task: one that waits outlives its lease
        self._group: asyncio.TaskGroup | None = None

    def serve(self, settlers: Mapping[str, Settler]) -> None:
        self._settlers = settlers

    def hand(self, envelopes: Iterable[Envelope]) -> None:
        """Deliver envelopes that are leased: by the transaction that just committed, or by `due`.

        While nothing runs (stopping, or not started yet) they stay in the outbox until their lease is given back.
        """
        for envelope in envelopes:
            if envelope.id not in self._underway and self._group is not None:
                self._underway.add(envelope.id)
                self._group.create_task(self._deliver(envelope))

    def wake(self) -> None:
        """Look at the outbox and the deadlines again: something earlier may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled. What is in flight then stays in the outbox."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                while True:
                    self._wake.clear()
                    try:
                        due = await self._round()
                    except Exception:  # the store may be busy or full: what is due stays due
                        log.exception("delivery.round-failed")
                        due = self._clock() + timedelta(seconds=1)
                    await self._sleep_until(due)
            finally:
                self._group = None
                self._underway.clear()

    async def _round(self) -> datetime | None:
        now = self._clock()
        lease = now + self._settings.timeout * 2
        waiting = await self._store.read(lambda tx: tx.outbox.next_try())
        if waiting is not None and waiting <= now:
            envelopes = await self._store.transact(lambda tx: tx.outbox.due(now, DUE, lease))
            self.hand(envelopes)
        times = [await settler.expire(now) for settler in self._settlers.values()]
        times.append(await self._store.read(lambda tx: tx.outbox.next_try()))
        return min((t for t in times if t is not None), default=None)

    async def _sleep_until(self, due: datetime | None) -> None:
        seconds = 60.0 if due is None else max(0.02, (due - self._clock()).total_seconds())
        try:
            async with asyncio.timeout(min(seconds, 60.0)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _deliver(self, envelope: Envelope) -> None:
        correlation_id.set(envelope.correlation_id)
        try:
            await self._deliver_once(envelope)
        except Exception:  # its row stays in the outbox, leased for a while: tried again then
            log.exception("delivery.unsettled", kind=envelope.kind, process=envelope.process_id)
        finally:
            self._underway.discard(envelope.id)

    async def _deliver_once(self, envelope: Envelope) -> None:
        lane = self._lanes[envelope.peer]
        waits = lane.locked()
        async with lane, self._slots:
            if waits and await self._store.read(lambda tx: tx.outbox.get(envelope.id)) is None:
                return  # superseded while it waited
            outcome = await self._attempt(envelope)
        if isinstance(outcome, Envelope):
            await self._store.transact(lambda tx: tx.outbox.retry(outcome))
            self._metrics.messages.labels("out", envelope.kind, "retry").inc()
            self.wake()
            return
        self._metrics.messages.labels("out", envelope.kind, type(outcome).__name__.lower()).inc()
        await self._settlers[envelope.family].settle(envelope, outcome)

    async def _attempt(self, envelope: Envelope) -> Outcome | Envelope:
        """Send once; return what became of it, or the envelope with its next try."""
        try:
            settler = self._settlers[envelope.family]
            body = settler.write(envelope, await settler.prepare(envelope))
            authorization = await self._identity.authorize(envelope.peer, envelope.purpose)
            answer = await self._peers.post(envelope.url, body, authorization, envelope.correlation_id)
        except PeerError as error:  # not an address or a peer that we may talk to
            return self._again(envelope, None, str(error)) if _promised(envelope) else Refused(None, str(error))
        except Unavailable as error:
            return self._again(envelope, None, str(error))
        except Exception as error:  # a message we cannot make must not kill the loop nor vanish
            log.exception("delivery.failed", kind=envelope.kind, process=envelope.process_id)
            return self._again(envelope, None, f"the message could not be made: {type(error).__name__}")
        return self._judge(envelope, answer)

    def _judge(self, envelope: Envelope, answer: Answer) -> Outcome | Envelope:
        if 200 <= answer.status < 300:
            return Taken(_ack(answer.body))
        code, reasons = _error(answer.body)
        detail = f"the peer answered {answer.status}" + (f" {code}" if code and code != str(answer.status) else "")
        detail += f": {'; '.join(reasons)}" if reasons else ""
        again = answer.status in AGAIN or answer.status >= 500
        few = AGAIN_A_FEW_TIMES - {404} if _creates(envelope.message) else AGAIN_A_FEW_TIMES
        few |= {400} if envelope.kind in TERMINATIONS else set()
        again = again or (answer.status in few and envelope.attempts + 1 < A_FEW)
        again = again or (answer.status in (401, 403) and _promised(envelope))
        return self._again(envelope, answer.status, detail) if again else Refused(code, detail)

    def _again(self, envelope: Envelope, status: int | None, detail: str) -> Outcome | Envelope:
        now = self._clock()
        if envelope.give_up_at is not None and now >= envelope.give_up_at:
            return Spent(f"gave up after {envelope.attempts + 1} tries: {detail}")
        first = RACE if status == 409 else self._settings.first
        wait = min(first * 2 ** min(envelope.attempts, 20), self._settings.longest)
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, so that peers do not come back all at once
        log.info("delivery.again", kind=envelope.kind, process=envelope.process_id, peer=envelope.peer, error=detail,
                 attempt=envelope.attempts + 1, wait=wait.total_seconds())  # fmt: skip
        return replace(
            envelope, attempts=envelope.attempts + 1, next_try=now + wait, last_error=detail[:500], last_status=status
        )


def _creates(message: Message) -> bool:
    """Whether the message begins a process; a 404 then speaks of the offer or agreement, and is final."""
    return getattr(message, "callback_address", None) is not None


def _promised(envelope: Envelope) -> bool:
    return envelope.kind in PROMISES


def _ack(body: bytes) -> Ack | None:
    """Return the peer's view, where its answer has one (DSP-068: an empty body is fine)."""
    try:
        return codec.read_ack(body) if body.strip() else None
    except Malformed:
        return None


def _error(body: bytes) -> tuple[str | None, list[str]]:
    try:
        code, reasons = codec.read_error(body)
    except Malformed:
        return None, []
    return code and code[:100], [str(reason)[:300] for reason in reasons][:5]
