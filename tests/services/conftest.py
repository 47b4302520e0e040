"""One connector's services over SQLite in memory, a peer that is a list, and a clock set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import orjson
import pytest

from connector.config import Delivering, Settings
from connector.dsp.messages import DataAddress
from connector.dsp.offering import Agreement
from connector.dsp.transfer import TransferProcess
from connector.errors import Unavailable
from connector.identity.participant import Participant
from connector.observe import Metrics
from connector.odrl.model import Policy
from connector.odrl.read import policy
from connector.ports import Answer
from connector.services.decisions import ByPolicy
from connector.services.delivery import Delivery
from connector.services.exchange import Desk
from connector.services.negotiations import Negotiations
from connector.services.offerings import Offerings
from connector.services.transfers import Transfers
from connector.store.sqlite import SqliteStore

Reply = Callable[[str, dict[str, object]], Answer]
OFFER: Policy = policy({"@type": "Offer", "@id": "urn:offer:1", "target": "ds", "permission": [{"action": "use"}]})


def ack(state: str, pid: str = "urn:peer:1") -> bytes:
    both = {"providerPid": pid, "consumerPid": pid, "state": state, "@type": "ContractNegotiation"}
    return orjson.dumps({"@context": ["https://w3id.org/dspace/2025/1/context.jsonld"]} | both)


@dataclass
class Listed:
    """Peers as a list: `sent` holds what arrived, `reply` answers it."""

    reply: Reply
    sent: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    async def post(self, url: str, body: bytes, authorization: str, correlation_id: str) -> Answer:
        document = orjson.loads(body)
        self.sent.append((url, document))
        return self.reply(url, document)

    async def get(self, url: str, authorization: str | None, correlation_id: str) -> Answer:
        raise Unavailable("nobody is there")

    @property
    def types(self) -> list[object]:
        return [document["@type"] for _, document in self.sent]


class Known:
    async def verify(self, authorization: str | None) -> Participant:
        return Participant("peer")

    async def authorize(self, audience: str, purpose: str | None) -> str:
        return "token"


class NoTokens:
    def issue(self, transfer: TransferProcess, agreement: Agreement) -> DataAddress:
        return DataAddress("urn:test")


@dataclass
class Hand:
    """A clock that moves when told to."""

    now: datetime = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Bench:
    def __init__(self, store: SqliteStore, clock: Hand, ids: Iterator[int]) -> None:
        self.store, self.clock = store, clock
        self.peers = Listed(lambda url, document: Answer(201, ack("REQUESTED")))
        self.settings = Settings(
            root=Path(), participant="us", delivering=Delivering(give_up=timedelta(hours=1), longest=timedelta(minutes=5))
        )
        metrics = Metrics()
        new = lambda: f"urn:test:{next(ids)}"  # noqa: E731
        self.delivery = Delivery(store, self.peers, Known(), clock, self.settings.delivering, metrics)
        desk = Desk(store, self.delivery, clock, new, self.settings, metrics)
        self.offerings = Offerings(store, "us", "http://us/dsp")
        decisions = ByPolicy(self.offerings, self.settings.deciding, clock)
        self.negotiations = Negotiations(desk, self.offerings, decisions, "http://us/dsp")
        self.transfers = Transfers(desk, decisions, NoTokens(), "us", "http://us/dsp")
        self.delivery.serve({"negotiations": self.negotiations, "transfers": self.transfers})

    async def wait(self, seconds: float) -> None:
        """Let time pass: delivery does what is due then."""
        await self.quiet()
        self.clock.now += timedelta(seconds=seconds)
        self.delivery.wake()
        await self.quiet()

    async def quiet(self) -> None:
        """Return when nothing moves any more: no delivery under way, or only those that a peer leaves unanswered."""
        still = waited = 0
        while still < 8 and waited < 150:
            await asyncio.sleep(0.002)
            still, waited = (0 if self.delivery._underway else still + 1), waited + 1


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = Hand()
    made = Bench(SqliteStore.open(":memory:", clock), clock, count(1))
    running = asyncio.create_task(made.delivery.run())
    await asyncio.sleep(0)
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.store.close()
