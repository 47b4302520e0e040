"""Two connectors over a network that loses, doubles and delays: they end alike (DSP-053; dsp.process, rules 1-7)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from connector.errors import Unavailable
from connector.ports import Answer, Peers

from .conftest import Pair, publish, running, settings, until


class Weather:
    """Peers that drop requests, drop answers, and send twice, by a seeded die."""

    def __init__(self, peers: Peers, seed: int) -> None:
        self._peers, self._die = peers, random.Random(seed)

    async def post(self, url: str, body: bytes, authorization: str, correlation_id: str) -> Answer:
        roll = self._die.random()
        if roll < 0.2:
            raise Unavailable("lost on the way there")
        answer = await self._peers.post(url, body, authorization, correlation_id)
        if roll < 0.4:
            raise Unavailable("lost on the way back")
        if roll < 0.6:
            await asyncio.sleep(self._die.random() / 50)
            await self._peers.post(url, body, authorization, correlation_id)
        return answer

    async def get(self, url: str, authorization: str | None, correlation_id: str) -> Answer:
        return await self._peers.get(url, authorization, correlation_id)


def storm(pair: Pair, seed: int) -> None:
    for number, side in enumerate((pair.provider, pair.consumer)):
        side.delivery._peers = Weather(side.peers, seed * 2 + number)


async def test_negotiations_and_transfers_end_alike_whatever_the_network_does(tmp_path: Path) -> None:
    odense = settings(tmp_path / "odense", "odense")
    publish(odense.root, "open", "open")
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        offer = await pair.offer("open")
        storm(pair, 7)
        pids = [await pair.negotiate("open", terms=offer) for _ in range(15)]
        done = await asyncio.gather(*(until(pair.consumer.negotiations.get, pid, "FINALIZED", 30) for pid in pids))
        for ours in done:
            await until(pair.provider.negotiations.get, ours.peer_pid or "", "FINALIZED", 30)
        transfers = [await pair.consumer.transfers.request(n.agreement_id) for n in done]  # type: ignore[attr-defined]
        for begun in transfers:
            ours = await until(pair.consumer.transfers.get, begun.id, "STARTED", 30)
            await pair.consumer.transfers.complete(begun.id)
            await until(pair.consumer.transfers.get, begun.id, "COMPLETED", 30)
            await until(pair.provider.transfers.get, ours.peer_pid or "", "COMPLETED", 30)
        counts = [
            await side.store.read(lambda tx: (tx.negotiations.count(), tx.transfers.count()))
            for side in (pair.provider, pair.consumer)
        ]
        assert counts == [(15, 15), (15, 15)]
