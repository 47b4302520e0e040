"""Contract negotiations: begin one as consumer, follow it, decide what waits for a person, end it."""

from __future__ import annotations

from dataclasses import replace

from connector.dsp.negotiation import Negotiation
from connector.errors import InvalidFiles
from connector.odrl import read as odrl
from connector.odrl.model import Policy, PolicyKind
from connector.web.management import query, states
from connector.web.management.agreements import show as show_agreement
from connector.web.management.fields import Fields
from connector.web.management.jsonld import ODRL, Node
from connector.web.management.operation import Call, Operation, Parts, address, id_response, protocol
from connector.web.management.processes import callbacks, missing, reason, shared, show_timeline

NOUN = "ContractNegotiation"
COLUMNS = query.Columns(
    text={
        "@id": "id",
        "counterPartyId": "peer",
        "counterPartyAddress": "peer_address",
        "correlationId": "peer_pid",
        "traceId": "correlation_id",
        "assetId": "dataset_id",
        "contractAgreementId": "agreement_id",
    },
    times={"createdAt": "created_at", "stateTimestamp": "updated_at", "deadline": "deadline"},
    sort={"createdAt": "created_at", "stateTimestamp": "updated_at"},
    numbers=states.NEGOTIATION,
    newest="created_at",
)


async def create(parts: Parts, call: Call) -> Node:
    body = call.body
    version = protocol(body)
    where = address(body) or ""
    offer, assigner = read_offer(body)
    peer = body.text("counterPartyId") or assigner
    found = callbacks(body)
    purpose = body.text("purpose")
    body.check()
    begun = await parts.negotiations.request(peer, where, offer, purpose=purpose, callbacks=found, protocol=version)
    return id_response(begun.id, begun.created_at)


def read_offer(body: Fields) -> tuple[Policy, str]:
    """Return the offer and its assigner.

    Raises:
        InvalidFiles: the policy says what this connector does not understand; it would deny everything later.
    """
    document = body.object("policy", mandatory=True)
    if document is None:
        return Policy(PolicyKind.OFFER, "", ()), ""
    id = document.mandatory("@id")
    assigner, target = (document.mandatory(spelled(document, name)) for name in ("assigner", "target"))
    if not (id and assigner and target):
        return Policy(PolicyKind.OFFER, id, ()), assigner
    policy = odrl.policy(document.whole(), kind=PolicyKind.OFFER)
    if policy.problems:
        raise InvalidFiles(policy.problems)
    return replace(policy, uid=id, target=target, assigner=assigner), assigner


def spelled(document: Fields, name: str) -> str:
    """Return a term of ODRL as the document spells it, or else its full IRI."""
    return name if name in document.node else ODRL + name


async def request(parts: Parts, call: Call) -> list[Node]:
    asked = query.read(call.body)
    call.body.check()
    return await parts.store.read(lambda tx: query.answer(tx.negotiations, asked, COLUMNS, show))


async def get(parts: Parts, call: Call) -> Node:
    return show(await find(parts, call.id))


async def state(parts: Parts, call: Call) -> Node:
    return {"@type": "NegotiationState", "state": states.shown(await find(parts, call.id))}


async def agreement(parts: Parts, call: Call) -> Node:
    negotiation = await find(parts, call.id)
    agreement_id = negotiation.agreement_id or ""
    found = await parts.store.read(lambda tx: tx.agreements.get(agreement_id))
    if found is None:
        raise missing("ContractAgreement for ContractNegotiation", call.id)
    return show_agreement(found)


async def timeline(parts: Parts, call: Call) -> Node:
    return show_timeline(await parts.history.of_negotiation(call.id))


async def approve(parts: Parts, call: Call) -> None:
    await parts.negotiations.approve(call.id)


async def counter(parts: Parts, call: Call) -> None:
    offer, _ = read_offer(call.body)
    call.body.check()
    await parts.negotiations.counter(call.id, offer)


async def terminate(parts: Parts, call: Call) -> None:
    await parts.negotiations.terminate(call.id, reason(call))


async def delete(parts: Parts, call: Call) -> None:
    await parts.negotiations.forget(call.id)


async def find(parts: Parts, id: str) -> Negotiation:
    found = await parts.store.read(lambda tx: tx.negotiations.get(id))
    if found is None:
        raise missing(NOUN, id)
    return found


def show(negotiation: Negotiation) -> Node:
    return shared(negotiation) | {
        "@type": NOUN,
        "protocol": negotiation.protocol,
        "assetId": negotiation.dataset_id,
        "contractAgreementId": negotiation.agreement_id,
        "callbackAddresses": list(negotiation.callbacks),
    }


BASE = "/contractnegotiations"
ONE = BASE + "/{id}"
OPERATIONS = (
    Operation("POST", BASE, create, "Begin a negotiation as consumer", "ContractRequest", "IdResponse", errors=(400,)),
    Operation("POST", BASE + "/request", request, "Query negotiations", "QuerySpec", NOUN, True, (400,)),
    Operation("GET", ONE, get, "Get a negotiation", response=NOUN, errors=(404,)),
    Operation("DELETE", ONE, delete, "Delete a terminated negotiation without agreement", errors=(404, 409)),
    Operation("GET", ONE + "/state", state, "Get a negotiation's state", response="NegotiationState", errors=(404,)),
    Operation("GET", ONE + "/agreement", agreement, "Get its agreement", response="ContractAgreement", errors=(404,)),
    Operation("GET", ONE + "/timeline", timeline, "Tell what happened and what waits", response="Timeline", errors=(404,)),
    Operation("POST", ONE + "/counter", counter, "Answer with other terms", "CounterOffer", errors=(400, 404, 409)),
    Operation("POST", ONE + "/approve", approve, "Take the step that waits for a person", "Act", errors=(400, 404, 409)),
    Operation(
        "POST",
        ONE + "/reject",
        terminate,
        "Refuse the step that waits for a person",
        "TerminateNegotiation",
        errors=(400, 404, 409),
    ),
    Operation("POST", ONE + "/terminate", terminate, "End a negotiation", "TerminateNegotiation", errors=(400, 404, 409)),
)
