"""Two whole connectors in one process, on loopback, with SQLite files of their own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.app import Connector, build
from connector.config import Deciding, Delivering, IdentitySettings, Management, Public, Settings
from connector.dsp.process import Process
from connector.identity.keys import Keys
from connector.odrl.model import Policy, PolicyKind
from connector.odrl.read import policy as read_policy

QUICK = Delivering(first=timedelta(milliseconds=40), longest=timedelta(milliseconds=200), give_up=timedelta(seconds=8))
ROWS = b"patient,age,outcome\n" + b"".join(b"%d,%d,%s\n" % (i, 40 + i % 40, b"yes" if i % 3 else b"no") for i in range(500))

POLICIES = {
    "open": "permission:\n  - action: use\n",
    "research": (
        "permission:\n  - action: use\n    constraint:\n"
        "      - leftOperand: purpose\n        operator: isA\n        rightOperand: eu-ehds:HealthcareScientificResearch\n"
    ),
    "twice": (
        "permission:\n  - action: use\n    constraint:\n"
        '      - leftOperand: count\n        operator: lteq\n        rightOperand: "2"\n'
    ),
    "not-aarhus": "permission:\n  - action: use\n    assignee: somebody-else\n",
}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def settings(root: Path, participant: str, **changes: object) -> Settings:
    """A folder and settings for one connector; `changes` replace fields of Settings."""
    root.mkdir(parents=True, exist_ok=True)
    for name in ("policies", "catalog"):
        (root / name).mkdir(exist_ok=True)
    Keys.generate(root / "keys", datetime.now(UTC))
    port = free_port()
    made = Settings(
        root=root, participant=participant, development=True,
        public=Public(port=port, url=f"http://127.0.0.1:{port}"), management=Management(port=free_port()),
        identity=IdentitySettings(kind="plain"), delivering=QUICK, deciding=Deciding(),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def publish(root: Path, name: str, policy: str, data: bytes = ROWS) -> None:
    """Write a dataset `name` under policy `policy` (a key of POLICIES, or YAML) into a connector's folder."""
    text = POLICIES.get(policy, policy)
    (root / "policies" / f"{name}-terms.yaml").write_text(f'"@type": Set\n"@id": urn:test:{name}-terms\n{text}')
    (root / "catalog" / f"{name}.csv").write_bytes(data)
    (root / "catalog" / f"{name}.jsonld").write_text(
        f'{{"@id": "{name}", "@type": "Dataset", "dct:title": "{name}", "policies": ["{name}-terms"],'
        f' "source": {{"type": "file", "path": "{name}.csv", "mediaType": "text/csv"}}}}'
    )


@dataclass
class Pair:
    provider: Connector
    consumer: Connector

    @property
    def address(self) -> str:
        return self.provider.public_url + "/dsp/2025-1"

    async def offer(self, dataset: str) -> Policy:
        """The dataset's first offer, read from the provider's catalogue as the consumer sees it."""
        found = await self.consumer.catalogs.dataset(self.provider.settings.participant, self.address, dataset)
        offers = found["hasPolicy"]
        assert isinstance(offers, list)
        return replace(read_policy(offers[0], kind=PolicyKind.OFFER), target=dataset)

    async def negotiate(self, dataset: str, purpose: str | None = None, terms: Policy | None = None) -> str:
        begun = await self.consumer.negotiations.request(
            self.provider.settings.participant, self.address, terms or await self.offer(dataset), purpose=purpose
        )
        return begun.id

    async def agreement(self, dataset: str, purpose: str | None = None) -> str:
        done = await until(self.consumer.negotiations.get, await self.negotiate(dataset, purpose), "FINALIZED")
        assert done.agreement_id is not None  # type: ignore[attr-defined]
        return str(done.agreement_id)  # type: ignore[attr-defined]

    async def started(self, agreement: str) -> str:
        begun = await self.consumer.transfers.request(agreement)
        await until(self.consumer.transfers.get, begun.id, "STARTED")
        return begun.id


async def until(get: Callable[[str], Awaitable[Process]], pid: str, state: str, seconds: float = 10) -> Process:
    """Return the process once it is in `state`; fail with what it is instead."""
    async with asyncio.timeout(seconds):
        while True:
            found = await get(pid)
            if found.current == state and found.pending is None:
                return found
            assert not (found.ended and found.current != state), f"{found.current}: {found.cause}"
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(one: Settings, other: Settings) -> AsyncIterator[Pair]:
    async with build(one) as provider, build(other) as consumer:
        yield Pair(provider, consumer)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Odense offers one dataset under each of POLICIES; Aarhus consumes."""
    odense = settings(tmp_path / "odense", "odense")
    for name in POLICIES:
        publish(odense.root, name, name)
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as both:
        yield both
