"""The federated catalogue: answered from memory, refreshed behind it, later and later for a node that is silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.config import Federation as Settings
from connector.config import Node
from connector.errors import Unavailable
from connector.odrl.model import Json
from connector.services.federation import CHANGED, LAST_SEEN, ORIGINATOR, Federation, flat

START = datetime(2026, 3, 1, tzinfo=UTC)
A, B = Node("urn:a", "http://a.example/dsp/2025-1"), Node("urn:b", "http://b.example/dsp/2025-1")
EVERY = timedelta(minutes=10)


class World:
    """Nodes that answer what the test says, and a clock set by hand."""

    def __init__(self) -> None:
        self.now, self.nodes = START, [A, B]
        self.catalogs: dict[str, dict[str, Json] | None] = {A.url: offers("lung"), B.url: offers("heart")}
        self.asked: list[str] = []
        self.federation = Federation(self, lambda: self.nodes, Settings(tuple(self.nodes), every=EVERY), lambda: self.now)  # type: ignore[arg-type]

    async def request(self, peer: str, address: str, query: Json | None = None) -> dict[str, Json]:
        self.asked.append(peer)
        found = self.catalogs[address]
        if found is None:
            raise Unavailable(f"{peer} cannot be reached")
        return found

    async def after(self, minutes: float) -> list[str]:
        """Return whom a crawl asks, so much later."""
        self.now, self.asked = self.now + timedelta(minutes=minutes), []
        await self.federation.crawl()
        return sorted(self.asked)

    def held(self) -> dict[Any, Any]:
        return {found[ORIGINATOR]: found for found in self.federation.catalogs()}


def offers(*ids: str) -> dict[str, Json]:
    return {"@id": "urn:c", "@type": "Catalog", "dataset": [{"@id": id, "@type": "Dataset"} for id in ids]}


@pytest.fixture
def world() -> World:
    return World()


async def test_each_node_is_asked_when_its_time_has_come(world: World) -> None:
    assert await world.after(0) == ["urn:a", "urn:b"]
    assert await world.after(9) == []
    assert await world.after(1) == ["urn:a", "urn:b"]


async def test_an_entry_says_when_it_was_seen_and_when_it_changed(world: World) -> None:
    await world.after(0)
    await world.after(10)
    world.catalogs[A.url] = offers("lung", "liver")
    await world.after(10)
    a, b = world.held()[A.url], world.held()[B.url]
    assert [a[LAST_SEEN], a[CHANGED]] == [(START + 2 * EVERY).isoformat()] * 2
    assert (b[LAST_SEEN], b[CHANGED]) == ((START + 2 * EVERY).isoformat(), START.isoformat())
    assert [one["@id"] for one in a["dataset"]] == ["lung", "liver"]


async def test_a_silent_node_is_asked_later_and_later_while_its_last_word_stays(world: World) -> None:
    await world.after(0)
    world.catalogs[A.url] = None
    waits, since = [], 0
    for _ in range(70):
        since += 10
        if "urn:a" in await world.after(10):
            waits.append(since)
            since = 0
    assert waits == [10, 10, 20, 40, 80, 160, 320]
    assert world.held()[A.url][LAST_SEEN] == START.isoformat()
    world.catalogs[A.url] = offers("back")
    await world.after(320)
    assert world.held()[A.url]["dataset"] == [{"@id": "back", "@type": "Dataset"}]
    assert "urn:a" in await world.after(10)


async def test_what_was_silent_for_a_day_is_forgotten(world: World) -> None:
    await world.after(0)
    world.catalogs[A.url] = None
    for _ in range(12):
        await world.after(160)
    assert list(world.held()) == [B.url]


async def test_a_node_that_is_no_longer_named_is_gone_at_once(world: World) -> None:
    await world.after(0)
    world.nodes.remove(A)
    await world.after(0)
    assert list(world.held()) == [B.url]


async def test_a_node_that_never_answered_has_no_entry(world: World) -> None:
    world.catalogs[B.url] = None
    await world.after(0)
    assert list(world.held()) == [A.url]


def test_flat_puts_nested_catalogues_into_one() -> None:
    inner = {**offers("inner"), "service": [{"@id": "s2"}]}
    outer: dict[str, Json] = {
        **offers("outer"),
        "service": [{"@id": "s1"}],
        "catalog": [{**offers("mid"), "catalog": [inner]}],
    }
    found = flat(outer)
    assert "catalog" not in found
    assert [one["@id"] for one in found["dataset"]] == ["outer", "mid", "inner"]  # type: ignore[union-attr,index,call-overload]
    assert found["service"] == [{"@id": "s1"}, {"@id": "s2"}]
