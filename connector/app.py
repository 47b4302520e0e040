"""The composition root: the only place that names concrete adapters and joins them to the services.

`build(settings)` gives a `Connector`; `async with connector:` runs both listeners, delivery and the watch over the files
until the block is left. What is in flight then stays in the outbox and goes on at the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import uuid4

import structlog
from aiohttp import web

from connector.config import Node, Settings
from connector.dataplane.file import FileSource
from connector.dataplane.http import HttpSource
from connector.dataplane.push import HttpSink
from connector.dsp.offering import Asset
from connector.dsp.process import CauseCode
from connector.errors import ConnectorError, InvalidFiles, OperatorError
from connector.files.publication import Published, load
from connector.files.watching import watch
from connector.identity.keys import Keys
from connector.identity.plain import PlainIdentity
from connector.identity.tokens import AccessTokens
from connector.identity.trust import Partner, TrustIdentity
from connector.observe import Metrics
from connector.peers.client import Guard, HttpPeers
from connector.ports import Identity, Source
from connector.services.access import Access
from connector.services.callers import Callers
from connector.services.catalog import Catalogs
from connector.services.decisions import ByPolicy, Decisions
from connector.services.delivery import Delivery
from connector.services.edrs import Edrs
from connector.services.exchange import Desk
from connector.services.federation import Federation
from connector.services.history import History
from connector.services.negotiations import Negotiations
from connector.services.notifying import Notifications
from connector.services.offerings import Offerings
from connector.services.publishing import Publishing
from connector.services.pushing import Pushing, Sinks
from connector.services.transfers import Transfers
from connector.store.sqlite import SqliteStore
from connector.web import data, dsp, health, management
from connector.web.server import application

log = structlog.get_logger()

IDLE = timedelta(seconds=75)  # a connection that sends no whole request in this time is closed; proxies keep theirs for 60


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    return f"urn:uuid:{uuid4()}"


@dataclass(slots=True)
class Listening:
    """What is running; empty until the connector is entered."""

    public: str | None = None
    management: str | None = None
    files: str | None = "not read yet"


class Connector:
    """One connector with everything in it, joined and ready to be entered."""

    def __init__(self, settings: Settings, decisions: Decisions | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.public_url = settings.public.url.rstrip("/")
        self.management_url = f"http://{settings.management.host}:{settings.management.port}"
        address = self.public_url + dsp.BASE
        self.store = SqliteStore.open(settings.root / settings.database, utc_now)
        self.keys = Keys.load(settings.root / settings.identity.keys)
        self.identity, thumbprint = _identity(settings, self.keys)
        self.tokens = AccessTokens(self.keys, settings, utc_now, new_id, thumbprint)
        self.peers = HttpPeers(settings.network, settings.development, settings.delivering.timeout)
        self.sources: Mapping[str, Source] = {"File": FileSource(settings.root), "HttpData": HttpSource()}
        guard = Guard(settings.network, settings.development)
        self.sink = HttpSink(guard, guard.check_literal)
        sinks = Sinks({"HttpData": self.sink, "HTTP": self.sink})  # EDC's name, and the end of DSP's own
        self.offerings = Offerings(self.store, settings.participant, address)
        self.delivery = Delivery(self.store, self.peers, self.identity, utc_now, settings.delivering, self.metrics)
        self.access = Access(
            self.store, self.tokens, self.sources, self._asset, settings.participant, utc_now, new_id, self.metrics
        )
        desk = Desk(self.store, self.delivery, utc_now, new_id, settings, self.metrics, self.access.revoke, self._push)
        self.decisions = decisions or ByPolicy(self.offerings, settings.deciding, utc_now)
        self.negotiations = Negotiations(desk, self.offerings, self.decisions, address)
        self.transfers = Transfers(desk, self.decisions, self.tokens, settings.participant, address, sinks)
        self.pushing = Pushing(self.store, self.access, sinks, self.transfers, utc_now, settings.delivering)
        self.catalogs = Catalogs(self.offerings, self.peers, self.identity, utc_now, new_id, address)
        jwt = settings.management.jwt
        self.callers = None if jwt is None else Callers(jwt, settings.root, self.peers, utc_now)
        self.federation = Federation(self.catalogs, self._nodes, settings.federation, utc_now)
        self.publishing = Publishing(self.store, self.offerings, self.sources, utc_now)
        self.edrs = Edrs(self.store, self.peers, self.identity, utc_now)
        self.history = History(self.store)
        self.notifications = Notifications(
            self.store, self.peers, utc_now, settings.participant, settings.delivering, settings.events.subscribers,
            self.metrics,
        )  # fmt: skip
        self.store.on_commit = self.notifications.wake
        self.access.on_exhausted = self._exhausted
        self.delivery.serve({"negotiations": self.negotiations, "transfers": self.transfers})
        self._listening = Listening()
        self._notices = {"files": self._files_noticed, "trust": self._trust_noticed, "keys": self._keys_noticed}
        self._stack = AsyncExitStack()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(self.peers.close)
            stack.push_async_callback(self._close_sources)
            published = await asyncio.to_thread(load, self.settings)  # a start with broken files says so and ends
            await self._in_force(published)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            tasks = [
                group.create_task(self.delivery.run(), name="delivery"),
                group.create_task(self.pushing.run(), name="pushing"),
                group.create_task(self.notifications.run(), name="events"),
                group.create_task(watch(self.settings, self._changed, published.digest), name="files"),
            ]
            if self.federation.wanted:
                tasks.append(group.create_task(self.federation.run(), name="federation"))
            stack.callback(lambda: [task.cancel() for task in tasks])
            public, private = self.settings.public, self.settings.management
            self._listening.public = await _listen(stack, self._public(), public.host, public.port)
            self._listening.management = await _listen(stack, self._private(), private.host, private.port)
            self._stack = stack.pop_all()
        log.info(
            "connector.ready", participant=self.settings.participant, public=self.public_url, private=self.management_url
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.public = self._listening.management = None
        await self._stack.aclose()

    async def _close_sources(self) -> None:
        await self.sink.close()
        for source in self.sources.values():
            if isinstance(source, HttpSource):
                await source.close()

    # --- files --------------------------------------------------------------------------------------------------------

    async def _in_force(self, published: Published) -> None:
        await self.offerings.reload((list(published.assets), list(published.policies), list(published.definitions)))
        self._listening.files = None
        for problem in self.offerings.current.problems:
            log.warning("offering.left-out", problem=str(problem))
        log.info("files.in-force", datasets=len(published.assets), policies=len(published.policies), digest=published.digest)

    async def _changed(self, found: Published | InvalidFiles) -> None:
        """Take a change over, or keep what was in force and say why."""
        try:
            if isinstance(found, InvalidFiles):
                raise found
            await self._in_force(found)
        except ConnectorError as error:
            self._listening.files = str(error)
            log.error("files.refused", problems=str(error).splitlines(), in_force="the last good version")

    # --- surfaces -----------------------------------------------------------------------------------------------------

    def _public(self) -> web.Application:
        parts = dsp.DspParts(
            self.identity, self.catalogs, self.negotiations, self.transfers, self.settings.public, self.metrics
        )
        return application("public", dsp.routes(parts) + data.routes(self.access, self.tokens, self.identity), self.metrics)

    def _private(self) -> web.Application:
        parts = management.Parts(
            self.store, self.offerings, self.publishing, self.negotiations, self.transfers, self.catalogs,
            self.edrs, self.history, utc_now, new_id, self.settings.management, self.federation, self._data_plane(),
            self.callers, self._partners, self.notifications,
        )  # fmt: skip
        checks = {"store": self._store_ready, "public listener": self._public_ready, "keys": self._keys_ready}
        probes = health.routes(checks, self._notices, self.metrics, self._measure)
        private = application("private", management.routes(parts) + probes, self.metrics)
        private.on_shutdown.append(self._end_streams)
        return private

    async def _end_streams(self, _: web.Application) -> None:
        self.notifications.stop()

    async def _measure(self) -> None:
        """Bring the gauges up to date that nothing else moves."""
        self.metrics.files_valid.set(not any([await notice() for notice in self._notices.values()]))
        with suppress(ConnectorError):  # the store does not answer: readiness says so, the last figure stays
            self.metrics.outbox.set(await self.store.read(lambda tx: tx.outbox.depth()))

    async def _store_ready(self) -> str | None:
        try:
            await self.store.read(lambda tx: tx.outbox.next_try())
        except ConnectorError as error:
            return str(error)
        return self.store.trouble

    async def _public_ready(self) -> str | None:
        return None if self._listening.public else "does not listen"

    async def _keys_ready(self) -> str | None:
        try:
            self.keys.signing(utc_now())
        except OperatorError as error:
            return str(error)
        return None

    # A broken edit changes nothing: we serve on with what was good, and these say what is wrong.

    async def _files_noticed(self) -> str | None:
        problems = self._listening.files
        return f"the last good version is in force; the files have problems: {problems}" if problems else None

    async def _trust_noticed(self) -> str | None:
        problem = self.identity.problem if isinstance(self.identity, TrustIdentity) else None
        return f"the last good trust file is in force; it has problems: {problem}" if problem else None

    async def _keys_noticed(self) -> str | None:
        self.keys.valid(utc_now())  # reads the folder again where it has changed
        return f"the keys read last are in use; the folder has problems: {self.keys.problem}" if self.keys.problem else None

    def _partners(self) -> Collection[Partner]:
        return self.identity.partners.values() if isinstance(self.identity, TrustIdentity) else ()

    def _nodes(self) -> list[Node]:
        """Return the connectors whose catalogues are held."""
        partners = [Node(partner.id, partner.dsp) for partner in self._partners() if partner.dsp]
        return [*self.settings.federation.nodes, *(partners if self.settings.federation.partners else ())]

    def _data_plane(self) -> management.DataPlane:
        kinds = ("HttpData-PULL", "HttpData-PUSH")
        id = f"{self.settings.participant}:data-plane"
        return management.DataPlane(id, self.tokens.endpoint, tuple(self.sources), ("HttpData",), kinds, utc_now())

    def _push(self, transfer_id: str) -> None:
        self.pushing.begin(transfer_id)

    def _asset(self, asset_id: str) -> Asset | None:
        return self.offerings.current.assets.get(asset_id)

    async def _exhausted(self, transfer_id: str) -> None:
        try:
            await self.transfers.terminate(
                transfer_id, "every use that the agreement allows is made", CauseCode.USES_EXHAUSTED
            )
        except ConnectorError as error:  # it ended by itself meanwhile
            log.info("transfer.ended-already", transfer=transfer_id, error=str(error))


def build(settings: Settings, decisions: Decisions | None = None) -> Connector:
    """Join a connector. Raises OperatorError for what an operator has to mend first."""
    return Connector(settings, decisions)


def _identity(settings: Settings, keys: Keys) -> tuple[Identity, Callable[[str], str | None]]:
    """Return who we are, and how a participant's key is found."""
    if settings.identity.kind == "plain":
        return PlainIdentity(settings), lambda participant: None
    trust = TrustIdentity.load(settings, keys, utc_now, new_id)
    return trust, trust.thumbprint


async def _listen(stack: AsyncExitStack, app: web.Application, host: str, port: int) -> str:
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=2.0, handler_cancellation=True, keepalive_timeout=IDLE.total_seconds()
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port, backlog=512).start()
    except OSError as error:
        raise OperatorError(f"cannot listen on {host}:{port}: {error.strerror or error}: choose another port") from error
    return f"{host}:{port}"
