"""The federated catalogue: other connectors' catalogues, fetched now and then and answered from memory.

A query never waits for the network. What a node sent last stays until it sends something newer, and says when that was;
a node that does not answer is asked later and later, and is forgotten when it has been silent for `keep`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

import orjson
import structlog

from connector.config import Federation as FederationSettings
from connector.config import Node
from connector.dsp.offering import EDC
from connector.errors import ConnectorError
from connector.observe import take_correlation
from connector.odrl.model import Json
from connector.ports import Clock
from connector.services.catalog import Catalogs

log = structlog.get_logger()

ORIGINATOR, LAST_SEEN, CHANGED = EDC + "originator", EDC + "lastSeen", EDC + "lastChanged"
AT_ONCE = 4  # nodes asked at the same time
LATEST = 32  # an unreachable node waits at most this many intervals


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one node. `catalog` None: it has not answered yet."""

    node: Node
    due: datetime
    failures: int = 0
    catalog: Mapping[str, Json] | None = None
    digest: bytes = b""
    seen: datetime | None = None
    changed: datetime | None = None


class Federation:
    """`nodes` is asked at every round: partners come and go while the connector runs."""

    def __init__(
        self, catalogs: Catalogs, nodes: Callable[[], Iterable[Node]], settings: FederationSettings, clock: Clock
    ) -> None:
        self._catalogs, self._nodes, self._settings, self._clock = catalogs, nodes, settings, clock
        self._entries: dict[str, Entry] = {}

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return self._settings.partners or bool(self._settings.nodes)

    def catalogs(self) -> list[dict[str, Json]]:
        """Return what every node offered when it was last seen."""
        return [shown(entry) for entry in self._entries.values() if entry.catalog is not None]

    async def run(self) -> None:
        """Crawl until cancelled."""
        while True:
            await self.crawl()
            now = self._clock()
            next_due = min((entry.due for entry in self._entries.values()), default=now + self._settings.every)
            wait = min(max(next_due - now, timedelta(seconds=1)), self._settings.every)
            await asyncio.sleep(wait.total_seconds())

    async def crawl(self) -> None:
        """Ask every node that is due, once."""
        now = self._clock()
        nodes = {node.url.rstrip("/"): node for node in self._nodes()}
        known = {url: self._entries.get(url) or Entry(node, now) for url, node in nodes.items()}
        self._entries = {url: replace(entry, node=nodes[url]) for url, entry in known.items()}
        turn = asyncio.Semaphore(AT_ONCE)

        async def ask(url: str, entry: Entry) -> None:
            async with turn:
                self._entries[url] = await self._asked(entry)

        async with asyncio.TaskGroup() as group:
            for url, entry in list(self._entries.items()):
                if entry.due <= now:
                    group.create_task(ask(url, entry))

    async def _asked(self, entry: Entry) -> Entry:
        take_correlation(None)
        try:
            catalog = await self._catalogs.request(entry.node.id, entry.node.url)
        except ConnectorError as error:
            return self._failed(entry, error)
        now = self._clock()
        digest = sha256(orjson.dumps(catalog, option=orjson.OPT_SORT_KEYS)).digest()
        if entry.catalog is not None and digest == entry.digest:
            return replace(entry, due=now + self._settings.every, failures=0, seen=now)
        log.info("federation.changed", node=entry.node.id, url=entry.node.url)
        return Entry(entry.node, now + self._settings.every, 0, catalog, digest, seen=now, changed=now)

    def _failed(self, entry: Entry, error: ConnectorError) -> Entry:
        now, failures = self._clock(), entry.failures + 1
        log.warning("federation.silent", node=entry.node.id, url=entry.node.url, failures=failures, error=str(error)[:300])
        due = now + self._settings.every * min(2 ** (failures - 1), LATEST)
        if entry.seen is not None and now - entry.seen > self._settings.keep:
            return Entry(entry.node, due, failures)
        return replace(entry, due=due, failures=failures)


def shown(entry: Entry) -> dict[str, Json]:
    """Return a node's catalogue with where and when it was seen, under full IRIs, which mean the same in any context."""
    return {
        **(entry.catalog or {}),
        ORIGINATOR: entry.node.url,
        LAST_SEEN: entry.seen.isoformat() if entry.seen else None,
        CHANGED: entry.changed.isoformat() if entry.changed else None,
    }


def flat(catalog: Mapping[str, Json]) -> dict[str, Json]:
    """Return the catalogue with the datasets and services of the catalogues in it as its own."""
    inner = [flat(part) for part in _list(catalog.get("catalog")) if isinstance(part, Mapping)]
    found = {name: value for name, value in catalog.items() if name != "catalog"}
    for name in ("dataset", "service"):
        items = [*_list(catalog.get(name)), *(item for part in inner for item in _list(part.get(name)))]
        if items:
            found[name] = items
    return found


def _list(value: Json) -> list[Json]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
