"""A peer that lets us wait, answers everything, or answers nonsense: it harms its own processes, not those of others."""

from __future__ import annotations

import asyncio
from collections import Counter

from connector.ports import Answer
from connector.services.delivery import LANES

from .conftest import OFFER, Bench


def tarpit(bench: Bench) -> Counter[str]:
    """Let whoever posts to `tarpit` wait for ever; return how often each message was sent there."""
    post, sent = bench.peers.post, Counter[str]()

    async def slow(url: str, body: bytes, authorization: str, correlation_id: str) -> Answer:
        if url.startswith("http://tarpit"):
            sent[body.decode()] += 1
            await asyncio.Event().wait()
        return await post(url, body, authorization, correlation_id)

    bench.peers.post = slow  # type: ignore[method-assign]
    return sent


async def test_a_peer_that_never_answers_does_not_hold_up_messages_to_others(bench: Bench) -> None:
    tarpit(bench)
    for _ in range(300):
        await bench.negotiations.request("tarpit", "http://tarpit/dsp", OFFER)
    honest = await bench.negotiations.request("peer", "http://peer/dsp", OFFER)
    await bench.quiet()
    assert (await bench.negotiations.get(honest.id)).state == "REQUESTED"


async def test_what_waits_for_a_slow_peer_is_not_begun_again_when_its_lease_is_over(bench: Bench) -> None:
    sent = tarpit(bench)
    for _ in range(100):
        await bench.negotiations.request("tarpit", "http://tarpit/dsp", OFFER)
    before = len(asyncio.all_tasks())
    for _ in range(5):
        await bench.wait(61)
    assert len(asyncio.all_tasks()) <= before
    assert set(sent.values()) == {1}
    assert len(sent) == LANES
