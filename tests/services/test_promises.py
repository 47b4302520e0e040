"""Promises and crossing messages through the services, as `tests/dsp/test_model.py` shows them of the rules alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.dsp.binding import ENDPOINTS
from connector.dsp.messages import Kind, Role, TransferSuspension
from connector.dsp.process import CauseCode
from connector.dsp.transfer import State, TransferProcess
from connector.errors import Conflict, IllegalTransition, Unavailable
from connector.identity.participant import Participant
from connector.ports import Answer
from tests.dsp.model import blank
from tests.services.conftest import Bench
from tests.services.test_delivery import answers, error

SUSPENDING = next(endpoint for endpoint in ENDPOINTS if Kind.SUSPEND in endpoint.kinds)
THEIRS = TransferSuspension(id="urn:theirs", consumer_pid="urn:peer:1", provider_pid="ours")


async def started(bench: Bench, role: Role) -> str:
    begun = blank(TransferProcess, role).at(State.STARTED)
    transfer = replace(begun, peer_pid="urn:peer:1", created_at=bench.clock(), updated_at=bench.clock())
    await bench.store.transact(lambda tx: tx.transfers.put(transfer))
    return transfer.id


@pytest.mark.parametrize("status", [401, 403])
async def test_a_peer_that_does_not_know_us_for_a_while_undoes_no_promise(bench: Bench, status: int) -> None:
    """It may have taken the completion before it lost our key (dsp.process, rule 4)."""
    bench.peers.reply = answers(*[error(status)] * 9, Answer(200, b""))
    pid = await started(bench, Role.CONSUMER)
    await bench.transfers.complete(pid)
    for _ in range(8):
        await bench.wait(400)
    with pytest.raises(Conflict):
        await bench.transfers.terminate(pid, "tired of waiting")
    await bench.wait(400)
    assert (await bench.transfers.get(pid)).state == "COMPLETED"


async def test_a_promise_outlives_every_deadline_and_the_end_of_all_tries(bench: Bench) -> None:
    bench.peers.reply = answers(*[Unavailable("down")] * 15, Answer(200, b""))
    pid = await started(bench, Role.CONSUMER)
    await bench.transfers.complete(pid)
    for _ in range(15):
        await bench.wait(24 * 3600)
    assert (await bench.transfers.get(pid)).state == "COMPLETED"


async def test_a_refused_completion_that_the_state_allows_ends_the_transfer(bench: Bench) -> None:
    """DSP-053: the peers' states differ."""
    bench.peers.reply = answers(error(400), Answer(200, b""))
    pid = await started(bench, Role.CONSUMER)
    await bench.transfers.complete(pid)
    await bench.quiet()
    ended = await bench.transfers.get(pid)
    assert ended.cause is not None
    assert (ended.state, ended.cause.code) == ("TERMINATED", CauseCode.PEER_REFUSED)
    assert bench.peers.types == ["TransferCompletionMessage", "TransferTerminationMessage"]


async def test_a_crossing_message_waits_until_the_providers_is_answered_and_is_then_refused_for_good(bench: Bench) -> None:
    bench.peers.reply = answers(Unavailable("slow"), Answer(200, b""))
    pid = await started(bench, Role.PROVIDER)
    await bench.transfers.suspend(pid)
    await bench.quiet()
    with pytest.raises(Unavailable):
        await bench.transfers.receive(Participant("peer"), SUSPENDING, pid, THEIRS)
    await bench.wait(1)
    assert (await bench.transfers.get(pid)).state == "SUSPENDED"
    with pytest.raises(IllegalTransition):
        await bench.transfers.receive(Participant("peer"), SUSPENDING, pid, THEIRS)
    await bench.store.transact(lambda tx: tx.transfers.put(replace(tx.transfers.get(pid), state=State.STARTED)))  # type: ignore[type-var]
    with pytest.raises(IllegalTransition):  # a late copy, though the state would allow it now
        await bench.transfers.receive(Participant("peer"), SUSPENDING, pid, THEIRS)
