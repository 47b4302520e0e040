"""Contract agreements: what was agreed, by whom, when; and how to end it."""

from __future__ import annotations

from connector.dsp.offering import Agreement
from connector.web.management import query
from connector.web.management.jsonld import Node
from connector.web.management.operation import Call, Operation, Parts
from connector.web.management.processes import missing, reason
from connector.web.management.rules import show_policy

NOUN = "ContractAgreement"
COLUMNS = query.Columns(
    text={
        "@id": "id",
        "agreementId": "id",
        "assetId": "dataset_id",
        "providerId": "provider",
        "consumerId": "consumer",
        "negotiationId": "negotiation_id",
        "policyHash": "policy_hash",
    },
    sort={"contractSigningDate": "signed_at"},
    newest="signed_at",
)


async def request(parts: Parts, call: Call) -> list[Node]:
    asked = query.read(call.body)
    call.body.check()
    return await parts.store.read(lambda tx: query.answer(tx.agreements, asked, COLUMNS, show))


async def get(parts: Parts, call: Call) -> Node:
    return show(await find(parts, call.id))


async def negotiation(parts: Parts, call: Call) -> Node:
    from connector.web.management.negotiations import show as show_negotiation

    agreement = await find(parts, call.id)
    found = await parts.store.read(lambda tx: tx.negotiations.get(agreement.negotiation_id))
    if found is None:
        raise missing("ContractNegotiation of ContractAgreement", call.id)
    return show_negotiation(found)


async def retire(parts: Parts, call: Call) -> None:
    await parts.transfers.end_agreement(call.id, reason(call))


async def find(parts: Parts, id: str) -> Agreement:
    found = await parts.store.read(lambda tx: tx.agreements.get(id))
    if found is None:
        raise missing(NOUN, id)
    return found


def show(agreement: Agreement) -> Node:
    return {
        "@id": agreement.id,
        "@type": NOUN,
        "agreementId": agreement.id,
        "assetId": agreement.dataset_id,
        "providerId": agreement.provider,
        "consumerId": agreement.consumer,
        "contractSigningDate": int(agreement.signed_at.timestamp()),
        "policy": show_policy(agreement.policy),
        "policyHash": agreement.policy_hash,
        "negotiationId": agreement.negotiation_id,
        "purpose": agreement.purpose,
        "inForce": agreement.in_force,
        "ended": agreement.ended,
    }


BASE = "/contractagreements"
ONE = BASE + "/{id}"
OPERATIONS = (
    Operation("POST", BASE + "/request", request, "Query agreements", "QuerySpec", NOUN, True, (400,)),
    Operation("GET", ONE, get, "Get an agreement", response=NOUN, errors=(404,)),
    Operation(
        "GET", ONE + "/negotiation", negotiation, "Get its negotiation", response="ContractNegotiation", errors=(404,)
    ),
    Operation("POST", ONE + "/retire", retire, "End an agreement and all its transfers", "Reason", errors=(400, 404)),
)
