"""The connector under test: the product as it is, with an operator who follows the kit's script.

Nothing in the product knows the kit. What the kit needs is put in from outside through the product's own doors: datasets
as files in `catalog/`, its agreements through the store, its fixed token through the plain test identity, its script as an
implementation of the `Decisions` port that leaves every step to a person and lets that person act a moment later; and, on
a listener of its own, the two endpoints by which the kit asks us to begin as consumer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from connector.app import Connector, build
from connector.config import Delivering, IdentitySettings, Management, Public, Settings
from connector.dsp.negotiation import Negotiation
from connector.dsp.offering import Agreement
from connector.dsp.transfer import TransferProcess
from connector.errors import ConnectorError
from connector.identity.keys import Keys
from connector.odrl.canonical import fingerprint
from connector.odrl.model import Policy, PolicyKind, Rule, RuleKind
from connector.ports import Transaction
from connector.services.decisions import Decisions, Step, Wait
from tests.conformance.script import DATASETS, NEGOTIATIONS, TRANSFERS, Moves

log = logging.getLogger(__name__)

KIT = "TCK_PARTICIPANT"
TOKEN = "Bearer tck"  # what the kit sends with every request
SELF = "urn:connector:under-test"
PAUSE = 0.4  # seconds: the kit listens for our next message only after it has seen the last state
USE = Rule(RuleKind.PERMISSION, "http://www.w3.org/ns/odrl/2/use")

Act = Callable[[str], Awaitable[object]]


class Scripted:
    """The Decisions port: every step waits for a person; `Person` is that person."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.moves: dict[str, list[tuple[str, str]]] = {}  # what is left of each process's script
        self.act: Callable[[str, str, str], None] = lambda family, pid, name: None

    def negotiation(self, tx: Transaction, before: Negotiation | None, now: Negotiation) -> Step:
        return self._next("negotiations", now.id, now.state, NEGOTIATIONS.get(now.dataset_id, ()))

    def transfer(self, tx: Transaction, before: TransferProcess | None, now: TransferProcess) -> Step:
        return self._next("transfers", now.id, now.state, TRANSFERS.get(now.agreement_id, ()))

    def _next(self, family: str, pid: str, state: str | None, script: Moves) -> Step:
        left = self.moves.setdefault(pid, list(script))
        if left and left[0][0] == state:
            name = left.pop(0)[1]
            self.loop.call_soon_threadsafe(self.act, family, pid, name)  # we are inside the store's transaction
        return Wait("the conformance kit's script")


class Person:
    """Acts for the operator, a moment after there was reason to."""

    def __init__(self, connector: Connector, scripted: Scripted) -> None:
        self.connector, self.tasks = connector, set[asyncio.Task[None]]()
        scripted.act = self.act

    def act(self, family: str, pid: str, name: str) -> None:
        services = {"negotiations": self.connector.negotiations, "transfers": self.connector.transfers}
        do = getattr(services[family], name)
        acts: dict[str, Callable[[], Awaitable[object]]] = {
            "terminate": lambda: do(pid, "as the script says"),
            "counter": lambda: self.counter(pid),
        }
        self.later(acts.get(name, lambda: do(pid)))

    async def counter(self, pid: str) -> None:
        """Answer with the terms that are on the table: what the kit counts is the message."""
        on_the_table = await self.connector.negotiations.get(pid)
        await self.connector.negotiations.counter(pid, on_the_table.offer)

    def later(self, act: Callable[[], Awaitable[object]]) -> None:
        async def wait_and_act() -> None:
            await asyncio.sleep(PAUSE)
            try:
                await act()
            except ConnectorError as error:  # the kit has moved on
                log.warning("%s", error)

        task = asyncio.create_task(wait_and_act())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # --- the kit's triggers ------------------------------------------------------------------------------------------

    async def negotiate(self, request: web.Request) -> web.Response:
        asked = await request.json()
        offer = Policy(PolicyKind.OFFER, asked["offerId"], (USE,), target=asked["datasetId"])
        self.later(lambda: self.connector.negotiations.request(asked["providerId"], asked["connectorAddress"], offer))
        return web.json_response({})

    async def transfer(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.later(
            lambda: self.connector.transfers.request(asked["agreementId"], asked["format"], asked["connectorAddress"])
        )
        return web.json_response({})


def write_files(root: Path) -> None:
    """Write the kit's datasets, each offered for use under the offer id the kit asks for."""
    for folder in ("catalog", "policies"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "policies" / "open-use.yaml").write_text("'@type': Set\n'@id': urn:tck:open-use\npermission:\n  - action: use\n")
    (root / "catalog" / "data.txt").write_text("the kit pulls nothing\n")
    for name in DATASETS:
        dataset = {
            "@id": name,
            "@type": "Dataset",
            "dct:title": name,
            "source": {"type": "file", "path": "data.txt"},
            "policies": [{"policy": "open-use", "@id": f"CD123:{name}:456"}],
        }
        (root / "catalog" / f"{name}.jsonld").write_text(json.dumps(dataset))


def seed(tx: Transaction) -> None:
    """Store the agreements under which the kit transfers."""
    now = datetime.now(UTC)
    for name in TRANSFERS:
        provider, consumer = (KIT, SELF) if name.startswith("ATPC") else (SELF, KIT)
        policy = Policy(
            PolicyKind.AGREEMENT, name, (USE,), target="CAT0101", assigner=provider, assignee=consumer,
            timestamp=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )  # fmt: skip
        tx.agreements.put(
            Agreement(
                id=name, negotiation_id=f"urn:tck:{name}", policy=policy, policy_hash=fingerprint(policy), provider=provider,
                consumer=consumer, dataset_id="CAT0101", signed_at=now, in_force=True,
            )
        )  # fmt: skip


def settings(root: Path, port: int, management: int) -> Settings:
    return Settings(
        root=root, participant=SELF, development=True,
        public=Public(port=port, url=f"http://127.0.0.1:{port}"), management=Management(port=management),
        identity=IdentitySettings(kind="plain", plain_tokens=(f"{TOKEN}={KIT}",)),
        # The kit forgets a test after seconds: a message of an old one would break the next.
        delivering=Delivering(
            first=timedelta(milliseconds=300), longest=timedelta(seconds=1), give_up=timedelta(seconds=5),
            timeout=timedelta(seconds=5),
        ),
    )  # fmt: skip


@asynccontextmanager
async def under_test(root: Path, port: int, management: int, triggers: int) -> AsyncIterator[Connector]:
    """Run the connector under test and its triggers until the block is left."""
    write_files(root)
    Keys.generate(root / "keys", datetime.now(UTC))
    scripted = Scripted()
    decisions: Decisions = scripted
    connector = build(settings(root, port, management), decisions)
    await connector.store.transact(seed)
    async with connector:
        person = Person(connector, scripted)
        app = web.Application()
        app.add_routes(
            [web.post("/negotiations/requests", person.negotiate), web.post("/transfers/requests", person.transfer)]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", triggers).start()
            yield connector
        finally:
            await runner.cleanup()
