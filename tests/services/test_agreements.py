"""What a consumer makes of an agreement that is not the one it asked for (DSP-060, DSP-061)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.dsp.binding import ENDPOINTS
from connector.dsp.messages import ContractAgreement, Kind
from connector.dsp.negotiation import Negotiation
from connector.dsp.process import CauseCode
from connector.identity.participant import Participant
from connector.odrl.model import Policy, PolicyKind
from connector.odrl.read import policy

from .conftest import OFFER, Bench

AGREE = next(endpoint for endpoint in ENDPOINTS if Kind.AGREE in endpoint.kinds)
AGREED = replace(
    OFFER, kind=PolicyKind.AGREEMENT, uid="urn:agreement:1", assigner="peer", assignee="us",
    timestamp="2026-11-23T08:00:00Z",
)  # fmt: skip
NARROWER = policy(
    {"@type": "Agreement", "@id": "urn:agreement:1", "target": "ds", "assigner": "peer", "assignee": "us",
     "permission": [{"action": "use", "constraint": [
         {"leftOperand": "count", "operator": "lteq", "rightOperand": {"@value": "1", "@type": "xsd:integer"}}]}]}
)  # fmt: skip


async def answered_with(bench: Bench, agreement: Policy) -> Negotiation:
    """Request OFFER of the peer and let it answer with `agreement`."""
    begun = await bench.negotiations.request("peer", "http://peer/dsp", OFFER)
    await bench.quiet()
    message = ContractAgreement(id="urn:m:1", consumer_pid=begun.id, provider_pid="urn:peer:1", agreement=agreement)
    await bench.negotiations.receive(Participant("peer"), AGREE, begun.id, message)
    await bench.quiet()
    return await bench.negotiations.get(begun.id)


async def test_the_agreement_that_was_asked_for_is_verified(bench: Bench) -> None:
    assert (await answered_with(bench, AGREED)).state == "VERIFIED"


@pytest.mark.parametrize(
    ("agreement", "named"),
    [
        (NARROWER, "count"),
        (replace(AGREED, assigner="somebody"), "assigner"),
        (replace(AGREED, assignee="somebody"), "assignee"),
        (replace(AGREED, target="another"), "target"),
    ],
)
async def test_any_other_agreement_ends_the_negotiation_and_says_what_differs(
    bench: Bench, agreement: Policy, named: str
) -> None:
    ended = await answered_with(bench, agreement)
    assert ended.cause is not None
    assert (ended.state, ended.cause.code) == ("TERMINATED", CauseCode.MISMATCH)
    assert named in ended.cause.detail
    assert bench.peers.types[-1] == "ContractNegotiationTerminationMessage"
    held = await bench.store.read(lambda tx: tx.agreements.get("urn:agreement:1"))
    assert held is not None
    assert not held.in_force


async def again(bench: Bench, agreement: Policy) -> Negotiation:
    """Let the peer agree once more, as EDC does when our answer to its agreement was lost."""
    before = await answered_with(bench, AGREED)
    message = ContractAgreement(id="urn:m:2", consumer_pid=before.id, provider_pid="urn:peer:1", agreement=agreement)
    await bench.negotiations.receive(Participant("peer"), AGREE, before.id, message)
    await bench.quiet()
    return await bench.negotiations.get(before.id)


async def test_a_provider_that_agrees_once_more_is_held_to_the_last_agreement(bench: Bench) -> None:
    found = await again(bench, replace(AGREED, uid="urn:agreement:2"))
    assert (found.state, found.agreement_id) == ("VERIFIED", "urn:agreement:2")
    held = await bench.store.read(lambda tx: (tx.agreements.get("urn:agreement:1"), tx.agreements.get("urn:agreement:2")))
    assert held[0] is None
    assert held[1] is not None
    assert not held[1].in_force


async def test_a_provider_that_agrees_once_more_on_other_terms_ends_the_negotiation(bench: Bench) -> None:
    ended = await again(bench, replace(NARROWER, uid="urn:agreement:2"))
    assert ended.cause is not None
    assert (ended.state, ended.cause.code) == ("TERMINATED", CauseCode.MISMATCH)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_peers_are_called_over_http_and_https(bench: Bench, scheme: str) -> None:
    """DSP-009."""
    await bench.negotiations.request("peer", f"{scheme}://peer/dsp/", OFFER)
    await bench.quiet()
    assert bench.peers.sent[0][0] == f"{scheme}://peer/dsp/negotiations/request"
