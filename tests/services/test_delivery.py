"""Delivery: what each answer of a peer leads to, and what time does (issue: bounded retries, typed causes)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from connector.dsp.messages import Kind
from connector.dsp.process import CauseCode
from connector.errors import Unavailable
from connector.identity.participant import Participant
from connector.ports import Answer
from connector.services.delivery import Delivery

from .conftest import OFFER, Bench, ack


def answers(*replies: Answer | Exception) -> Callable[[str, dict[str, object]], Answer]:
    """Answer with each in turn, with the last one from then on."""
    left = list(replies)

    def reply(url: str, document: dict[str, object]) -> Answer:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return reply


def error(status: int, reason: str = "no") -> Answer:
    body = b'{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"ContractNegotiationError",'
    return Answer(status, body + f'"code":"{status}","reason":["{reason}"]}}'.encode())


async def begun(bench: Bench) -> str:
    return (await bench.negotiations.request("peer", "http://peer/dsp", OFFER)).id


async def test_a_committed_step_is_sent_at_once_and_its_answer_moves_the_state(bench: Bench) -> None:
    pid = await begun(bench)
    await bench.quiet()
    negotiation = await bench.negotiations.get(pid)
    assert (negotiation.state, negotiation.peer_pid, negotiation.pending) == ("REQUESTED", "urn:peer:1", None)
    assert bench.peers.sent[0][0] == "http://peer/dsp/negotiations/request"


async def test_an_unreachable_peer_is_tried_again_with_the_same_message_later_and_later(bench: Bench) -> None:
    bench.peers.reply = answers(Unavailable("refused"), Unavailable("refused"), Answer(201, ack("REQUESTED")))
    pid = await begun(bench)
    await bench.wait(1)
    await bench.wait(2)
    assert (await bench.negotiations.get(pid)).state == "REQUESTED"
    assert len(bench.peers.sent) == 3
    assert len({str(document["@id"]) for _, document in bench.peers.sent}) == 1  # a retry is the same message


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503])
async def test_a_peer_that_is_busy_or_racing_is_not_a_refusal(bench: Bench, status: int) -> None:
    bench.peers.reply = answers(error(status), Answer(201, ack("REQUESTED")))
    pid = await begun(bench)
    await bench.wait(1)
    assert (await bench.negotiations.get(pid)).state == "REQUESTED"


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_a_refused_request_ends_with_the_peers_reason_and_nothing_is_sent_after_it(bench: Bench, status: int) -> None:
    bench.peers.reply = answers(error(status, "the offer is gone"))
    pid = await begun(bench)
    await bench.quiet()
    ended = await bench.negotiations.get(pid)
    assert ended.state == "TERMINATED"
    assert ended.cause is not None
    assert ended.cause.code is CauseCode.PEER_REFUSED
    assert "the offer is gone" in ended.cause.detail
    assert bench.peers.types == ["ContractRequestMessage"]  # the peer has no process to terminate


async def test_a_peer_that_stays_away_ends_it_as_unreachable(bench: Bench) -> None:
    bench.peers.reply = answers(Unavailable("connection refused"))
    pid = await begun(bench)
    for _ in range(12):
        await bench.wait(400)
    ended = await bench.negotiations.get(pid)
    assert ended.cause is not None
    assert (ended.state, ended.cause.code) == ("TERMINATED", CauseCode.PEER_UNREACHABLE)
    assert "connection refused" in ended.cause.detail


async def test_a_peer_that_accepts_and_then_says_nothing_meets_the_deadline(bench: Bench) -> None:
    pid = await begun(bench)
    await bench.wait(25 * 3600)
    ended = await bench.negotiations.get(pid)
    assert ended.cause is not None
    assert ended.cause.code is CauseCode.DEADLINE
    assert bench.peers.types == ["ContractRequestMessage", "ContractNegotiationTerminationMessage"]


async def test_leaving_while_the_request_is_on_its_way_still_tells_the_peer(bench: Bench) -> None:
    """The answer to a creation carries the pid that the termination needs (dsp.process, rule 3)."""
    on_its_way, may_arrive = asyncio.Event(), asyncio.Event()
    post = bench.peers.post

    async def slow(url: str, body: bytes, authorization: str, correlation_id: str) -> Answer:
        if not on_its_way.is_set():
            on_its_way.set()
            await may_arrive.wait()
        return await post(url, body, authorization, correlation_id)

    bench.peers.post = slow  # type: ignore[method-assign]
    pid = await begun(bench)
    await on_its_way.wait()
    await bench.negotiations.terminate(pid, "changed our mind")
    may_arrive.set()
    await bench.quiet()
    assert bench.peers.types == ["ContractRequestMessage", "ContractNegotiationTerminationMessage"]
    assert bench.peers.sent[1][0] == "http://peer/dsp/negotiations/urn%3Apeer%3A1/termination"


async def test_what_a_crash_left_in_the_outbox_is_sent_by_the_next_process(bench: Bench) -> None:
    stopped = Delivery.hand
    Delivery.hand = lambda self, envelopes: None  # type: ignore[method-assign,assignment]
    try:
        pid = await begun(bench)  # committed, never sent: the process died here
    finally:
        Delivery.hand = stopped  # type: ignore[method-assign]
    assert bench.peers.sent == []
    await bench.wait(120)  # the lease runs out
    assert (await bench.negotiations.get(pid)).state == "REQUESTED"


async def test_every_step_is_in_the_audit_log_with_one_correlation_id(bench: Bench) -> None:
    pid = await begun(bench)
    await bench.quiet()
    await bench.negotiations.terminate(pid, "enough")
    await bench.quiet()
    rows = await bench.store.read(lambda tx: tx.audit.of_subject(pid))
    events = [row.event.removeprefix("negotiations.") for row in rows]
    assert events == ["queued", "sent", "queued", "terminated"]
    assert len({row.correlation_id for row in rows}) == 1


async def test_a_message_for_another_participants_process_finds_nothing(bench: Bench) -> None:
    from connector.dsp.binding import ENDPOINTS
    from connector.dsp.messages import ContractTermination
    from connector.errors import NotFound

    pid = await begun(bench)
    await bench.quiet()
    endpoint = next(e for e in ENDPOINTS if Kind.TERMINATE in e.kinds)
    message = ContractTermination(id="urn:x", consumer_pid=pid, provider_pid="urn:peer:1")
    with pytest.raises(NotFound):
        await bench.negotiations.receive(Participant("stranger"), endpoint, pid, message)
    assert (await bench.negotiations.get(pid)).state == "REQUESTED"


async def test_a_termination_that_comes_too_early_for_the_peer_is_sent_again(bench: Bench) -> None:
    """A peer that has not read our answer to its request may refuse it with 400; without a second try it waits for ever."""
    pid = await begun(bench)
    await bench.quiet()
    bench.peers.reply = answers(error(400, "too early"), Answer(200, b""))
    await bench.negotiations.terminate(pid, "changed our mind")
    await bench.wait(1)
    assert bench.peers.types == ["ContractRequestMessage", *["ContractNegotiationTerminationMessage"] * 2]
    assert await bench.store.read(lambda tx: tx.outbox.depth()) == 0
