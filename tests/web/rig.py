"""A provider's data endpoint on loopback: real store, real tokens, real sources, one dataset under one agreement."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import SSLContext
from typing import TypeVar

from aiohttp import ClientSession, web

from connector.config import IdentitySettings, Public, Settings
from connector.dataplane.file import FileSource
from connector.dataplane.http import HttpSource
from connector.dsp.messages import DataAddress, Role
from connector.dsp.offering import Agreement, Asset
from connector.dsp.transfer import State, TransferProcess
from connector.errors import ConnectorError
from connector.identity.keys import Keys
from connector.identity.plain import PlainIdentity
from connector.identity.tokens import AccessTokens
from connector.observe import Metrics
from connector.odrl.canonical import fingerprint
from connector.odrl.model import Constraint, Json, Policy, PolicyKind, Rule, RuleKind
from connector.ports import AuditRecord
from connector.services.access import Access
from connector.store.sqlite import SqliteStore
from connector.web import data

ODRL = "http://www.w3.org/ns/odrl/2/"
T = TypeVar("T")
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
AARHUS, ODENSE = "aarhus", "odense"


def limit(left: str, operator: str, right: Json) -> Constraint:
    return Constraint(ODRL + left, ODRL + operator, right)


def at_most(uses: int) -> Constraint:
    return limit("count", "lteq", uses)


def policy(*constraints: Constraint) -> Policy:
    rule = Rule(RuleKind.PERMISSION, ODRL + "use", constraints)
    return Policy(PolicyKind.AGREEMENT, "urn:uuid:a", (rule,), target="lung", assigner=ODENSE, assignee=AARHUS)


@dataclass
class Hand:
    """A clock set by hand."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Rig:
    store: SqliteStore
    tokens: AccessTokens
    access: Access
    clock: Hand
    client: ClientSession
    assets: dict[str, Asset]
    url: str
    exhausted: list[str]

    async def agreed(self, *constraints: Constraint, purpose: str | None = None) -> None:
        """Put an agreement and a started transfer process into the store."""
        terms = policy(*constraints)
        agreement = Agreement(
            "urn:uuid:a",
            "urn:uuid:n",
            terms,
            fingerprint(terms),
            ODENSE,
            AARHUS,
            "lung",
            START,
            purpose=purpose,
            in_force=True,
        )
        transfer = TransferProcess(
            id="urn:uuid:t", role=Role.PROVIDER, peer=AARHUS, peer_pid="urn:uuid:c", peer_address="http://aarhus",
            correlation_id="corr-1", created_at=START, updated_at=START, state=State.STARTED, agreement_id="urn:uuid:a",
            dataset_id="lung", format="HttpData-PULL",
        )  # fmt: skip
        await self.store.transact(lambda tx: (tx.agreements.put(agreement), tx.transfers.put(transfer)))

    async def change_transfer(self, change: Callable[[TransferProcess], TransferProcess]) -> None:
        await self.store.transact(lambda tx: tx.transfers.put(change(_there(tx.transfers.get("urn:uuid:t")))))

    async def change_agreement(self, change: Callable[[Agreement], Agreement]) -> None:
        await self.store.transact(lambda tx: tx.agreements.put(change(_there(tx.agreements.get("urn:uuid:a")))))

    async def suspend(self) -> None:
        await self.change_transfer(lambda t: replace(t, state=State.SUSPENDED, epoch=t.epoch + 1))

    async def edr(self) -> DataAddress:
        found = await self.store.read(lambda tx: (tx.transfers.get("urn:uuid:t"), tx.agreements.get("urn:uuid:a")))
        return self.tokens.issue(_there(found[0]), _there(found[1]))

    async def token(self) -> str:
        return (await self.edr()).get("authorization") or ""

    async def uses(self) -> int:
        return await self.store.read(lambda tx: tx.uses.count("urn:uuid:a"))

    async def audit(self, event: str) -> list[AuditRecord]:
        found = await self.store.read(lambda tx: tx.audit.of_subject("urn:uuid:t"))
        return [record for record in found if record.event == event]


def _there(found: T | None) -> T:
    assert found is not None
    return found


@asynccontextmanager
async def rig(
    folder: Path, address: Mapping[str, str], *, port: int = 0, tls: SSLContext | None = None
) -> AsyncIterator[Rig]:
    """Serve dataset `lung` at `address`, known to the store as agreed with Aarhus."""
    clock, counter, exhausted = Hand(), itertools.count(), list[str]()

    def ids() -> str:
        return f"urn:uuid:{next(counter)}"

    settings = Settings(folder, ODENSE, public=Public(url="http://odense"), identity=IdentitySettings("plain"))
    store = SqliteStore.open(folder / "connector.sqlite", clock)
    tokens = AccessTokens(Keys.generate(folder / "keys", START - timedelta(days=1)), settings, clock, ids)
    http = HttpSource()
    assets = {"lung": Asset("lung", data_address=dict(address))}

    async def note(transfer: str) -> None:
        exhausted.append(transfer)
        access.revoke(transfer)
        raise ConnectorError("ended by itself meanwhile")

    sources = {"File": FileSource(folder), "HttpData": http}
    access = Access(store, tokens, sources, assets.get, ODENSE, clock, ids, Metrics(), note)
    app = web.Application()
    app.add_routes(data.routes(access, tokens, PlainIdentity(settings)))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)).start()
    url = f"{'https' if tls else 'http'}://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/data"  # type: ignore[union-attr]
    async with ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"}) as client:
        try:
            yield Rig(store, tokens, access, clock, client, assets, url, exhausted)
        finally:
            await runner.cleanup()
            await http.close()
            await store.close()
