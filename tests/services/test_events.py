"""What the audit tells as events, and the signature of webhooks against the specification's own example."""

from __future__ import annotations

from dataclasses import replace

from connector.dsp.binding import ENDPOINTS
from connector.dsp.messages import ContractAgreement, Kind
from connector.errors import Unavailable
from connector.identity.participant import Participant
from connector.odrl.model import PolicyKind
from connector.ports import Answer
from connector.services.events import read
from connector.services.notifying import signature
from tests.services.conftest import OFFER, Bench

AGREE = next(endpoint for endpoint in ENDPOINTS if Kind.AGREE in endpoint.kinds)


def silent(url: str, document: dict[str, object]) -> Answer:
    raise Unavailable("the answer is lost")


async def test_a_message_that_overtakes_the_answer_to_ours_hides_no_event(bench: Bench) -> None:
    """The provider agrees, so it had our request, though its answer never came (dsp.process, rule 2)."""
    bench.peers.reply = silent
    begun = await bench.negotiations.request("peer", "http://peer.example/dsp", replace(OFFER, assigner="peer"))
    agreed = replace(OFFER, kind=PolicyKind.AGREEMENT, uid="urn:agreement:1", assigner="peer", assignee="us")
    message = ContractAgreement(id="urn:m:1", consumer_pid=begun.id, provider_pid="urn:peer:1", agreement=agreed)
    await bench.negotiations.receive(Participant("peer"), AGREE, begun.id, message)
    rows = await bench.store.read(lambda tx: [read(tx, row) for row in tx.audit.of_subject(begun.id)])
    told = [event.type for event in rows if event is not None]
    assert told == ["contract.negotiation.requested", "contract.negotiation.agreed"]


def test_the_signature_is_that_of_the_standard_webhooks_specification() -> None:
    """Its example, with which its libraries test themselves (standard-webhooks, spec/standard-webhooks.md)."""
    signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
