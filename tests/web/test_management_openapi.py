"""The served OpenAPI document is true: every operation in it is called, and answers as it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from connector.dsp.messages import DataAddress, EndpointProperty, Role
from connector.dsp.negotiation import State as N
from connector.dsp.offering import EDC
from connector.dsp.transfer import State as T
from connector.ports import Answer
from connector.web.management import openapi
from connector.web.management.routes import BASE, served
from tests.store.records import agreement, negotiation, transfer
from tests.web.management_rig import (
    AGREEMENT,
    OFFER,
    PEER,
    PEER_ADDRESS,
    US,
    Rig,
    asset,
    contract_request,
    definition,
    policy,
)

PREFIX = BASE + "/v3"
DOCUMENT = orjson.loads(orjson.dumps(openapi.document(served("v3"), PREFIX)))
PROTOCOL = {"protocol": "dataspace-protocol-http:2025-1", "counterPartyAddress": PEER_ADDRESS}
REASON = {"reason": "over"}
SPEC = {"limit": 2, "filterExpression": [{"operandLeft": "id", "operator": "like", "operandRight": "%"}]}
CATALOG = {
    "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
    "@id": "urn:c",
    "@type": "Catalog",
    "participantId": PEER,
    "service": [{"@id": "urn:s", "@type": "DataService", "endpointURL": PEER_ADDRESS}],
}
DATASET = {
    "@context": CATALOG["@context"],
    "@id": "lung",
    "@type": "Dataset",
    "hasPolicy": [{"@id": "offer-1", "@type": "Offer", "permission": [{"action": "use"}]}],
    "distribution": [{"@type": "Distribution", "format": "HttpData-PULL", "accessService": "urn:s"}],
}
TRANSFER = {**PROTOCOL, "contractId": "agreement-1", "transferType": "HttpData-PULL"}

GENERATED = settings(
    max_examples=8, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)

# a good body and the id for each operation, in an order in which all of them succeed on the world below
GOOD: dict[str, tuple[str, Any]] = {
    "post-assets": ("", asset("new")),
    "put-assets": ("", asset("mine", name="other")),
    "post-assets-request": ("", SPEC),
    "get-partners": ("", None),
    "get-assets-id": ("mine", None),
    "delete-assets-id": ("new", None),
    "post-policydefinitions": ("", policy("new")),
    "post-policydefinitions-request": ("", SPEC),
    "get-policydefinitions-id": ("open-use", None),
    "put-policydefinitions-id": ("new", policy("new")),
    "delete-policydefinitions-id": ("new", None),
    "post-policydefinitions-id-validate": ("open-use", None),
    "post-policydefinitions-id-evaluationplan": ("open-use", {"policyScope": "catalog"}),
    "post-contractdefinitions": ("", definition("new")),
    "put-contractdefinitions": ("", definition("new")),
    "post-contractdefinitions-request": ("", SPEC),
    "get-contractdefinitions-id": ("filed-offer", None),
    "delete-contractdefinitions-id": ("new", None),
    "post-catalog-request": ("", {**PROTOCOL, "querySpec": SPEC}),
    "post-catalog-dataset-request": ("", {**PROTOCOL, "@id": "lung"}),
    "post-contractnegotiations": ("", contract_request()),
    "post-contractnegotiations-request": ("", SPEC),
    "get-contractnegotiations-id": ("done", None),
    "get-contractnegotiations-id-state": ("done", None),
    "get-contractnegotiations-id-agreement": ("done", None),
    "get-contractnegotiations-id-timeline": ("done", None),
    "post-contractnegotiations-id-counter": ("waits-4", {"policy": contract_request()["policy"]}),
    "post-contractnegotiations-id-approve": ("waits-1", {}),
    "post-contractnegotiations-id-reject": ("waits-2", REASON),
    "post-contractnegotiations-id-terminate": ("waits-3", REASON),
    "delete-contractnegotiations-id": ("ended", None),
    "post-contractagreements-request": ("", SPEC),
    "get-contractagreements-id": ("agreement-1", None),
    "get-contractagreements-id-negotiation": ("agreement-1", None),
    "post-transferprocesses": ("", TRANSFER),
    "post-transferprocesses-request": ("", SPEC),
    "get-transferprocesses-id": ("t1", None),
    "get-transferprocesses-id-state": ("t1", None),
    "get-transferprocesses-id-timeline": ("t1", None),
    "post-edrs-request": ("", {"limit": 1}),
    "get-edrs-id-dataaddress": ("t1", None),
    "delete-edrs-id": ("t4", None),
    "post-transferprocesses-id-suspend": ("t1", REASON),
    "post-transferprocesses-id-resume": ("t2", {}),
    "post-transferprocesses-id-complete": ("t3", {}),
    "post-transferprocesses-id-deprovision": ("t1", {}),
    "post-transferprocesses-id-terminate": ("t4", REASON),
    "post-contractagreements-id-retire": ("agreement-1", REASON),
    "post-catalogs-request": ("", {}),
    "get-dataplanes": ("", None),
    "post-secrets": ("", {"@id": "secret", "value": "x"}),
    "put-secrets": ("", {"@id": "secret", "value": "y"}),
    "get-secrets-id": ("secret", None),
    "delete-secrets-id": ("secret", None),
}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, rows in DOCUMENT["paths"].items():
        for method, row in rows.items():
            yield method.upper(), path, row


def check(row: dict[str, Any], status: int, answer: Any) -> None:
    """Hold an answer to what the document says about this status."""
    assert str(status) in row["responses"], (row["operationId"], status, answer)
    content = row["responses"][str(status)].get("content")
    if content is None:
        assert answer is None
        return
    schema = content["application/json"]["schema"] | {"components": DOCUMENT["components"]}
    jsonschema_rs.validate(schema, answer)


async def settle(api: Rig) -> None:
    """Put the world in place that GOOD speaks of."""
    address = DataAddress(
        "urn:http", None, (EndpointProperty(EDC + "endpoint", "http://x"), EndpointProperty("authorization", "t"))
    )
    waits = negotiation(peer=PEER, peer_address=PEER_ADDRESS, offer=OFFER, state=N.REQUESTED)
    held = transfer(role=Role.CONSUMER, peer=PEER, agreement_id="agreement-1", data_address=address)
    done = replace(waits, id="done", role=Role.CONSUMER, peer_pid="p0", state=N.FINALIZED, agreement_id="agreement-1")
    await api.put(
        negotiations=[
            done,
            replace(waits, id="ended", peer_pid="p5", state=N.TERMINATED),
            *(replace(waits, id=f"waits-{i}", peer_pid=f"p{i}") for i in (1, 2, 3, 4)),
        ],
        agreements=[
            agreement("agreement-1", negotiation_id="done", policy=AGREEMENT, provider=PEER, consumer=US, in_force=True)
        ],
        transfers=[
            replace(held, id=f"t{i}", peer_pid=f"p{i}", state=T.SUSPENDED if i == 2 else T.STARTED) for i in (1, 2, 3, 4)
        ],
    )
    await api.ok("POST", "/assets", asset("mine"))


async def test_the_served_document_is_the_one_that_is_tested(api: Rig) -> None:
    assert await api.ok("GET", "/openapi.json") == DOCUMENT


def test_the_schemas_are_schemas() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.validator_for(schema | {"components": DOCUMENT["components"]})
        assert schema.get("type") == "object", name


async def test_every_operation_succeeds_as_documented(api: Rig) -> None:
    await settle(api)
    rows = {row["operationId"]: (method, path, row) for method, path, row in operations()}
    assert rows.keys() == GOOD.keys()
    api.peers.answers = [Answer(200, orjson.dumps(CATALOG)), Answer(200, orjson.dumps(DATASET))]
    for name, (id, body) in GOOD.items():
        method, path, row = rows[name]
        if body is not None:
            schema = DOCUMENT["components"]["schemas"][
                row["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
            ]
            jsonschema_rs.validate(schema | {"components": DOCUMENT["components"]}, body)
        status, answer = await api.call(method, path.removeprefix(PREFIX).replace("{id}", id), body)
        assert status in (200, 204), (name, answer)
        check(row, status, answer)


async def test_every_mandatory_field_is_mandatory(api: Rig) -> None:
    await settle(api)
    for method, path, row in operations():
        if "requestBody" not in row:
            continue
        name = row["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
        id, good = GOOD[row["operationId"]]
        for missing in DOCUMENT["components"]["schemas"][name].get("required", []):
            body = {key: value for key, value in good.items() if key != missing}
            status, answer = await api.call(method, path.removeprefix(PREFIX).replace("{id}", id), body)
            check(row, status, answer)
            assert status == 400, (row["operationId"], missing)
            assert any(error["path"] and error["path"].endswith(missing) for error in answer)


async def test_every_object_that_is_not_there_is_a_documented_404(api: Rig) -> None:
    for method, path, row in operations():
        if "{id}" in path:
            _, body = GOOD[row["operationId"]]
            body = body and {key: value for key, value in body.items() if key != "@id"}
            status, answer = await api.call(method, path.removeprefix(PREFIX).replace("{id}", "no-such"), body)
            check(row, status, answer)
            assert status == 404, row["operationId"]


async def test_generated_requests_are_answered_as_documented(api: Rig) -> None:
    """schemathesis makes requests that fit the document's schemas; whatever is in them, the answer is a documented one."""
    import schemathesis  # takes seconds

    await settle(api)
    loop = asyncio.get_running_loop()

    def answered(case: Any) -> tuple[int, Any]:
        path = case.formatted_path.removeprefix(PREFIX)
        data = json.dumps(case.body).encode() if isinstance(case.body, dict) else None
        return asyncio.run_coroutine_threadsafe(api.call(case.method, path, data=data), loop).result(10)

    def drive(operation: Any) -> None:
        @given(case=operation.as_strategy())
        @settings(GENERATED)
        def send(case: Any) -> None:
            check(operation.definition.raw, *answered(case))

        send()

    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations():
        await asyncio.to_thread(drive, found.ok())


@pytest.mark.parametrize("operation", served("v3"), ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_operation_that_reads_a_body_says_which(operation: Any) -> None:
    writes = operation.method in ("POST", "PUT") and not operation.path.endswith("/validate")
    assert (operation.request is not None) is writes
