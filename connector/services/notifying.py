"""Who is told of events, and how far: each receiver is a cursor over the audit, moved only after it answered.

So nothing is lost by a crash, and what was told but not yet noted is told again with the same id: at least once, in order,
one at a time for each receiver. One that fails is tried again, later and later; an event that is older than
`[delivering] give_up` by then is left out, and the log says so. Receivers are independent of each other.

Callback addresses of a management request live as long as their process; subscribers of connector.toml begin with what
happens after they were first seen.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson
import structlog

from connector.config import Delivering, Subscriber
from connector.dsp.messages import PROTOCOL
from connector.errors import ConnectorError, Unavailable
from connector.observe import Metrics
from connector.odrl.model import Json
from connector.ports import Clock, Hooks, Store, Subscription, Transaction
from connector.services.events import AnyProcess, Event, callback_name, cloud_event, envelope, read

log = structlog.get_logger()

BATCH = 100  # rows of the audit read at once
AT_ONCE = 32  # receivers told at the same time
GATHER = 0.02  # seconds in which commits are gathered into one look at the audit
STATIC = "webhook "  # begins the id of a subscriber of connector.toml


def enrol(tx: Transaction, process: AnyProcess) -> None:
    """Let the callback addresses of a process that begins here be told of it; in the commit that begins it."""
    for number in range(len(process.callbacks)):
        tx.subscriptions.put(Subscription(f"{process.id}#{number}", process.id, 0, process.created_at))


@dataclass(frozen=True, slots=True)
class Post:
    """One event on its way to one receiver."""

    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Notifications:
    def __init__(
        self, store: Store, hooks: Hooks, clock: Clock, participant: str, settings: Delivering,
        subscribers: tuple[Subscriber, ...], metrics: Metrics,
    ) -> None:  # fmt: skip
        self._store, self._hooks, self._clock, self._participant = store, hooks, clock, participant
        self._settings, self._metrics = settings, metrics
        self._static = {STATIC + one.url: one for one in subscribers}
        self._changed = asyncio.Event()
        self._busy: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._stopping = False

    def wake(self) -> None:
        """Look at the audit again: something was committed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """End what follows the events."""
        self._stopping = True
        self.wake()

    # --- for whoever listens now --------------------------------------------------------------------------------------

    async def latest(self) -> int:
        return await self._store.read(lambda tx: tx.audit.last())

    async def follow(self, after: int, prefixes: Collection[str], beat: float) -> AsyncIterator[Event | None]:
        """Yield the events after `after` as they come, and None whenever `beat` seconds passed without one."""
        while not self._stopping:
            changed = self._changed
            found, seq = await self._store.read(_from(Subscription("", None, after, self._clock())))
            for event in found:
                if event.wanted(prefixes):
                    yield event
            if seq == after and not await _within(changed, beat):
                yield None
            after = seq

    def document(self, event: Event) -> dict[str, Json]:
        return cloud_event(event, self._participant)

    # --- for whoever is called ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell until cancelled. How far each receiver was told is in the store."""
        await self._store.transact(self._subscribe)
        async with asyncio.TaskGroup() as group:
            while True:
                changed = self._changed
                try:
                    due = await self._round(group)
                except ConnectorError as error:  # the store is busy or full: nobody's turn is lost
                    log.warning("events.round-failed", error=str(error))
                    due = self._clock() + timedelta(seconds=1)
                await _within(changed, 60.0 if due is None else (due - self._clock()).total_seconds())
                await asyncio.sleep(GATHER)

    def _subscribe(self, tx: Transaction) -> None:
        known = {one.id for one in tx.subscriptions.all() if one.subject is None}
        for gone in known - self._static.keys():
            tx.subscriptions.delete(gone)
        for fresh in self._static.keys() - known:
            tx.subscriptions.put(Subscription(fresh, None, tx.audit.last(), self._clock()))

    async def _round(self, group: asyncio.TaskGroup) -> datetime | None:
        now = self._clock()
        due, later = await self._store.read(lambda tx: (tx.subscriptions.due(now), tx.subscriptions.next_try(now)))
        for subscription in due:
            if subscription.id not in self._busy:
                self._busy.add(subscription.id)
                group.create_task(self._serve(subscription))
        return later

    async def _serve(self, subscription: Subscription) -> None:
        try:
            while await self._tell(subscription):
                found = await self._store.read(_get(subscription.id))
                if found is None:
                    return
                subscription = found
        except Exception:  # one receiver must not stop the others; its cursor stays where it is
            log.exception("events.failed", receiver=subscription.id)
            await asyncio.sleep(1)
        finally:
            self._busy.discard(subscription.id)
            self.wake()  # what came while it was busy was left to it

    async def _tell(self, subscription: Subscription) -> bool:
        """Tell one batch; return whether there may be more."""
        found, seq = await self._store.read(_from(subscription))
        for event in found:
            async with self._slots:
                wrong = await self._told(subscription, event)
            if wrong is not None and not self._given_up(subscription, event, wrong):
                await self._again(subscription, wrong)
                return False
            subscription = replace(subscription, seq=event.seq, attempts=0, last_error=None)
            if subscription.subject is not None and (event.last or event.process is None):
                await self._store.transact(_delete(subscription.id))
                return False
            await self._store.transact(_put(subscription))
        if seq > subscription.seq:
            await self._store.transact(_put(replace(subscription, seq=seq)))
        return bool(found)

    async def _told(self, subscription: Subscription, event: Event) -> str | None:
        """Tell one event. Return what went wrong; None where it was taken, or is not wanted."""
        try:
            post = await self._post(subscription, event)
            if post is None:
                return None
            status = await self._hooks.send(post.url, post.body, post.headers)
        except ConnectorError as error:
            return str(error)
        if 200 <= status < 300:
            self._metrics.events.labels("delivered").inc()
            return None
        return f"it answered {status}"

    async def _post(self, subscription: Subscription, event: Event) -> Post | None:
        if subscription.subject is None:
            return self._webhook(self._static[subscription.id], event)
        address = _callback(subscription, event)
        if address is None or not callback_name(event).startswith(tuple(_texts(address.get("events")))):
            return None
        headers = {"Content-Type": "application/json"} | await self._authorization(address)
        process = event.process
        body = envelope(event, self._participant, getattr(process, "protocol", PROTOCOL))
        return Post(str(address["uri"]), orjson.dumps(body), headers)

    def _webhook(self, subscriber: Subscriber, event: Event) -> Post | None:
        if not event.wanted(subscriber.events):
            return None
        body = orjson.dumps(self.document(event))
        id, at = event.id(self._participant), int(self._clock().timestamp())
        headers = {"Content-Type": "application/cloudevents+json"}
        return Post(subscriber.url, body, headers | signature(subscriber.secret, id, at, body))

    async def _authorization(self, address: Mapping[str, Json]) -> dict[str, str]:
        """Return EDC's header: `authKey` is its name, `authCodeId` the secret that is its value."""
        name, code = address.get("authKey"), address.get("authCodeId")
        if not name:
            return {}
        secret = await self._store.read(lambda tx: tx.secrets.get(str(code))) if code else None
        if secret is None:
            raise Unavailable(f"there is no secret {code!r}: the callback's authCodeId names it")
        return {str(name): secret}

    def _given_up(self, subscription: Subscription, event: Event, wrong: str) -> bool:
        given_up = self._clock() - event.at >= self._settings.give_up
        outcome = "given-up" if given_up else "retry"
        self._metrics.events.labels(outcome).inc()
        log.warning(f"events.{outcome}", receiver=subscription.id, type=event.type, subject=event.subject, error=wrong,
                    attempt=subscription.attempts + 1)  # fmt: skip
        return given_up

    async def _again(self, subscription: Subscription, wrong: str) -> None:
        wait = min(self._settings.first * 2 ** min(subscription.attempts, 20), self._settings.longest)
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 -- jitter
        tried = replace(
            subscription, attempts=subscription.attempts + 1, next_try=self._clock() + wait, last_error=wrong[:500]
        )
        await self._store.transact(_put(tried))


def signature(secret: str, id: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers of the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{id}.{at}.".encode() + body, hashlib.sha256)
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": f"v1,{base64.b64encode(mac).decode()}"}


def _from(subscription: Subscription) -> Callable[[Transaction], tuple[list[Event], int]]:
    """Read the events after the cursor, and the place up to which the audit was looked through for them."""

    def work(tx: Transaction) -> tuple[list[Event], int]:
        if subscription.subject is None:
            records = tx.audit.since(subscription.seq, BATCH)
        else:
            records = tx.audit.of_subject_since(subscription.subject, subscription.seq, BATCH)
        events = [event for record in records if (event := read(tx, record)) is not None]
        return events, records[-1].seq if records else subscription.seq

    return work


def _callback(subscription: Subscription, event: Event) -> Mapping[str, Json] | None:
    """Return the callback address as the management request gave it; None where its process was deleted."""
    number = int(subscription.id.rpartition("#")[2])
    given = event.process.callbacks[number] if event.process is not None else None
    return given if isinstance(given, dict) else None


def _texts(value: Json) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value]) if one]


def _get(id: str) -> Callable[[Transaction], Subscription | None]:
    return lambda tx: tx.subscriptions.get(id)


def _delete(id: str) -> Callable[[Transaction], bool]:
    return lambda tx: tx.subscriptions.delete(id)


def _put(subscription: Subscription) -> Callable[[Transaction], None]:
    return lambda tx: tx.subscriptions.put(subscription)


async def _within(changed: asyncio.Event, seconds: float) -> bool:
    """Wait for a change; False when `seconds` passed without one."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await changed.wait()
    except TimeoutError:
        return False
