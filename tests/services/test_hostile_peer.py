"""A peer that lets us wait, answers everything, or answers nonsense: it harms its own processes, not those of others."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from connector.dsp.binding import ENDPOINTS
from connector.dsp.messages import ContractTermination, Kind
from connector.errors import NotFound
from connector.identity.participant import Participant
from connector.ports import Answer
from connector.services.delivery import LANES

from .conftest import OFFER, Bench, ack


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


async def test_an_answer_with_a_pid_of_a_megabyte_gives_none(bench: Bench) -> None:
    bench.peers.reply = lambda url, document: Answer(201, ack("REQUESTED", "urn:" + "x" * 900_000))
    begun = await bench.negotiations.request("peer", "http://peer/dsp", OFFER)
    await bench.quiet()
    ended = await bench.negotiations.get(begun.id)
    assert ended.cause is not None
    assert (ended.state, ended.peer_pid, ended.cause.detail) == ("TERMINATED", None, "its answer names no pid of its own")


async def test_answers_that_give_two_processes_one_pid_mix_nothing_up(bench: Bench) -> None:
    """A peer that calls everything `urn:same`: each message still finds the process it was sent to, and no other."""
    bench.peers.reply = lambda url, document: Answer(201, ack("FINALIZED", "urn:same"))
    one, other = [await bench.negotiations.request("peer", "http://peer/dsp", OFFER) for _ in range(2)]
    await bench.quiet()
    terminate = next(e for e in ENDPOINTS if Kind.TERMINATE in e.kinds and e.family == "negotiations")
    message = ContractTermination(consumer_pid=one.id, provider_pid="urn:same", reason=("enough",))
    await bench.negotiations.receive(Participant("peer"), terminate, one.id, message)
    with pytest.raises(NotFound):
        await bench.negotiations.receive(Participant("peer"), terminate, other.id, message)
    assert (await bench.negotiations.get(one.id)).state == "TERMINATED"
    assert (await bench.negotiations.get(other.id)).state == "REQUESTED"  # whatever state the answer claimed
