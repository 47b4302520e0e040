"""The management API over the real services and an SQLite store in memory; only the network is a double: a list of answers.

Delivery does not run, so what a step commits stays in the outbox, where a test can look at it.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp.test_utils import TestClient, TestServer

from connector.config import Federation as FederationSettings
from connector.config import Management, Node, Settings
from connector.dsp.offering import EDC, Asset, ContractDefinition, Criterion, PolicyDefinition
from connector.errors import Forbidden, Unavailable
from connector.identity.participant import Participant
from connector.observe import Metrics
from connector.odrl.model import Policy, PolicyKind, Rule, RuleKind
from connector.ports import Answer
from connector.services.callers import Callers
from connector.services.catalog import Catalogs
from connector.services.decisions import ByPolicy
from connector.services.delivery import Delivery
from connector.services.edrs import Edrs
from connector.services.exchange import Desk
from connector.services.federation import Federation
from connector.services.history import History
from connector.services.negotiations import Negotiations
from connector.services.offerings import Offerings
from connector.services.publishing import Publishing
from connector.services.transfers import Transfers
from connector.store.sqlite import MEMORY, SqliteStore
from connector.web import management
from connector.web.server import application

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
US = "urn:odense"
PEER = "urn:aarhus"
PEER_ADDRESS = "http://aarhus.example/dsp/2025-1"
CONTEXT = {"@vocab": EDC, "edc": EDC, "odrl": "http://www.w3.org/ns/odrl/2/"}
JSON = "application/json"


class ScriptedPeers:
    """A peer that answers what the test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, bytes | None]] = []
        self.proofs: list[str | None] = []  # the Authorization of each

    async def post(
        self, url: str, body: bytes, authorization: str, correlation_id: str, /, *, media: str = JSON, at_most: int = 0
    ) -> Answer:
        self.proofs.append(authorization)
        return self._next("POST", url, body)

    async def get(self, url: str, authorization: str | None, correlation_id: str, /) -> Answer:
        self.proofs.append(authorization)
        return self._next("GET", url, None)

    async def check(self, url: str, /) -> None:
        if "127.0.0.1" in url:
            raise Forbidden("127.0.0.1 is a private address")

    def _next(self, method: str, url: str, body: bytes | None) -> Answer:
        self.asked.append((method, url, body))
        if not self.answers:
            raise Unavailable("aarhus.example cannot be reached: connection refused")
        return self.answers.pop(0)


class OnePeer:
    """An identity port that knows one caller."""

    async def verify(self, authorization: str | None, /) -> Participant:
        return Participant(PEER)

    async def authorize(self, audience: str, purpose: str | None, /) -> str:
        return f"token for {audience}"


class AnySource:
    """A data source whose one rule is that there must be a baseUrl."""

    async def check(self, address: Mapping[str, str], /) -> str | None:
        return None if address.get("baseUrl") else "DataAddress of type HttpData must contain a valid baseUrl."

    async def open(self, address: Mapping[str, str], request: object, /) -> Any:
        raise Unavailable("not part of these tests")


class NoTokens:
    def issue(self, transfer: object, agreement: object, /) -> Any:
        raise AssertionError("no token is issued in these tests")


@dataclass
class Rig:
    client: TestClient[Any, Any]
    store: SqliteStore
    offerings: Offerings
    peers: ScriptedPeers
    parts: management.Parts
    version: str = "v3"
    answered: Any = field(default=None, repr=False)  # the last response

    async def call(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        """Return status and JSON of the answer (None for an empty body)."""
        data = more.pop("data", None) if body is None else orjson.dumps(body)
        headers = ({"Content-Type": JSON} if data is not None else {}) | more.pop("headers", {})
        async with self.client.request(
            method, f"/management/{self.version}{path}", data=data, headers=headers, **more
        ) as response:
            content = await response.read()
            self.answered = response
            return response.status, orjson.loads(content) if content else None

    async def ok(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        status, answer = await self.call(method, path, body, **more)
        assert status in (200, 204), (status, answer)
        return answer

    async def put(self, **records: Any) -> None:
        """Store records by table: `negotiations=[...]`."""

        def work(tx: Any) -> None:
            for table, rows in records.items():
                for row in rows:
                    getattr(tx, table).put(row)

        await self.store.transact(work)

    async def audit_of(self, subject: str) -> list[str]:
        return [record.event for record in await self.store.read(lambda tx: tx.audit.of_subject(subject))]


@asynccontextmanager
async def rig(tmp_path: Path, private: Management | None = None) -> AsyncIterator[Rig]:
    numbers = itertools.count(1)
    ids = lambda: f"urn:uuid:00000000-0000-4000-8000-{next(numbers):012}"  # noqa: E731
    clock = lambda: NOW  # noqa: E731
    settings = Settings(tmp_path, US)
    store, peers, identity, metrics = SqliteStore.open(MEMORY, clock), ScriptedPeers(), OnePeer(), Metrics()
    address = "http://127.0.0.1:8080/dsp/2025-1"
    offerings = Offerings(store, US, address)
    await offerings.reload(FILES)
    desk = Desk(store, Delivery(store, peers, identity, clock, settings.delivering, metrics), clock, ids, settings, metrics)
    decisions = ByPolicy(offerings, settings.deciding, clock)
    catalogs, nodes = Catalogs(offerings, peers, identity, clock, ids, address), [Node(PEER, PEER_ADDRESS)]
    private = private or Management()
    callers = Callers(private.jwt, tmp_path, peers, clock) if private.jwt else None
    parts = management.Parts(
        store=store,
        offerings=offerings,
        publishing=Publishing(store, offerings, {"HttpData": AnySource()}, clock),
        negotiations=Negotiations(desk, offerings, decisions, address),
        transfers=Transfers(desk, decisions, NoTokens(), US, address),
        catalogs=catalogs,
        edrs=Edrs(store, peers, identity, clock),
        history=History(store),
        clock=clock,
        ids=ids,
        settings=private,
        federation=Federation(catalogs, lambda: nodes, FederationSettings(tuple(nodes)), clock),
        dataplane=management.DataPlane(
            "urn:plane", "http://127.0.0.1:8080/data", ("HttpData",), (), ("HttpData-PULL",), NOW
        ),
        callers=callers,
    )
    app = application("private", management.routes(parts), metrics)
    async with TestClient(TestServer(app)) as client:
        yield Rig(client, store, offerings, peers, parts)
    await store.close()


USE = Policy(PolicyKind.SET, "urn:policy:use", (Rule(RuleKind.PERMISSION, "http://www.w3.org/ns/odrl/2/use"),))
OFFER = replace(USE, kind=PolicyKind.OFFER, uid="offer-1", target="lung", assigner=PEER)
AGREEMENT = replace(OFFER, kind=PolicyKind.AGREEMENT, uid="agreement-1", assignee=US)

# what stands in files: one asset, offered
FILES: tuple[list[Asset], list[PolicyDefinition], list[ContractDefinition]] = (
    [Asset("filed", {EDC + "name": "From a file"}, {}, {"type": "File", "path": "x.csv"}, NOW, "catalog/filed.jsonld")],
    [PolicyDefinition("open-use", USE, {}, NOW, "policies/open-use.yaml")],
    [
        ContractDefinition(
            "filed-offer", "open-use", "open-use", (Criterion(EDC + "id", "=", "filed"),), {}, NOW, "catalog/filed.jsonld"
        )
    ],
)


def asset(id: str, **properties: Any) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "@id": id,
        "properties": properties,
        "dataAddress": {"type": "HttpData", "baseUrl": "http://127.0.0.1/x"},
    }


def policy(id: str, **changes: Any) -> dict[str, Any]:
    terms = {"@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Set", "permission": [{"action": "use"}]}
    return {"@context": CONTEXT, "@id": id, "policy": terms | changes}


def definition(id: str, policy: str = "open-use", **changes: Any) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "@id": id,
        "accessPolicyId": policy,
        "contractPolicyId": policy,
        "assetsSelector": [],
    } | changes


def contract_request(**changes: Any) -> dict[str, Any]:
    offer = {"@id": "offer-1", "@type": "Offer", "assigner": PEER, "target": "lung", "permission": [{"action": "use"}]}
    body = {
        "@context": CONTEXT,
        "protocol": "dataspace-protocol-http:2025-1",
        "counterPartyAddress": PEER_ADDRESS,
        "policy": offer,
    }
    return body | changes


def criterion(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"operandLeft": left, "operator": operator, "operandRight": right}
