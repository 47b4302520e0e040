"""2024-1 and 0.8: read by real JSON-LD, written as their schemas ask, and the same message in every version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connector.dsp import codec, dialects
from connector.dsp.dialects import DIALECTS, NEWEST, Dialect
from connector.dsp.messages import CatalogRequest, ContractAgreement, ContractRequest, Kind, TransferStart
from connector.dsp.versions import Version
from connector.errors import Malformed
from connector.jsonld.document import normalise, normalise_catalog
from tests.dsp.samples import SHARED, W3ID, Document, expanded, messages, prefixed

OFFICIAL = SHARED / "ref" / "dsp" / "2024-1"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="../shared/ref is not at hand")
ALL = frozenset(Kind)
V2024, V08 = DIALECTS[1:]
OLDER = pytest.mark.parametrize("dialect", [V2024, V08], ids=["2024-1", "0.8"])
BASE = "http://us.example/dsp/2025-1"
# Only an illustration: it writes `oderl:rightOperand` and the operator `odrl:equals` (its folder's README says so).
ILLUSTRATION = "contract.agreement.message.http.transfer"


def read(body: bytes, name: str, dialect: Dialect = V2024) -> Any:
    return codec.read_message(asyncio.run(normalise(body, frozenset({name}), dialect.namespace)), ALL)


def read_catalog(body: bytes, name: str, dialect: Dialect = V2024) -> Document:
    return dict(asyncio.run(normalise_catalog(body, frozenset({name}), dialect.namespace)))


def bare(name: str) -> str:
    return name.partition(":")[2]


# --- what others wrote ----------------------------------------------------------------------------------------------


def examples() -> dict[str, Document]:
    return {file.stem: json.loads(file.read_bytes()) for file in sorted(OFFICIAL.glob("*/example/*.json"))}


@needs_official
def test_every_example_of_the_specification_is_read() -> None:
    seen = set()
    for name, example in examples().items():
        kind, body = bare(example["@type"]), orjson.dumps(example)
        if kind in ("Catalog", "Dataset"):
            assert read_catalog(body, kind)["@id"] == example["@id"]
        elif kind.endswith("Error"):
            assert codec.read_error(body)[0] == example["dspace:code"]
        elif kind in ("ContractNegotiation", "TransferProcess"):
            assert codec.read_ack(body).state == "REQUESTED"
        elif kind in {wire for wire, _ in codec.WIRE.values()} and name != ILLUSTRATION:
            message = read(body, kind)
            pids = (getattr(message, "consumer_pid", None), getattr(message, "provider_pid", None))
            assert pids == (example.get("dspace:consumerPid"), example.get("dspace:providerPid")), name
            seen.add(message.kind)
    assert seen == ALL - {Kind.FINALIZE}


@needs_official
def test_an_example_that_is_only_an_illustration_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(Malformed, match="rightOperand is missing"):
        read(orjson.dumps(examples()[ILLUSTRATION]), "ContractAgreementMessage")


@needs_official
def test_a_policy_of_the_examples_means_what_it_says() -> None:
    """Their `odrl:operand` is no term of ODRL; read as the operator it is, it is enforced rather than lost."""
    message = read(orjson.dumps(examples()["contract-agreement-message"]), "ContractAgreementMessage")
    assert isinstance(message, ContractAgreement)
    (rule,) = message.agreement.rules
    (constraint,) = rule.constraints
    odrl = "http://www.w3.org/ns/odrl/2/"
    assert (rule.action, constraint.left, constraint.operator) == (odrl + "use", odrl + "dateTime", odrl + "lteq")  # type: ignore[union-attr]
    assert (message.agreement.assigner, message.agreement.timestamp) == ("urn:tsdshhs636378", "2023-01-01T01:00:00Z")


EDC = {
    "dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "odrl": "http://www.w3.org/ns/odrl/2/",
    "@vocab": "https://w3id.org/edc/v0.0.1/ns/", "edc": "https://w3id.org/edc/v0.0.1/ns/",
}  # fmt: skip


def as_edc(dialect: Dialect, **fields: Any) -> bytes:
    """What EDC 0.15.1 was seen to write in this version: its own context, names in `@id`, no array for one."""
    return orjson.dumps({"@context": {**EDC, "dspace": dialect.namespace}, **fields})


@OLDER
def test_the_words_of_edc_are_read(dialect: Dialect) -> None:
    pids = {"dspace:consumerPid": {"@id": "c-1"}, "dspace:providerPid": {"@id": "p-1"}}
    offer = {
        "@id": "Y2Q=:YXM=:ZTQ=", "@type": "odrl:Offer", "odrl:permission": {"odrl:action": {"@id": "odrl:use"}},
        "odrl:prohibition": [], "odrl:obligation": [], "odrl:assigner": {"@id": "provider"},
        "odrl:target": {"@id": "asset-1"},
    }  # fmt: skip
    asked = as_edc(
        dialect, **{"@id": "m-1", "@type": "dspace:ContractRequestMessage", "dspace:consumerPid": {"@id": "c-1"},
        "dspace:callbackAddress": "http://edc.example/protocol/2024/1", "dspace:offer": offer},
    )  # fmt: skip
    request = read(asked, "ContractRequestMessage", dialect)
    assert isinstance(request, ContractRequest)
    assert (request.id, request.consumer_pid, request.callback_address) == (
        "m-1", "c-1", "http://edc.example/protocol/2024/1",
    )  # fmt: skip
    assert (request.offer.uid, request.offer.target, request.offer.assigner) == ("Y2Q=:YXM=:ZTQ=", "asset-1", "provider")
    assert not request.offer.problems
    event = as_edc(
        dialect,
        **{"@type": "dspace:ContractNegotiationEventMessage", **pids, "dspace:eventType": {"@id": "dspace:FINALIZED"}},
    )
    assert read(event, "ContractNegotiationEventMessage", dialect).kind is Kind.FINALIZE
    token = {"@type": "dspace:EndpointProperty", "dspace:name": EDC["edc"] + "authorization", "dspace:value": "eyJ.x.y"}
    address = {
        "@type": "dspace:DataAddress", "dspace:endpointType": {"@id": "https://w3id.org/idsa/v4.1/HTTP"},
        "dspace:endpointProperties": [token],
    }  # fmt: skip
    start = read(
        as_edc(dialect, **{"@type": "dspace:TransferStartMessage", **pids, "dspace:dataAddress": address}),
        "TransferStartMessage", dialect,
    )  # fmt: skip
    assert isinstance(start, TransferStart)
    assert start.data_address is not None
    assert start.data_address.get("authorization") == "eyJ.x.y"
    end = as_edc(dialect, **{"@type": "dspace:TransferTerminationMessage", **pids, "dspace:reason": "it is over"})
    assert read(end, "TransferTerminationMessage", dialect).reason == ("it is over",)


@OLDER
def test_a_catalogue_of_edc_is_read(dialect: Dialect) -> None:
    service = {"@id": "s", "@type": "dcat:DataService", "dcat:endpointURL": "http://edc.example/protocol/2024/1"}
    dataset = {
        "@id": "asset-1", "@type": "dcat:Dataset", "name": "a name", "id": "asset-1",
        "odrl:hasPolicy": {"@id": "o", "@type": "odrl:Offer", "odrl:permission": {"odrl:action": {"@id": "odrl:use"}}},
        "dcat:distribution": [
            {"@type": "dcat:Distribution", "dct:format": {"@id": "HttpData-PULL"}, "dcat:accessService": service}
        ],
    }  # fmt: skip
    body = as_edc(
        dialect, **{"@id": "cat", "@type": "dcat:Catalog", "dcat:dataset": dataset, "dcat:catalog": [],
        "dcat:service": service, "dspace:participantId": {"@id": "provider"}},
    )  # fmt: skip
    catalog = read_catalog(body, "Catalog", dialect)
    (found,) = catalog["dataset"]
    (distribution,) = found["distribution"]
    assert (catalog["participantId"], found["@id"], found[EDC["edc"] + "name"]) == ("provider", "asset-1", "a name")
    assert (distribution["format"], distribution["accessService"]["endpointURL"]) == (
        "HttpData-PULL", "http://edc.example/protocol/2024/1",
    )  # fmt: skip
    assert found["hasPolicy"][0]["permission"] == [{"action": "use"}]


@OLDER
@settings(max_examples=50, deadline=None)
@given(message=messages, reword=st.sampled_from([prefixed, expanded]))
def test_any_spelling_of_an_older_message_is_the_same_message(dialect: Dialect, message: Document, reword: Any) -> None:
    """DSP-101: prefixes under a context by value, full IRIs, `@id` and `@value` wrappers, one object for a list of one."""
    body = json.dumps(reword(message)).replace(W3ID, dialect.namespace).encode()
    assert read(body, message["@type"], dialect) == codec.read_message(message, ALL)


# --- what we write --------------------------------------------------------------------------------------------------


@OLDER
@settings(max_examples=60, deadline=None)
@given(message=messages)
def test_a_message_is_the_same_in_every_version(dialect: Dialect, message: Document) -> None:
    known = codec.read_message(message, ALL)
    written = dialect.write(codec.write_message(known), address=BASE)
    again = read(written, message["@type"], dialect)
    if "callbackAddress" not in message and known.kind is Kind.OFFER:
        again = replace(again, callback_address=None)  # mandatory in 2024-1 even where nothing begins
    assert again == known


@cache
def official(name: str) -> jsonschema_rs.Validator:
    """Return the published schema of a type, its slips mended.

    Its lists of ODRL's words are closed, have `odrl:term-lteq` for `odrl:lteq`, and a rule has one duty at most.
    """
    schemas = [json.loads(file.read_bytes()) for file in OFFICIAL.glob("*/schema/*-schema.json")]
    for schema in schemas:
        for word in ("Action", "LeftOperand"):
            schema["definitions"].get(word, {}).pop("enum", None)
        if "Permission" in schema["definitions"]:
            schema["definitions"]["Permission"]["allOf"][1]["properties"]["odrl:duty"] = {"type": ["array", "object"]}
        if operators := schema["definitions"].get("Operator"):
            operators["enum"].append("odrl:lteq")
    (found,) = (schema for schema in schemas if schema["title"] == f"{name}Schema")
    registry = jsonschema_rs.Registry([(schema["$id"], schema) for schema in schemas], draft=jsonschema_rs.Draft201909)
    return jsonschema_rs.Draft201909Validator(found, registry=registry)


@needs_official
@settings(max_examples=60, deadline=None)
@given(messages)
def test_what_is_written_has_the_published_shape(message: Document) -> None:
    assume("endpoint" in message.get("dataAddress", {"endpoint": ""}))
    known = codec.read_message(message, ALL)
    written = orjson.loads(V2024.write(codec.write_message(known), address=BASE, provider="urn:provider"))
    if known.kind in (Kind.ACCEPT, Kind.FINALIZE):  # a text in the schema, which then means nothing to a JSON-LD reader
        written["dspace:eventType"] = written["dspace:eventType"]["@id"]
    official(message["@type"]).validate(written)
    assert written["@context"] == V2024.context


@needs_official
def test_answers_have_the_published_shape() -> None:
    pids = {"providerPid": "urn:p", "consumerPid": "urn:c"}
    for kind in ("ContractNegotiation", "TransferProcess"):
        ack = orjson.dumps({"@context": [], "@type": kind, "@id": "urn:p", **pids, "state": "REQUESTED"})
        official(kind).validate(orjson.loads(V2024.write(ack)))
        assert codec.read_ack(V2024.write(ack)).state == "REQUESTED"
    for family, name in codec.ERRORS.items():
        error = V2024.write(codec.write_error(family, "urn:c", "urn:p", "denied", ["because"]))
        official(name).validate(orjson.loads(error))
        assert codec.read_error(error) == ("denied", ("because",))


DATASET: Mapping[str, Any] = {
    "@id": "lung", "@type": "Dataset",
    "hasPolicy": [{"@id": "urn:o", "@type": "Offer", "profile": ["https://p.example"], "permission": [{"action": "use"}]}],
    "distribution": [
        {"@type": "Distribution", "format": "HttpData-PULL",
         "accessService": {"@id": BASE + "#service", "@type": "DataService", "endpointURL": BASE}}
    ],
    "dct:title": "Lungekræft", "dct:description": "Alle patienter", "dcat:keyword": "lung",
    "dct:issued": "2026", "https://example.org/own": {"@value": 5},
}  # fmt: skip


@needs_official
def test_a_catalogue_has_the_published_shape_and_says_where_it_goes_on() -> None:
    """DSP-042: the address in it is that of the version it is in."""
    body = codec.write_catalog("urn:cat", "us", [orjson.dumps(DATASET)], BASE, BASE + "#service")
    catalog = orjson.loads(V2024.write(body, address=BASE, provider="us"))
    official("Catalog").validate(catalog)
    dataset = orjson.loads(V2024.write(codec.write_dataset(orjson.dumps(DATASET)), address=BASE, provider="us"))
    official("Dataset").validate(dataset)
    assert dataset == {"@context": V2024.context, **catalog["dcat:dataset"][0]}
    assert {catalog["dcat:service"][0]["dcat:endpointURL"]} == {"http://us.example/dsp/2024-1"}


@OLDER
def test_what_a_dataset_says_of_itself_survives(dialect: Dialect) -> None:
    """The context of 2024-1 would make a date-time of `2026` and an IRI of a creator's name: names in full keep them."""
    body = dialect.write(codec.write_dataset(orjson.dumps(DATASET)), address=BASE, provider="us")
    found = read_catalog(body, "Dataset", dialect)
    dct = "http://purl.org/dc/terms/"
    assert (found[dct + "issued"], found["https://example.org/own"]) == ("2026", 5)
    assert found[dct + "description"] == {"@value": "Alle patienter", "@language": "und"}
    assert found["hasPolicy"][0]["profile"] == "https://p.example"


@OLDER
def test_a_filter_is_understood_without_the_context_of_edc(dialect: Dialect) -> None:
    criterion = {"operandLeft": "id", "operator": "in", "operandRight": ["a", "b"]}
    asked = CatalogRequest(id="urn:m", filter=({"limit": 5, "offset": 0, "filterExpression": [criterion]},))
    body = dialect.write(codec.write_catalog_request(asked))
    found = codec.read_catalog_request(asyncio.run(normalise(body, frozenset({"CatalogRequestMessage"}), dialect.namespace)))
    (spec,) = found.filter
    assert isinstance(spec, Mapping)
    assert (found.id, spec["limit"]) == ("urn:m", 5)
    assert spec["filterExpression"] == [{**criterion, "@type": "Criterion"}]


# --- one namespace is not another -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS, ids=["2025-1", "2024-1", "0.8"])
@pytest.mark.parametrize("other", DIALECTS, ids=["2025-1", "2024-1", "0.8"])
def test_a_version_takes_no_other_versions_messages(dialect: Dialect, other: Dialect) -> None:
    """DSP-100."""
    body = orjson.dumps(
        {"@context": {"dspace": other.namespace}, "@type": "dspace:TransferCompletionMessage",
         "dspace:consumerPid": {"@id": "urn:c"}, "dspace:providerPid": {"@id": "urn:p"}}
    )  # fmt: skip
    if dialect is other:
        assert read(body, "TransferCompletionMessage", dialect).consumer_pid == "urn:c"
    else:
        with pytest.raises(Malformed, match="@type must be TransferCompletionMessage"):
            read(body, "TransferCompletionMessage", dialect)


def test_a_name_of_another_version_in_a_message_is_nothing() -> None:
    body = orjson.dumps(
        {"@context": {"dspace": V2024.namespace, "new": NEWEST.namespace}, "@type": "dspace:TransferCompletionMessage",
         "dspace:consumerPid": "urn:c", "new:providerPid": {"@id": "urn:p"}}
    )  # fmt: skip
    with pytest.raises(Malformed, match="providerPid is missing"):
        read(body, "TransferCompletionMessage")


# --- which one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "protocol, address, meant",
    [
        ("dataspace-protocol-http:2025-1", "https://p.example/protocol/2025-1", NEWEST),
        ("dataspace-protocol-http:2024/1", "https://p.example/protocol/2024/1", V2024),
        ("dataspace-protocol-http:2024-1", "https://p.example/dsp/2024-1", V2024),
        ("dataspace-protocol-http", "https://p.example/protocol", V08),
        ("dataspace-protocol-http", None, V08),
        ("dataspace-protocol-http", "https://p.example/protocol/2025-1/", NEWEST),
        ("dataspace-protocol-http", "https://p.example/protocol/2024/1", V2024),
    ],
)
def test_the_protocol_and_the_address_say_the_version(protocol: str, address: str | None, meant: Dialect) -> None:
    assert dialects.named(protocol, address) is meant


def test_a_protocol_that_is_not_spoken_is_named_with_those_that_are() -> None:
    with pytest.raises(Malformed, match="dataspace-protocol-http:2024/1"):
        dialects.of("dataspace-protocol-http:1999")


@pytest.mark.parametrize(
    "announced, common",
    [
        (["2025-1", "2024/1", "v0.8"], NEWEST),  # EDC 0.15.1
        (["2024-1"], V2024),
        (["v0.8", "2024/1"], V2024),
        (["v0.8"], V08),
        (["2031-1"], None),
    ],
)
def test_the_newest_common_version_is_taken(announced: list[str], common: Dialect | None) -> None:
    entries = [{"version": version, "path": "/" + version} for version in announced]
    versions = codec.read_version(orjson.dumps({"protocolVersions": entries}))
    found = dialects.common(versions)
    assert (found and found[0]) == common
    assert dialects.common([Version("2025-1", "/", binding="GRPC")]) is None
