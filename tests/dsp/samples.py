"""Messages for tests: the protocol's own examples and recorded ones (from ../shared), and generated ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import strategies as st

SHARED = Path(__file__).parents[2].parent / "shared"
OFFICIAL = SHARED / "ref" / "dsp" / "2025-1"
RECORDED = (SHARED / "peers" / "edc" / "wire", SHARED / "peers" / "edc-dcp" / "wire" / "exchange")
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="../shared/ref is not at hand")
needs_recorded = pytest.mark.skipif(not RECORDED[0].is_dir(), reason="../shared/peers is not at hand")

DSP = "https://w3id.org/dspace/2025/1/context.jsonld"
EDC = "https://w3id.org/edc/dspace/v0.0.1"
W3ID = "https://w3id.org/dspace/2025/1/"

Document = dict[str, Any]


# --- what others wrote ----------------------------------------------------------------------------------------------


def examples() -> dict[str, Document]:
    """Return the examples of the specification by name, all but the two DID service entries."""
    found = {file.stem: json.loads(file.read_bytes()) for file in sorted(OFFICIAL.glob("*/example/*.json"))}
    return {name: document for name, document in found.items() if not name.endswith("did-service")}


def recorded() -> Iterator[tuple[str, int, Document]]:
    """Yield every JSON body that EDC sent as (name, status of the answer; 0 for a request, body)."""
    for folder in RECORDED:
        for file in sorted(folder.rglob("*.json")):
            exchange = json.loads(file.read_bytes())
            if not isinstance(exchange, dict) or "/protocol/" not in str(exchange.get("request", {}).get("path")):
                continue
            for side in ("request", "response"):
                body = exchange[side]["body"]
                if isinstance(body, dict) and "@type" in body:
                    yield f"{file.stem} {side}", 0 if side == "request" else exchange["response"]["status"], body


@cache
def official(name: str) -> jsonschema_rs.Validator:
    """Return the published schema of a message type, its broken references mended (DSP-093)."""
    texts = (
        file.read_text().replace("json#definitions/", "json#/definitions/") for file in OFFICIAL.glob("*/*-schema.json")
    )
    schemas = [json.loads(text) for text in texts]
    by_type = {next(iter(schema["definitions"])): schema for schema in schemas} | {
        "Catalog": next(schema for schema in schemas if schema["title"] == "CatalogSchema"),
        "Dataset": next(schema for schema in schemas if schema["title"] == "DatasetSchema"),
    }
    registry = jsonschema_rs.Registry([(schema["$id"], schema) for schema in schemas], draft=jsonschema_rs.Draft201909)
    return jsonschema_rs.Draft201909Validator(by_type[name], registry=registry)


# --- generated ------------------------------------------------------------------------------------------------------

PREFIXES = ("xsd:", "dct:", "dcat:", "odrl:", "dspace:", "edc:", "_:", "@")
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
ids = st.one_of(
    st.uuids().map(lambda uuid: uuid.urn),
    st.sampled_from(
        ["asset-1", "CD123:ACN0101:456", "did:web:hospital.example", "a/../b", "HttpData-PULL", "x y", "#f", "?q"]
    ),
    texts.filter(lambda text: not text.startswith(PREFIXES)),
)
urls = st.sampled_from(["https://hospital.example/dsp/2025-1", "http://127.0.0.1:8080/dsp/"])
operators = st.sampled_from(
    ["eq", "neq", "gt", "gteq", "lt", "lteq", "isA", "hasPart", "isPartOf", "isAllOf", "isAnyOf", "isNoneOf"]
)
lefts = st.sampled_from(["count", "dateTime", "purpose", "spatial", "partner", "https://terms.example/age"])
XSD = "http://www.w3.org/2001/XMLSchema#"
values = st.one_of(
    texts.filter(lambda text: ":" not in text),
    st.builds(lambda number: {"@value": str(number), "@type": XSD + "integer"}, st.integers(0, 9999)),
    st.builds(lambda number: {"@value": number}, st.integers(-9999, 9999)),
    st.builds(lambda uuid: {"@id": uuid.urn}, st.uuids()),
)
rights = st.one_of(values, st.lists(values, min_size=2, max_size=3))
atomic = st.fixed_dictionaries({"leftOperand": lefts, "operator": operators, "rightOperand": rights})
constraints = st.recursive(
    atomic,
    lambda inner: st.builds(
        lambda logic, parts: {logic: parts},
        st.sampled_from(["and", "or", "xone", "andSequence"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
some_constraints = st.lists(constraints, min_size=1, max_size=2)
duties = st.fixed_dictionaries({"action": st.sampled_from(["use", "delete"])}, optional={"constraint": some_constraints})
some_duties = st.lists(duties, min_size=1, max_size=2)
plain_rules = {"action": st.sampled_from(["use", "read"])}
some_rules = st.lists(
    st.fixed_dictionaries(plain_rules, optional={"constraint": some_constraints, "duty": some_duties}),
    min_size=1,
    max_size=2,
)
some_prohibitions = st.lists(
    st.fixed_dictionaries(plain_rules, optional={"constraint": some_constraints}), min_size=1, max_size=2
)
POLICY_EXTRAS: dict[str, st.SearchStrategy[Any]] = {
    "prohibition": some_prohibitions,
    "obligation": st.lists(duties, min_size=1, max_size=2),
    "profile": st.sampled_from(["https://profile.example/a", ["https://profile.example/a", "https://profile.example/b"]]),
}
offers = st.fixed_dictionaries(
    {"@id": ids, "@type": st.just("Offer"), "target": ids, "permission": some_rules},
    optional={"assigner": ids, "assignee": ids, **POLICY_EXTRAS},
)
agreements = st.fixed_dictionaries(
    {
        "@id": ids, "@type": st.just("Agreement"), "target": ids, "assigner": ids, "assignee": ids,
        "permission": some_rules, "timestamp": st.just("2026-11-23T01:06:06.751595290Z"),
    },
    optional=POLICY_EXTRAS,
)  # fmt: skip
properties = st.fixed_dictionaries(
    {
        "@type": st.just("EndpointProperty"),
        "name": st.sampled_from(["authorization", "authType", "https://w3id.org/edc/v0.0.1/ns/endpoint"]),
        "value": st.text(max_size=20),
    }
)
addresses = st.fixed_dictionaries(
    {"@type": st.just("DataAddress"), "endpointType": st.just("https://w3id.org/idsa/v4.1/HTTP")},
    optional={"endpoint": urls, "endpointProperties": st.lists(properties, min_size=1, max_size=3)},
)
pids = {"providerPid": ids, "consumerPid": ids}
why: dict[str, st.SearchStrategy[Any]] = {"code": st.text(max_size=5), "reason": st.lists(texts, min_size=1, max_size=3)}
formats = st.sampled_from(["HttpData-PULL", "HttpData-PUSH", "example:HTTP_PUSH"])

SHAPES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "ContractRequestMessage": ({"consumerPid": ids, "offer": offers, "callbackAddress": urls}, {}),
    "ContractOfferMessage": ({**pids, "offer": offers}, {}),
    "ContractAgreementMessage": ({**pids, "agreement": agreements}, {}),
    "ContractAgreementVerificationMessage": (pids, {}),
    "ContractNegotiationEventMessage": ({**pids, "eventType": st.sampled_from(["ACCEPTED", "FINALIZED"])}, {}),
    "ContractNegotiationTerminationMessage": (pids, why),
    "TransferRequestMessage": (
        {"consumerPid": ids, "agreementId": ids, "format": formats, "callbackAddress": urls},
        {"dataAddress": addresses},
    ),
    "TransferStartMessage": (pids, {"dataAddress": addresses}),
    "TransferSuspensionMessage": (pids, why),
    "TransferCompletionMessage": (pids, {}),
    "TransferTerminationMessage": (pids, why),
}


def message(name: str) -> st.SearchStrategy[Document]:
    """Generate canonical messages of one type."""
    required, optional = SHAPES[name]
    return st.fixed_dictionaries(
        {"@context": st.sampled_from([[DSP], [DSP, EDC]]), "@type": st.just(name), **required},
        optional={"@id": ids, **optional},
    )


messages = st.sampled_from(sorted(SHAPES)).flatmap(message)


# --- the same message in other words --------------------------------------------------------------------------------

ODRL = "http://www.w3.org/ns/odrl/2/"
NAMESPACES = {"dspace": W3ID, "odrl": ODRL, "dct": "http://purl.org/dc/terms/"}
PARTIES = frozenset({"target", "assigner", "assignee", "profile"})
LOGIC = frozenset({"and", "or", "xone", "andSequence"})
RULES = frozenset({"permission", "prohibition", "obligation", "duty", "constraint", "action"})
IS_ODRL = {"Offer", "Agreement", "leftOperand", "operator", "rightOperand"} | PARTIES | LOGIC | RULES
IS_ID = {"providerPid", "consumerPid", "agreementId", "offer", "agreement"} | PARTIES
IS_VOCABULARY = frozenset({"action", "leftOperand", "operator", "eventType", "endpointType", "format"})
ODRL_VALUES = frozenset({"use", "read", "delete", "count", "dateTime", "purpose", "spatial"})


def prefixed(document: Document) -> Document:
    """Return the message with prefixed names under a context object, as 2024-1 connectors write."""
    return {"@context": NAMESPACES, **_reworded(document, lambda prefix, name: f"{prefix}:{name}", many=False)}


def expanded(document: Document) -> Document:
    """Return the message in expanded form: full IRIs, every value an object in an array."""
    return _reworded(document, lambda prefix, name: NAMESPACES[prefix] + name, many=True)


def _reworded(value: Document, spell: Any, *, many: bool) -> Document:
    found: Document = {}
    for name, inner in value.items():
        if name == "@context":
            continue
        if name == "@id":
            found[name] = inner
        elif name == "@type":
            found[name] = [_spelled(inner, spell)] if many else _spelled(inner, spell)
        else:
            key = spell("dct", "format") if name == "format" else _spelled(name, spell)
            each = [_value(name, one, spell, many=many) for one in (inner if isinstance(inner, list) else [inner])]
            found[key] = each if many or len(each) > 1 else each[0]
    return found


def _spelled(name: str, spell: Any) -> str:
    return str(spell("odrl" if name in IS_ODRL else "dspace", name))


def _value(under: str, value: Any, spell: Any, *, many: bool) -> Any:
    if under in IS_ID and isinstance(value, str):
        return {"@id": value}
    if under in IS_VOCABULARY:
        known = value in ODRL_VALUES or under == "operator"
        event = under == "eventType"
        return {"@id": spell("odrl", value) if known else spell("dspace", value) if event else value}
    if isinstance(value, dict) and not value.keys() & {"@value"} and value.keys() != {"@id"}:
        return _reworded(value, spell, many=many)
    return {"@value": value} if many and not isinstance(value, dict) else value
