"""Events: who subscribed hears what happened, in order and once, whatever the receiver and the connector go through."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.app import build
from connector.config import Delivering, Events, Network, Settings, Subscriber
from tests.pair.conftest import POLICIES, Pair, publish, running, settings, until

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NEGOTIATED = [
    "contract.negotiation.requested",
    "contract.negotiation.agreed",
    "contract.negotiation.verified",
    "contract.negotiation.finalized",
]


@dataclass
class Receiver:
    """A webhook that answers what it is told to, then 200; keeps what it was sent, refused or not."""

    answers: list[int] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)  # of calls that were answered 200
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    held: asyncio.Event | None = None  # what a slow one waits for
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.calls.append((dict(request.headers), body))
        if self.held is not None:
            await self.held.wait()
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.sent.append(await request.json())
        return web.Response(status=status)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.sent]


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(Receiver()) as found:
        yield found


async def soon(true: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def odense(tmp_path: Path, *subscribers: Subscriber, **changes: object) -> Settings:
    made = settings(tmp_path / "odense", "odense", events=Events(subscribers), **changes)
    for name in POLICIES:
        publish(made.root, name, name)
    return made


async def test_a_subscriber_hears_a_whole_exchange_in_order_as_signed_cloud_events(
    tmp_path: Path, receiver: Receiver
) -> None:
    one = odense(tmp_path, Subscriber(receiver.url, SECRET))
    async with running(one, settings(tmp_path / "aarhus", "aarhus")) as pair:
        agreement = await pair.agreement("open")
        transfer = await pair.started(agreement)
        provided = (await pair.consumer.transfers.get(transfer)).peer_pid or ""
        await until(pair.provider.transfers.get, provided, "STARTED")
        await pair.provider.transfers.suspend(provided, "a look")
        await until(pair.consumer.transfers.get, transfer, "SUSPENDED")
        await until(pair.provider.transfers.get, provided, "SUSPENDED")
        await pair.provider.transfers.resume(provided)
        await until(pair.consumer.transfers.get, transfer, "STARTED")
        await until(pair.provider.transfers.get, provided, "STARTED")
        await pair.provider.transfers.end_agreement(agreement, "the study is over")
        await soon(lambda: "transfer.process.terminated" in receiver.types)
    assert receiver.types == [
        *NEGOTIATED,
        "transfer.process.requested",
        "transfer.process.started",
        "transfer.process.suspended",
        "transfer.process.resumed",
        "contract.agreement.ended",
        "transfer.process.terminated",
    ]
    assert len({event["id"] for event in receiver.sent}) == len(receiver.sent)
    assert [event["sequence"] for event in receiver.sent] == sorted(event["sequence"] for event in receiver.sent)
    final = receiver.sent[3]
    assert (final["specversion"], final["source"]) == ("1.0", "odense")
    assert final["data"]["contractAgreementId"] == agreement
    assert final["data"]["counterPartyId"] == "aarhus"
    assert receiver.sent[-1]["data"]["reason"] == "the study is over"
    for headers, body in receiver.calls:
        assert headers["Content-Type"] == "application/cloudevents+json"
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), text, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


async def test_a_subscriber_that_fails_is_told_again_and_misses_nothing(tmp_path: Path) -> None:
    async with receiving(Receiver([500, 503, 200, 429])) as receiver:
        one = odense(tmp_path, Subscriber(receiver.url, SECRET, ("contract.negotiation",)))
        async with running(one, settings(tmp_path / "aarhus", "aarhus")) as pair:
            await pair.agreement("open")
            await soon(lambda: len(receiver.sent) == 4)
    assert receiver.types == NEGOTIATED
    assert len(receiver.calls) == 7


async def test_a_slow_subscriber_holds_up_nobody_else(tmp_path: Path, receiver: Receiver) -> None:
    async with receiving(Receiver(held=asyncio.Event())) as slow:
        one = odense(tmp_path, Subscriber(slow.url, SECRET), Subscriber(receiver.url, SECRET))
        async with running(one, settings(tmp_path / "aarhus", "aarhus")) as pair:
            await pair.agreement("open")
            await soon(lambda: receiver.types == NEGOTIATED)
            await soon(lambda: slow.calls)
            assert len(slow.calls) == 1
            assert slow.held is not None
            slow.held.set()
            await soon(lambda: slow.types == NEGOTIATED)


async def test_what_happened_while_a_subscriber_was_away_is_told_after_a_restart_and_nothing_twice(tmp_path: Path) -> None:
    async with receiving(Receiver()) as receiver:
        one = odense(tmp_path, Subscriber(receiver.url, SECRET))
        other = settings(tmp_path / "aarhus", "aarhus")
        async with running(one, other) as pair:
            await pair.agreement("open")
            await soon(lambda: len(receiver.sent) == 4)
            receiver.answers = [500] * 1000  # it is away from here on
            await pair.agreement("twice")
            await soon(lambda: len(receiver.calls) > 5)
        receiver.answers = []
        async with build(one):
            await soon(lambda: len(receiver.sent) == 8)
    assert receiver.types == NEGOTIATED * 2
    assert len({event["id"] for event in receiver.sent}) == 8


async def test_events_too_old_are_left_out_so_that_one_dead_receiver_is_not_called_for_ever(tmp_path: Path) -> None:
    impatient = Delivering(timedelta(milliseconds=10), timedelta(milliseconds=20), timedelta(milliseconds=300))
    async with receiving(Receiver([500] * 1000)) as receiver:
        one = odense(tmp_path, Subscriber(receiver.url, SECRET, ("contract.negotiation.requested",)), delivering=impatient)
        async with running(one, settings(tmp_path / "aarhus", "aarhus")) as pair:
            await pair.agreement("open")
            await soon(lambda: b'given-up"} 1.0' in _metrics(pair))
            receiver.answers = []
            await pair.agreement("open")
            await soon(lambda: receiver.sent)
    assert receiver.types == ["contract.negotiation.requested"]


def _metrics(pair: Pair) -> bytes:
    from prometheus_client import generate_latest

    return generate_latest(pair.provider.metrics.registry)


async def test_a_private_address_is_not_called(tmp_path: Path, receiver: Receiver) -> None:
    port = receiver.url.split(":")[2].split("/")[0]
    one = odense(tmp_path, Subscriber(f"http://127.0.0.2:{port}/hook", SECRET), network=Network(allow=("127.0.0.1",)))
    one = replace(one, development=False)
    async with running(one, settings(tmp_path / "aarhus", "aarhus")) as pair:
        await pair.agreement("open")
        found: list[str] = []
        async with asyncio.timeout(10):
            while not found:
                rows = await pair.provider.store.read(lambda tx: tx.subscriptions.all())
                found = [row.last_error for row in rows if row.last_error]
                await asyncio.sleep(0.01)
    assert "private" in found[0]
    assert receiver.calls == []


async def test_callback_addresses_of_a_request_are_called_as_edc_calls_them(pair: Pair, receiver: Receiver) -> None:
    await pair.consumer.store.transact(lambda tx: tx.secrets.put("hook-code", "let me in"))
    callback = {
        "uri": receiver.url, "events": ["contract.negotiation", "transfer.process.started"], "transactional": False,
        "authKey": "X-Hook", "authCodeId": "hook-code",
    }  # fmt: skip
    begun = await pair.consumer.negotiations.request("odense", pair.address, await pair.offer("open"), callbacks=(callback,))
    done: Any = await until(pair.consumer.negotiations.get, begun.id, "FINALIZED")
    await soon(lambda: len(receiver.sent) == 4)  # each process has its own order
    transfer = await pair.consumer.transfers.request(done.agreement_id, callbacks=(callback,))
    await until(pair.consumer.transfers.get, transfer.id, "STARTED")
    await soon(lambda: len(receiver.sent) == 5)
    assert receiver.types == [
        "ContractNegotiationRequested", "ContractNegotiationAgreed", "ContractNegotiationVerified",
        "ContractNegotiationFinalized", "TransferProcessStarted",
    ]  # fmt: skip
    assert all(set(event) == {"id", "at", "payload", "type"} for event in receiver.sent)
    assert all(headers["X-Hook"] == "let me in" for headers, _ in receiver.calls)
    final, started = receiver.sent[3]["payload"], receiver.sent[4]["payload"]
    assert (final["contractNegotiationId"], final["counterPartyId"]) == (begun.id, "odense")
    assert final["contractAgreement"]["id"] == done.agreement_id
    token = started["dataAddress"]["properties"]["https://w3id.org/edc/v0.0.1/ns/authorization"]
    endpoint = started["dataAddress"]["properties"]["https://w3id.org/edc/v0.0.1/ns/endpoint"]
    async with aiohttp.ClientSession() as session, session.get(endpoint, headers={"Authorization": token}) as answer:
        assert answer.status == 200
    assert abs(receiver.sent[0]["at"] / 1000 - datetime.now(UTC).timestamp()) < 60


async def test_a_callback_that_ends_with_its_process_is_forgotten(pair: Pair, receiver: Receiver) -> None:
    callback = {"uri": receiver.url, "events": ["contract.negotiation.terminated"]}
    begun = await pair.consumer.negotiations.request(
        "odense", pair.address, await pair.offer("research"), purpose="dpv:Marketing", callbacks=(callback,)
    )
    await until(pair.consumer.negotiations.get, begun.id, "TERMINATED")
    await soon(lambda: receiver.sent)
    assert "purpose" in receiver.sent[0]["payload"]["reason"]
    async with asyncio.timeout(5):
        while await pair.consumer.store.read(lambda tx: tx.subscriptions.all()):
            await asyncio.sleep(0.01)


async def test_a_page_follows_the_events_and_goes_on_where_it_was_cut_off(pair: Pair) -> None:
    url = f"{pair.provider.management_url}/management/v3/events"
    async with aiohttp.ClientSession() as session:
        async with session.get(url, params={"events": "contract.negotiation"}) as live:
            assert live.content_type == "text/event-stream"
            lines = _lines(live)
            assert await anext(lines) == "retry: 1000"
            agreement = await pair.agreement("open")
            seen = [await _event(lines) for _ in range(4)]
        assert [kind for _, kind, _ in seen] == NEGOTIATED
        assert f'"contractAgreementId":"{agreement}"' in seen[3][2]
        async with session.get(url, headers={"Last-Event-ID": seen[1][0]}) as again:
            lines = _lines(again)
            assert await anext(lines) == "retry: 1000"
            assert [await _event(lines), await _event(lines)] == seen[2:]
        async with session.get(url, headers={"Last-Event-ID": "yesterday"}) as wrong:
            assert wrong.status == 400


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    async with asyncio.timeout(10):
        async for line in response.content:
            if line.strip():
                yield line.decode().strip()


async def _event(lines: AsyncIterator[str]) -> tuple[str, str, str]:
    fields = [await anext(lines) for _ in range(3)]
    id, kind, data = (line.partition(": ")[2] for line in fields)
    return id, kind, data


async def test_the_stop_of_the_connector_does_not_wait_for_those_who_follow(tmp_path: Path) -> None:
    one = odense(tmp_path)
    async with aiohttp.ClientSession() as session:
        async with build(one) as connector:
            live = await session.get(f"{connector.management_url}/management/v3/events")
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 1.5
        assert (await live.read()).startswith(b"retry")


async def test_a_message_that_overtook_its_answer_hides_no_event(pair: Pair) -> None:
    """The consumer's request was taken: its agreement came before the answer did (dsp.process, rule 2)."""
    agreement = await pair.agreement("open")
    for connector in (pair.consumer, pair.provider):
        found = await connector.store.read(lambda tx: tx.agreements.get(agreement))
        assert found is not None
        await until(connector.negotiations.get, found.negotiation_id, "FINALIZED")
        rows = await connector.store.read(lambda tx, id=found.negotiation_id: tx.audit.of_subject(id))
        reached = [row.detail["after"] for row in rows if row.event.endswith((".sent", ".received"))]
        assert reached == ["REQUESTED", "AGREED", "VERIFIED", "FINALIZED"]
