"""HttpData-PUSH between two connectors: the provider brings the data to where the consumer wants it (DSP-085, DSP-092)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from connector.app import build
from connector.config import Network
from connector.dsp.messages import DataAddress, EndpointProperty
from connector.dsp.offering import EDC
from connector.dsp.process import Cause, CauseCode
from connector.dsp.transfer import PUSH

from .conftest import QUICK, ROWS, Pair, free_port, publish, running, settings, until

BIG = bytes(range(256)) * 40_000  # ten megabytes: more than sockets and buffers hold
Answer = Callable[[web.Request], int]


@dataclass
class Place:
    """Where the consumer wants its data: an HTTP endpoint that notes what it gets and answers as it is told."""

    url: str = ""
    taken: list[bytes] = field(default_factory=list)  # whole bodies
    headers: list[dict[str, str]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # before it answers 200
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    flow: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: it takes nothing
    broken: int = 0

    async def take(self, request: web.Request) -> web.Response:
        self.begun.set()
        try:
            await self.flow.wait()
            body = await request.read()
        except BaseException:  # whoever sends has gone
            self.broken += 1
            raise
        self.methods.append(request.method)
        self.headers.append(dict(request.headers))
        if self.answers:
            return web.Response(status=self.answers.pop(0))
        self.taken.append(body)
        return web.Response()

    def address(self, **properties: str) -> DataAddress:
        named = {"baseUrl": self.url, **properties}
        return DataAddress("HttpData", None, tuple(EndpointProperty(EDC + k, v) for k, v in named.items()))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with placed() as found:
        yield found


@asynccontextmanager
async def placed() -> AsyncIterator[Place]:
    place = Place()
    place.flow.set()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/in{rest:.*}", place.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    place.url = f"http://127.0.0.1:{port}/in"
    try:
        yield place
    finally:
        place.flow.set()
        await runner.cleanup()


async def pushed(pair: Pair, dataset: str, address: DataAddress) -> str:
    """Begin a push; return the consumer's id of it."""
    begun = await pair.consumer.transfers.request(await pair.agreement(dataset), PUSH, destination=address)
    return begun.id


async def at_provider(pair: Pair, transfer: str) -> str:
    async with asyncio.timeout(10):
        while (peer := (await pair.consumer.transfers.get(transfer)).peer_pid) is None:
            await asyncio.sleep(0.005)
    return peer


async def uses(pair: Pair, transfer: str) -> int:
    agreement = (await pair.consumer.transfers.get(transfer)).agreement_id
    return await pair.provider.store.read(lambda tx: tx.uses.count(agreement))


async def ended(pair: Pair, transfer: str) -> tuple[Cause, Cause]:
    """Return why it was terminated, as the consumer and as the provider knows it."""
    ours = await until(pair.consumer.transfers.get, transfer, "TERMINATED")
    theirs = await pair.provider.transfers.get(ours.peer_pid or "")
    assert ours.cause is not None
    assert theirs.cause is not None
    return ours.cause, theirs.cause


async def test_the_data_is_brought_to_the_consumers_address_and_the_transfer_completes(pair: Pair, place: Place) -> None:
    transfer = await pushed(pair, "open", place.address())
    await until(pair.consumer.transfers.get, transfer, "COMPLETED")
    assert place.taken == [ROWS]
    assert place.methods == ["POST"]
    assert place.headers[0]["Content-Type"].startswith("text/csv")
    assert place.headers[0]["Content-Length"] == str(len(ROWS))
    ours = await pair.consumer.transfers.get(transfer)
    assert ours.data_address is None, "a push gives no token (DSP-085)"


async def test_method_path_and_headers_are_the_consumers_choice_and_its_secrets_are_forgotten(
    pair: Pair, place: Place
) -> None:
    address = place.address(method="PUT", path="cohort.csv", authKey="X-Api-Key", authCode="s3cret")
    address = replace(address, properties=(*address.properties, EndpointProperty("header:X-Study", "gbsg2")))
    transfer = await pushed(pair, "open", address)
    done = await until(pair.consumer.transfers.get, transfer, "COMPLETED")
    assert place.methods == ["PUT"]
    assert (place.headers[0]["X-Api-Key"], place.headers[0]["X-Study"]) == ("s3cret", "gbsg2")
    theirs = await until(pair.provider.transfers.get, done.peer_pid or "", "COMPLETED")
    for side in (done, theirs):
        assert "s3cret" not in repr(side.destination and side.destination.values())  # type: ignore[attr-defined]


async def test_every_dataset_is_offered_for_push_and_pull(pair: Pair) -> None:
    found = await pair.consumer.catalogs.dataset("odense", pair.address, "open")
    distributions = found["distribution"]
    assert isinstance(distributions, list)
    assert [d["format"] for d in distributions if isinstance(d, dict)] == ["HttpData-PULL", "HttpData-PUSH"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, "dataAddress is missing"),
        (DataAddress("HttpData", None, ()), "baseUrl"),
        (DataAddress("AmazonS3", "http://127.0.0.1:9", ()), "endpointType AmazonS3"),
        (DataAddress("HttpData", "http://127.0.0.1:9", (EndpointProperty(EDC + "method", "GET"),)), "POST, PUT, PATCH"),
        (DataAddress("HttpData", "http://127.0.0.1:9", (EndpointProperty("header:Host", "x"),)), "'Host'"),
    ],
)
async def test_a_push_to_nowhere_is_refused_at_the_request(pair: Pair, address: DataAddress | None, words: str) -> None:
    begun = await pair.consumer.transfers.request(await pair.agreement("open"), PUSH, destination=address)
    refused = await until(pair.consumer.transfers.get, begun.id, "TERMINATED")
    assert refused.cause is not None
    assert refused.cause.code is CauseCode.PEER_REFUSED
    assert words in refused.cause.detail


async def test_a_push_into_the_hospitals_own_network_is_refused(tmp_path: Path, place: Place) -> None:
    """The consumer's address must not reach inside: neither as an address nor as a name for one."""
    odense = settings(tmp_path / "odense", "odense", development=False, network=Network(allow=("aarhus.test",)))
    publish(odense.root, "open", "open")
    async with build(odense) as provider:
        assert provider.sink.check({"baseUrl": place.url}) is not None
        assert provider.sink.check({"baseUrl": "http://169.254.169.254/latest"}) is not None

        async def nothing() -> AsyncIterator[bytes]:
            yield b""

        from connector.errors import NotTaken

        with pytest.raises(NotTaken, match="private"):
            await provider.sink.push({"baseUrl": place.url.replace("127.0.0.1", "localhost")}, {}, nothing())
    assert not place.begun.is_set()


async def test_a_destination_that_is_not_ready_is_tried_again_and_counts_as_one_use(pair: Pair, place: Place) -> None:
    place.answers = [503, 429]
    transfer = await pushed(pair, "twice", place.address())
    await until(pair.consumer.transfers.get, transfer, "COMPLETED")
    assert place.taken == [ROWS]
    assert len(place.methods) == 3
    assert await uses(pair, transfer) == 1


async def test_each_push_is_a_use_and_the_third_of_two_is_refused(pair: Pair, place: Place) -> None:
    agreement = await pair.agreement("twice")
    for _ in range(2):
        begun = await pair.consumer.transfers.request(agreement, PUSH, destination=place.address())
        await until(pair.consumer.transfers.get, begun.id, "COMPLETED")
    begun = await pair.consumer.transfers.request(agreement, PUSH, destination=place.address())
    refused = await until(pair.consumer.transfers.get, begun.id, "TERMINATED")
    assert refused.cause is not None
    assert "count" in refused.cause.detail
    assert len(place.taken) == 2


async def test_a_destination_that_refuses_ends_the_transfer_at_once(pair: Pair, place: Place) -> None:
    place.answers = [401] * 9
    ours, theirs = await ended(pair, await pushed(pair, "open", place.address()))
    assert (theirs.code, len(place.methods)) == (CauseCode.PEER_REFUSED, 1)
    assert "401" in ours.detail


async def test_a_destination_that_never_answers_ends_the_transfer_as_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.services.pushing.TRIES", 3)
    odense = settings(tmp_path / "odense", "odense")
    publish(odense.root, "open", "open")
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        nobody = DataAddress("HttpData", f"http://127.0.0.1:{free_port()}/in", ())
        transfer = await pushed(pair, "open", nobody)
        ours, theirs = await ended(pair, transfer)
        assert theirs.code is CauseCode.PEER_UNREACHABLE
        assert "cannot be reached" in ours.detail
        records = await pair.provider.store.read(lambda tx: tx.audit.since(0, 1000))
        assert [r.detail["try"] for r in records if r.event == "push.failed"] == [1, 2]
        assert await uses(pair, transfer) <= 1


async def test_a_source_that_cannot_be_read_ends_the_transfer_and_names_the_source(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.services.pushing.TRIES", 2)
    odense = settings(tmp_path / "odense", "odense")
    publish(odense.root, "open", "open")
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        agreement = await pair.agreement("open")
        (odense.root / "catalog" / "open.csv").unlink()
        begun = await pair.consumer.transfers.request(agreement, PUSH, destination=place.address())
        ours, theirs = await ended(pair, begun.id)
        assert theirs.code is CauseCode.SOURCE
        assert ours.detail.startswith("source:")
        assert place.taken == []
        assert await uses(pair, begun.id) == 0


@pytest.mark.parametrize("way", ["suspend", "terminate", "retire"])
async def test_what_stops_a_transfer_stops_its_push_in_the_middle(tmp_path: Path, place: Place, way: str) -> None:
    odense = settings(tmp_path / "odense", "odense")
    publish(odense.root, "big", "open", BIG)
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        place.flow.clear()
        transfer = await pushed(pair, "big", place.address())
        await asyncio.wait_for(place.begun.wait(), 10)
        theirs = await at_provider(pair, transfer)
        await until(pair.consumer.transfers.get, transfer, "STARTED")
        if way == "suspend":
            await pair.provider.transfers.suspend(theirs, "maintenance")
        elif way == "terminate":
            await pair.consumer.transfers.terminate(transfer, "not needed any more")
        else:
            found = await pair.consumer.transfers.get(transfer)
            await pair.provider.transfers.end_agreement(found.agreement_id, "the ethics vote was withdrawn")
        state = "SUSPENDED" if way == "suspend" else "TERMINATED"
        await until(pair.consumer.transfers.get, transfer, state)
        await until(pair.provider.transfers.get, theirs, state)
        place.flow.set()
        async with asyncio.timeout(10):
            while not place.broken:
                await asyncio.sleep(0.005)
        assert place.taken == []


async def test_a_resumed_push_begins_anew_and_completes(tmp_path: Path, place: Place) -> None:
    odense = settings(tmp_path / "odense", "odense")
    publish(odense.root, "big", "open", BIG)
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        place.flow.clear()
        transfer = await pushed(pair, "big", place.address())
        await asyncio.wait_for(place.begun.wait(), 10)
        theirs = await at_provider(pair, transfer)
        await until(pair.provider.transfers.get, theirs, "STARTED")
        await until(pair.consumer.transfers.get, transfer, "STARTED")
        await pair.consumer.transfers.suspend(transfer, "no room")
        await until(pair.provider.transfers.get, theirs, "SUSPENDED")
        await until(pair.consumer.transfers.get, transfer, "SUSPENDED")
        place.flow.set()
        await pair.consumer.transfers.resume(transfer)
        await until(pair.consumer.transfers.get, transfer, "COMPLETED")
        assert place.taken == [BIG]


async def test_a_push_that_a_restart_interrupts_is_made_again(tmp_path: Path, place: Place) -> None:
    odense = settings(tmp_path / "odense", "odense", delivering=replace(QUICK, give_up=timedelta(minutes=1)))
    publish(odense.root, "big", "twice", BIG)
    place.flow.clear()
    async with build(settings(tmp_path / "aarhus", "aarhus")) as consumer:
        async with build(odense) as provider:
            pair = Pair(provider, consumer)
            transfer = await pushed(pair, "big", place.address())
            await asyncio.wait_for(place.begun.wait(), 10)
        place.flow.set()
        async with build(odense) as provider:
            pair = Pair(provider, consumer)
            await until(consumer.transfers.get, transfer, "COMPLETED")
            assert place.taken == [BIG]
            assert await uses(pair, transfer) == 1, "data went to one place, once whole: one use"
