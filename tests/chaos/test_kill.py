"""Kill -9 of either connector at random moments, restarted each time: everything ends alike, nothing is lost or doubled.

200 negotiations and as many transfers, suspended, resumed, completed and terminated from both sides at once, over two
`connector serve` processes with SQLite files; ten rounds, each from its own seed. CHAOS_ROUNDS and CHAOS_BATCH change the
size. The model check (tests/dsp/test_model.py) shows the same for the rules alone; this shows it for the whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest

from connector.dsp.negotiation import Negotiation
from connector.dsp.process import Process
from connector.ports import Query
from connector.store.sqlite import SqliteStore
from tests.chaos.node import DATASET, OFFER, Node, Refused

ROUNDS, BATCH, KILLS = int(os.environ.get("CHAOS_ROUNDS", "10")), int(os.environ.get("CHAOS_BATCH", "20")), 4
SECONDS = 60 * max(ROUNDS, 1)
ENDED = ("COMPLETED", "TERMINATED")

pytestmark = pytest.mark.slow
P = TypeVar("P", bound=Process)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as http:
        provider, consumer = Node(tmp_path / "odense", "odense", http), Node(tmp_path / "aarhus", "aarhus", http)
        provider.write(publishes=True)
        consumer.write(publishes=False)
        try:
            yield provider, consumer
        finally:
            for node in (provider, consumer):
                await node.end(signal.SIGKILL)


async def exchange(provider: Node, consumer: Node, dice: random.Random) -> tuple[str, str]:
    """Carry one negotiation and one transfer to their ends; return the consumer's pids."""
    await asyncio.sleep(dice.uniform(0, 2))
    offer = {
        "@context": "http://www.w3.org/ns/odrl.jsonld",
        "@type": "Offer",
        "@id": OFFER,
        "assigner": provider.participant,
        "target": DATASET,
        "permission": [{"action": "use"}],
    }
    partner = {"protocol": "dataspace-protocol-http:2025-1", "counterPartyAddress": provider.dsp}
    begun = await consumer.post(
        "/contractnegotiations", **{"@type": "ContractRequest"}, counterPartyId=provider.participant, policy=offer, **partner
    )
    negotiation = str(begun["@id"])
    agreed = await consumer.until(f"/contractnegotiations/{negotiation}", "FINALIZED", "TERMINATED")
    assert agreed["state"] == "FINALIZED", agreed
    begun = await consumer.post(
        "/transferprocesses",
        **{"@type": "TransferRequest"},
        contractId=agreed["contractAgreementId"],
        transferType="HttpData-PULL",
        **partner,
    )
    transfer = str(begun["@id"])
    await finish(provider, consumer, transfer, dice)
    return negotiation, transfer


async def finish(provider: Node, consumer: Node, transfer: str, dice: random.Random) -> None:
    """Let both operators suspend and resume as they like, at once, and then one of them end it."""
    started = await consumer.until(f"/transferprocesses/{transfer}", "STARTED")
    sides = {provider: f"/transferprocesses/{started['correlationId']}", consumer: f"/transferprocesses/{transfer}"}
    for _ in range(dice.randrange(3)):
        verbs = [(node, dice.choice(("suspend", "resume", None))) for node in sides]
        await asyncio.gather(*(attempt(node, sides[node], verb) for node, verb in verbs if verb))
    who, verb = dice.choice(list(sides)), dice.choice(("complete", "terminate"))
    while (await who.get(sides[who]))["state"] not in ENDED:
        await attempt(who, sides[who], verb)
        await asyncio.sleep(0.05)
        if (await who.get(sides[who]))["state"] == "SUSPENDED":
            verb = "terminate"  # what is suspended cannot complete


async def attempt(node: Node, path: str, verb: str) -> None:
    """Ask for it once: the other side may have been first, or a message may be on its way."""
    with contextlib.suppress(Refused):
        await node.post(f"{path}/{verb}", **({"reason": "chaos"} if verb in ("suspend", "terminate") else {}))


async def kill_at_random(nodes: tuple[Node, Node], dice: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(dice.uniform(0.1, 1.2))
        victim = dice.choice(nodes)
        await victim.end(signal.SIGKILL)
        await victim.start()


@pytest.mark.parametrize("seed", [2026])
async def test_killed_at_random_both_sides_end_alike(pair: tuple[Node, Node], seed: int) -> None:
    provider, consumer = pair
    carried: list[tuple[str, str]] = []
    async with asyncio.timeout(SECONDS):
        for node in pair:
            await node.start()
        for number in range(ROUNDS):
            dice = random.Random(f"{seed}:{number}")
            exchanges = [exchange(provider, consumer, random.Random(dice.random())) for _ in range(BATCH)]
            done, _ = await asyncio.gather(asyncio.gather(*exchanges), kill_at_random(pair, dice))
            carried += done
        await at_rest(pair, {transfer for _, transfer in carried})
    for node in pair:
        await node.end(signal.SIGTERM)
    for family in ("negotiations", "transfers"):
        theirs, ours = await stored(provider, family), await stored(consumer, family)
        begun = {pair[family == "transfers"] for pair in carried}
        assert len(begun) == ROUNDS * BATCH
        assert begun <= ours.keys()  # none lost
        assert Counter(p.peer_pid for p in theirs.values()) == Counter(ours.keys())  # none doubled, none made up
        assert {p.id: p.current for p in ours.values()} == {str(p.peer_pid): p.current for p in theirs.values()}
        assert all(
            p.ended and (p.cause is not None) == (p.current == "TERMINATED") for p in (*ours.values(), *theirs.values())
        )
        if family == "negotiations":
            assert {p.id: p.agreement_id for p in ours.values() if isinstance(p, Negotiation)} == {
                str(p.peer_pid): p.agreement_id for p in theirs.values() if isinstance(p, Negotiation)
            }


async def at_rest(pair: tuple[Node, Node], carried: set[str]) -> None:
    """Wait until every process has ended, on both sides. A transfer whose id was lost in a kill is terminated here."""
    consumer = pair[1]
    for transfer in await every(consumer, "/transferprocesses/request"):
        if transfer["@id"] not in carried:
            await attempt(consumer, f"/transferprocesses/{transfer['@id']}", "terminate")
    for node in pair:
        for path in ("/contractnegotiations/request", "/transferprocesses/request"):
            while not all(p["state"] in (*ENDED, "FINALIZED") for p in await every(node, path)):
                await asyncio.sleep(0.1)


async def every(node: Node, path: str) -> list[dict[str, object]]:
    found = await node.post(path, **{"@type": "QuerySpec"}, limit=10_000)
    assert isinstance(found, list)
    return found


async def stored(node: Node, family: str) -> dict[str, Process]:
    """Return what the node's database holds, read when its process has ended."""
    store = SqliteStore.open(node.folder / "connector.sqlite", lambda: None)  # type: ignore[arg-type,return-value]
    try:
        query = Query(limit=None)
        found: list[Process] = await store.read(
            lambda tx: list(tx.negotiations.query(query) if family == "negotiations" else tx.transfers.query(query))
        )
        assert await store.read(lambda tx: tx.outbox.depth()) == 0
    finally:
        await store.close()
    return {process.id: process for process in found}
