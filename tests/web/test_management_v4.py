"""Version 4 of the management API: the same handlers, typed bodies, arrays that stay arrays."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from connector.dsp.negotiation import State
from connector.dsp.offering import EDC
from connector.jsonld.document import expand
from connector.ports import Answer
from connector.web.management import openapi, typed
from connector.web.management.errors import ValidationFailure
from connector.web.management.jsonld import V4_CONTEXT
from connector.web.management.routes import served
from tests.store.records import agreement, negotiation
from tests.web.management_rig import AGREEMENT, NOW, PEER, PEER_ADDRESS, US, Rig, contract_request
from tests.web.test_management_openapi import CATALOG, DATASET, GOOD, settle

SCHEMAS = Path(__file__).parents[2].parent / "shared/ref/edc-management/schema"
CONTEXT = [V4_CONTEXT]
CRITERION = {"@type": "Criterion", "operandLeft": "id", "operator": "=", "operandRight": "x"}
QUERY = {
    "@type": "QuerySpec",
    "offset": 0,
    "limit": 2,
    "sortOrder": "DESC",
    "sortField": "id",
    "filterExpression": [CRITERION],
}
RULE = {
    "action": "use",
    "constraint": [{"and": [{"leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:ScientificResearch"}]}],
}
CALLBACK = {"@type": "CallbackAddress", "transactional": False, "uri": "http://call.example", "events": ["transfer.process"]}
PEERED = {"protocol": "dataspace-protocol-http:2025-1", "counterPartyAddress": PEER_ADDRESS, "counterPartyId": PEER}
OFFER = {"@id": "offer-1", "@type": "Offer", "assigner": PEER, "target": "lung", "permission": [RULE]}

# schema: (EDC's file, a good body)
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "Asset": ("asset", {"properties": {"name": "x"}, "dataAddress": {"@type": "DataAddress", "type": "HttpData"}}),
    "PolicyDefinition": ("policy-definition", {"policy": {"@type": "Set", "permission": [RULE], "prohibition": [RULE]}}),
    "ContractDefinition": (
        "contract-definition", {"accessPolicyId": "a", "contractPolicyId": "a", "assetsSelector": [CRITERION]}
    ),
    "CatalogRequest": ("catalog-request", {**PEERED, "querySpec": QUERY}),
    "DatasetRequest": ("dataset-request", {**PEERED, "@id": "lung"}),
    "ContractRequest": ("contract-request", {**PEERED, "policy": OFFER, "callbackAddresses": [CALLBACK]}),
    "TransferRequest": (
        "transfer-request",
        {**PEERED, "contractId": "c", "transferType": "HttpData-PULL", "callbackAddresses": [CALLBACK]},
    ),
    "TerminateNegotiation": ("contract-terminate", {"reason": "over"}),
    "TerminateTransfer": ("transfer-terminate", {"reason": "over"}),
    "SuspendTransfer": ("transfer-suspend", {"reason": "over"}),
    "Secret": ("secret", {"@id": "s", "value": "v"}),
    "QuerySpec": ("query-spec", QUERY),
    "PolicyEvaluationPlanRequest": ("policy-evaluation-plan-request", {"policyScope": "catalog"}),
}  # fmt: skip
# where we differ from EDC's schemas, and why
STRICTER = {
    "@id": "an object's id is a text and not blank",
    "dataAddress": "an asset without a place cannot be delivered: the data plane is built in",
    "operator": "one that can be evaluated",
    "uri": "an http(s) address",
    "counterPartyAddress": "an http(s) address",
    "counterPartyId": "a text, in every request that has it",
    "protocol": "one that is spoken here",
}


def whole(name: str) -> dict[str, Any]:
    return {"@context": CONTEXT, "@type": typed.TYPES[name], **copy.deepcopy(BODIES[name][1])}


def accepted(name: str, body: Any) -> bool:
    try:
        typed.check(name, body)
    except ValidationFailure:
        return False
    return True


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the body with another value at `path`; Ellipsis takes it away."""
    body = copy.deepcopy(body)
    at = body
    for step in path[:-1]:
        at = at[step]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return body


def without_empty_rules(value: Any) -> Any:
    """EDC's schemas want a list of rules to be left out when it is empty; its server takes it all the same."""
    if isinstance(value, dict):
        rules = ("permission", "prohibition", "obligation")
        return {key: without_empty_rules(item) for key, item in value.items() if key not in rules or item != []}
    return value


def reference(name: str) -> Any:
    """Return EDC's own validator of a body."""
    known = {found["$id"]: found for file in SCHEMAS.rglob("*.json") if "$id" in (found := json.loads(file.read_text()))}
    schema = json.loads((SCHEMAS / "management/v4" / f"{BODIES[name][0]}-schema.json").read_text())
    return jsonschema_rs.Draft201909Validator(schema, retriever=known.__getitem__)


@pytest.mark.skipif(not SCHEMAS.exists(), reason="../shared/ref/edc-management is not there")
@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_judged_as_edcs_own_schemas_judge_it(name: str) -> None:
    validator, good = reference(name), whole(name)
    assert accepted(name, good)
    assert validator.is_valid(good)
    for path in places(good):
        for value in (..., 5, "x", [], {}, True, ["x"]):
            body = changed(good, path, value)
            ours, theirs = accepted(name, body), validator.is_valid(without_empty_rules(body))
            assert ours == theirs or (theirs and STRICTER.get(path[-1])), (path, value, ours)


# --- the same handlers ----------------------------------------------------------------------------------------------


@pytest.fixture(params=["v4", "v4beta"])
def four(api: Rig, request: pytest.FixtureRequest) -> Rig:
    api.version = request.param
    return api


async def graph(document: Any) -> Any:
    """Return what a document says, whatever its spelling."""
    return expand({key: value for key, value in document.items() if key != "traceId"}, vocabulary=EDC)


async def test_what_is_written_in_one_version_is_read_in_the_other(four: Rig) -> None:
    await four.ok(
        "POST", "/assets", whole("Asset") | {"@id": "a", "dataAddress": {"type": "HttpData", "baseUrl": "http://x"}}
    )
    await four.ok("POST", "/policydefinitions", whole("PolicyDefinition") | {"@id": "p", "policy": POLICY})
    await four.put(negotiations=[negotiation("n1", peer=PEER, state=State.FINALIZED)], agreements=[SIGNED])
    paths = ["/assets/a", "/policydefinitions/p", f"/contractagreements/{SIGNED.id}", "/contractnegotiations/n1"]
    typed_answers = [await four.ok("GET", path) for path in paths]
    assert [answer["@context"] for answer in typed_answers] == [CONTEXT] * 4
    four.version = "v3"
    for path, answer in zip(paths, typed_answers, strict=True):
        other = await four.ok("GET", path)
        assert other["@context"] != CONTEXT
        if "policy" in other:  # ODRL is spelled in two ways
            assert terms(await graph(answer)) == terms(await graph(other))
        for name in answer.keys() - {"@context", "profile", "policy"}:
            assert answer[name] == (
                other[name] if isinstance(answer[name], list) is isinstance(other[name], list) else [other[name]]
            )


def terms(value: Any) -> set[str]:
    """Return every ODRL term with its value's IRI or literal, in whatever order and nesting."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.startswith("http://www.w3.org/ns/odrl/2/"):
                found |= {f"{key}={item.get('@id') or item.get('@value')}" for item in inner if isinstance(item, dict)}
            found |= terms(inner)
    elif isinstance(value, list):
        for item in value:
            found |= terms(item)
    return {text for text in found if "None" not in text}


CONSTRAINTS = [
    {"leftOperand": "spatial", "operator": "isA", "rightOperand": "EU"},
    {"leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:ScientificResearch"},
]
POLICY = {"@type": "Set", "permission": [{"action": "use", "constraint": CONSTRAINTS}]}
SIGNED = agreement("agreement-1", provider=PEER, consumer=US, policy=AGREEMENT)


async def test_an_array_of_one_stays_an_array(four: Rig) -> None:
    body = whole("ContractDefinition") | {"@id": "d", "accessPolicyId": "open-use", "contractPolicyId": "open-use"}
    await four.ok("POST", "/contractdefinitions", body)
    found = await four.ok("GET", "/contractdefinitions/d")
    assert found["assetsSelector"] == [CRITERION]
    four.version = "v3"
    assert (await four.ok("GET", "/contractdefinitions/d"))["assetsSelector"] == CRITERION


@pytest.mark.parametrize(
    "change, path",
    [
        ({"@context": {"@vocab": EDC}}, "@context"),
        ({"@context": ["https://w3id.org/edc/v0.0.1"]}, "@context"),
        ({"@type": "Nonsense"}, "@type"),
        ({"@type": ...}, "@type"),
        ({"@context": ...}, "@context"),
        ({"filterExpression": [{**CRITERION, "@type": ...}]}, f"{EDC}filterExpression/@type"),
        ({"filterExpression": CRITERION}, f"{EDC}filterExpression"),
        ({"limit": 0}, f"{EDC}limit"),
    ],
)
async def test_what_is_not_typed_is_refused_with_its_path(four: Rig, change: dict[str, Any], path: str) -> None:
    def dropped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: dropped(item) for key, item in value.items() if item is not ...}
        return [dropped(item) for item in value] if isinstance(value, list) else value

    status, answer = await four.call("POST", "/assets/request", dropped(whole("QuerySpec") | change))
    assert (status, answer[0]["type"]) == (400, "ValidationFailure")
    assert path in {error["path"] for error in answer}


async def test_a_callback_is_typed_in_answers_too(four: Rig) -> None:
    """Also one that was given in version 3, which asks for less."""
    four.version, version = "v3", four.version
    bare = contract_request(callbackAddresses=[{"uri": "http://call.example"}])
    id = (await four.ok("POST", "/contractnegotiations", bare))["@id"]
    four.version = version
    found = await four.ok("GET", f"/contractnegotiations/{id}")
    usual = {"@type": "CallbackAddress", "transactional": False, "events": []}
    assert found["callbackAddresses"] == [usual | {"uri": "http://call.example"}]


async def test_what_is_for_a_data_plane_is_not_for_partners(four: Rig) -> None:
    given = {"@type": "DataplaneMetadata", "labels": ["gpu"]}
    address = {"type": "HttpData", "baseUrl": "http://x"}
    await four.ok("POST", "/assets", whole("Asset") | {"@id": "a", "dataAddress": address, "dataplaneMetadata": given})
    found = await four.ok("GET", "/assets/a")
    assert found["properties"] == {"id": "a", "name": "x"}
    assert found["privateProperties"] == {"dataplaneMetadata": given}


async def test_no_body_at_all_is_an_empty_query(four: Rig) -> None:
    assert [found["@id"] for found in await four.ok("POST", "/assets/request")] == ["filed"]


async def test_a_profile_is_a_protocol_by_another_name(four: Rig) -> None:
    body = whole("ContractRequest") | {"profile": PEERED["protocol"], "callbackAddresses": []}
    status, answer = await four.call("POST", "/contractnegotiations", body)
    assert (status, answer[0]["message"]) == (400, "either protocol or profile is mandatory, and not both")
    del body["protocol"]
    id = (await four.ok("POST", "/contractnegotiations", body))["@id"]
    found = await four.ok("GET", f"/contractnegotiations/{id}")
    assert found["protocol"] == found["profile"] == PEERED["protocol"]


async def test_an_end_without_a_reason_is_told_as_such(four: Rig) -> None:
    await four.put(negotiations=[negotiation("n1", peer=PEER, peer_address=PEER_ADDRESS, state=State.REQUESTED)])
    await four.ok("POST", "/contractnegotiations/n1/terminate", {"@context": CONTEXT, "@type": "TerminateNegotiation"})
    assert "no reason was given" in (await four.ok("GET", "/contractnegotiations/n1"))["errorDetail"]


async def test_the_built_in_data_plane_is_listed_and_stays(api: Rig) -> None:
    for version in ("v3", "v4", "v4beta"):
        api.version = version
        (plane,) = await api.ok("GET", "/dataplanes")
        assert (plane["@id"], plane["@type"], plane["state"]) == ("urn:plane", "DataPlaneInstance", "AVAILABLE")
    assert (await api.call("PUT", "/dataplanes", {"dataplaneId": "other"}))[0] == 405
    api.version = "v4"
    await api.ok("PUT", "/dataplanes", {"dataplaneId": "urn:plane", "endpoint": "http://x", "transferTypes": []})
    assert (await api.call("PUT", "/dataplanes", {"dataplaneId": "other"}))[0] == 400
    assert (await api.call("DELETE", "/dataplanes/other"))[0] == 404
    assert (await api.call("DELETE", "/dataplanes/urn:plane"))[0] == 409


# --- the federated catalogue ----------------------------------------------------------------------------------------


async def test_the_federated_catalogue_is_asked_in_every_version(api: Rig) -> None:
    inner = {"@id": "urn:inner", "@type": "Catalog", "dataset": [{"@id": "heart", "@type": "Dataset"}]}
    catalog = {
        "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@id": "urn:c", "@type": "Catalog",
        "participantId": PEER, "service": [{"@id": "urn:s", "@type": "DataService", "endpointURL": PEER_ADDRESS}],
        "catalog": [inner],
    }  # fmt: skip
    api.peers.answers = [Answer(200, json.dumps(catalog).encode())]
    await api.parts.federation.crawl()
    for api.version, path in (("v3", "/catalogs/request"), ("v4", "/catalogs/request"), ("v1alpha", "/catalog/query")):
        (found,) = await api.ok("POST", path)
        assert found["participantId"] == PEER
        assert found[EDC + "lastSeen"] == NOW.isoformat()
        assert found["catalog"] == [inner]
        (flat,) = await api.ok("POST", path + "?flatten=true")
        assert [one["@id"] for one in flat["dataset"]] == ["heart"]
    for left, right, count in (("participantId", PEER, 1), ("originator", PEER_ADDRESS, 1), ("participantId", "other", 0)):
        spec = {"filterExpression": [{"operandLeft": left, "operator": "=", "operandRight": right}]}
        assert len(await api.ok("POST", path, spec)) == count


# --- its document ---------------------------------------------------------------------------------------------------


def typed_body(version: str, method: str, path: str, body: Any) -> Any:
    """Return a good body of version 3 as `version` wants it."""
    request = next(one.request for one in served(version) if (one.method, one.path) == (method, path))
    if not version.startswith("v4") or not isinstance(body, dict) or request not in typed.TYPES:
        return body
    body = copy.deepcopy(body) | {"@context": CONTEXT, "@type": typed.TYPES[request]}
    for spec in (body, body.get("querySpec", {})):
        for criterion in spec.get("filterExpression", ()):
            criterion["@type"] = "Criterion"
    if "querySpec" in body:
        body["querySpec"]["@type"] = "QuerySpec"
    return body | ({"counterPartyId": PEER} if "counterPartyAddress" in body else {})


async def test_every_operation_takes_and_answers_what_its_own_document_says(four: Rig) -> None:
    version, four.version = four.version, "v3"
    await settle(four)
    four.version = version
    document = orjson.loads(orjson.dumps(openapi.document(served(four.version), "", typed=True)))
    assert (await four.ok("GET", "/openapi.json"))["components"] == document["components"]

    def held(content: Any, value: Any) -> None:
        schema = content["application/json"]["schema"] | {"components": document["components"]}
        jsonschema_rs.validate(schema, value)

    rows = {row["operationId"]: (method, path, row) for path, of in document["paths"].items() for method, row in of.items()}
    four.peers.answers = [Answer(200, orjson.dumps(CATALOG)), Answer(200, orjson.dumps(DATASET))]
    for name, (id, given) in GOOD.items():
        method, path, row = rows.pop(name)
        body = typed_body(four.version, method.upper(), path, given)
        if body is not None:
            held(row["requestBody"]["content"], body)
        status, answer = await four.call(method.upper(), path.replace("{id}", id), body)
        assert status in (200, 204), (name, answer)
        if answer is not None:
            held(row["responses"][str(status)]["content"], answer)
    assert set(rows) <= {"put-dataplanes", "delete-dataplanes-id"}
