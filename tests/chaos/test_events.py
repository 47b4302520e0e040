"""A connector is killed again and again while it tells of its events: its subscriber hears each, in order, none made up."""

from __future__ import annotations

import asyncio
import base64
import random
import signal
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.services.events import read
from connector.store.sqlite import SqliteStore
from tests.chaos.node import Node
from tests.chaos.test_kill import exchange

pytestmark = pytest.mark.slow

SECRET = base64.b64encode(bytes(range(32))).decode()
KILLS, EXCHANGES = 5, 12


async def test_a_subscriber_of_a_connector_that_is_killed_hears_everything_in_order(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []  # (sequence, id) of what was taken
    dice = random.Random(2026)

    async def take(request: web.Request) -> web.Response:
        event = await request.json()
        if dice.random() < 0.2:
            return web.Response(status=500)
        heard.append((event["sequence"], event["id"]))
        await asyncio.sleep(dice.random() * 0.02)  # some answers come to a process that is no more
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    timeout = aiohttp.ClientTimeout(total=3)
    async with TestServer(app) as server, aiohttp.ClientSession(timeout=timeout) as http, asyncio.timeout(60):
        provider, consumer = (Node(tmp_path / name, name, http) for name in ("odense", "aarhus"))
        for node in (provider, consumer):
            node.write(publishes=node is provider)
        with (provider.folder / "connector.toml").open("a") as file:
            file.write(f'[[events.subscribers]]\nurl = "{server.make_url("/hook")}"\nsecret = "{SECRET}"\n')
        try:
            await asyncio.gather(provider.start(), consumer.start())
            exchanges = [exchange(provider, consumer, random.Random(n)) for n in range(EXCHANGES)]
            await asyncio.gather(kill(provider), *exchanges)
            before = -1
            while len(heard) > before:  # until nothing new has come for longer than a retry takes
                before = len(heard)
                await asyncio.sleep(1.5)
        finally:
            for node in (provider, consumer):
                await node.end(signal.SIGTERM)
    wanted = await committed(provider)
    assert len(wanted) > EXCHANGES * 5
    first = list(dict.fromkeys(sequence for sequence, _ in heard))
    assert first == wanted
    assert len(set(heard)) == len(first)  # what came twice came with the same id


async def kill(node: Node) -> None:
    dice = random.Random(7)
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.2, 1.0))
        await node.end(signal.SIGKILL)
        await node.start()


async def committed(node: Node) -> list[str]:
    """The events that its audit holds, in order."""
    store = SqliteStore.open(node.folder / "connector.sqlite", lambda: datetime.now(UTC))
    try:
        rows = await store.read(lambda tx: [(row.seq, read(tx, row)) for row in tx.audit.since(0, 1_000_000)])
    finally:
        await store.close()
    return [f"{seq:020}" for seq, event in rows if event is not None]
