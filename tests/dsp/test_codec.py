"""Messages to JSON and back: nothing lost, and what goes out is what the specification asks for."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from connector.dsp import codec
from connector.dsp.binding import ENDPOINTS
from connector.dsp.messages import (
    CatalogRequest,
    ContractAccepted,
    ContractFinalized,
    DataAddress,
    EndpointProperty,
    Kind,
    TransferRequest,
    TransferStart,
)
from connector.errors import Malformed
from connector.jsonld import shapes
from connector.jsonld.document import normalise
from tests.dsp.samples import DSP, EDC, Document, examples, messages, needs_official, needs_recorded, official, recorded

ALL = frozenset(Kind)
PIDS = {"providerPid": "urn:p", "consumerPid": "urn:c"}


def document(name: str, **fields: Any) -> Document:
    return {"@context": [DSP], "@type": name, **fields}


# --- messages -------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(messages)
def test_a_message_that_is_read_and_written_is_the_same_message(message: Document) -> None:
    read = codec.read_message(message, ALL)
    written = codec.write_message(read)
    again = asyncio.run(normalise(written, frozenset({message["@type"]})))
    assert codec.read_message(again, ALL) == read


@needs_official
@settings(max_examples=200, deadline=None)
@given(messages)
def test_what_is_written_has_the_published_shape(message: Document) -> None:
    """DSP-001, DSP-003, DSP-004."""
    written = orjson.loads(codec.write_message(codec.read_message(message, ALL)))
    official(message["@type"]).validate(written)
    assert written["@context"] == [DSP]
    assert shapes.passes_gate(message["@type"], written)


@needs_official
def test_every_example_of_the_specification_is_read_and_written_back_unchanged() -> None:
    seen = set()
    for name, example in examples().items():
        kinds = {kind for kind, (wire, _) in codec.WIRE.items() if wire == example.get("@type")}
        if kinds:
            written = orjson.loads(codec.write_message(codec.read_message(example, frozenset(kinds))))
            assert policyless(written) == policyless(example), name
            seen |= kinds
    assert seen == ALL


def policyless(message: Document) -> Document:
    """Leave rules and profile to the policy writer's own tests."""
    left = {"permission", "profile"}
    return {
        name: {key: part for key, part in value.items() if key not in left} if name in ("offer", "agreement") else value
        for name, value in message.items()
    }


@needs_recorded
def test_every_message_that_edc_sent_is_read() -> None:
    kinds = set()
    for name, status, body in recorded():
        if status or not shapes.passes_gate(body["@type"], body) if body["@type"] in shapes._definitions() else True:
            continue
        if body["@type"] == "CatalogRequestMessage":
            assert len(codec.read_catalog_request(body).filter) <= 1, name
            continue
        message = codec.read_message(body, ALL)
        assert message.id == body.get("@id"), name
        kinds.add(message.kind)
    assert {Kind.REQUEST, Kind.AGREE, Kind.VERIFY, Kind.FINALIZE, Kind.TRANSFER_REQUEST, Kind.START} <= kinds


def test_accepted_and_finalized_are_told_apart_by_what_the_endpoint_takes() -> None:
    """DSP-062."""
    accepted = document("ContractNegotiationEventMessage", **PIDS, eventType="ACCEPTED")
    finalized = {**accepted, "eventType": "FINALIZED"}
    assert isinstance(codec.read_message(accepted, ALL), ContractAccepted)
    assert isinstance(codec.read_message(finalized, ALL), ContractFinalized)
    with pytest.raises(Malformed, match="eventType must be ACCEPTED"):
        codec.read_message(finalized, frozenset({Kind.ACCEPT}))


def test_the_format_stays_what_it_is() -> None:
    """DSP-026."""
    request = TransferRequest(
        id="urn:m", consumer_pid="urn:c", agreement_id="urn:a", format="HttpData-PULL", callback_address="https://a.example"
    )
    assert orjson.loads(codec.write_message(request))["format"] == "HttpData-PULL"


def test_a_data_address_keeps_the_names_of_its_properties() -> None:
    """DSP-086; EDC writes full IRIs, the specification short names."""
    address = DataAddress(
        endpoint_type="https://w3id.org/idsa/v4.1/HTTP",
        endpoint="https://a.example/data",
        properties=(
            EndpointProperty("authType", "bearer"),
            EndpointProperty("https://w3id.org/edc/v0.0.1/ns/authorization", "TOKEN"),
        ),
    )
    message = TransferStart(id="urn:m", consumer_pid="urn:c", provider_pid="urn:p", data_address=address)
    written = orjson.loads(codec.write_message(message))
    assert written["dataAddress"]["endpointProperties"][0] == {
        "@type": "EndpointProperty", "name": "authType", "value": "bearer"
    }  # fmt: skip
    assert codec.read_message(written, ALL) == message
    assert "TOKEN" not in repr(message)


WRONG = [
    (document("ContractAgreementVerificationMessage", consumerPid="urn:c"), "providerPid is missing"),
    (document("ContractRequestMessage", consumerPid="urn:c"), "offer is missing"),
    (document("ContractRequestMessage", consumerPid="urn:c", offer="urn:o"), "offer must be an object"),
    (document("TransferCompletionMessage", providerPid=5, consumerPid="urn:c"), "providerPid must be a string"),
    (document("Nonsense"), "not Nonsense"),
    (document("ContractNegotiationEventMessage", **PIDS), "eventType must be"),
    (
        document("TransferStartMessage", **PIDS, dataAddress={"endpointType": "x", "endpointProperties": [{"name": "a"}]}),
        "dataAddress.endpointProperties[0].value is missing",
    ),
]


@pytest.mark.parametrize("wrong, words", WRONG, ids=[words for _, words in WRONG])
def test_a_document_that_is_no_message_is_malformed_and_the_field_is_named(wrong: Document, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        codec.read_message(wrong, ALL)
    assert words in str(refused.value)


def test_every_endpoint_has_wire_types_and_every_kind_a_class_of_its_own() -> None:
    assert all(codec.wire_types(endpoint.kinds) for endpoint in ENDPOINTS)
    assert {cls.kind for _, cls in codec.WIRE.values()} == ALL
    assert all(cls.kind is kind for kind, (_, cls) in codec.WIRE.items())


def test_the_digest_does_not_depend_on_the_order_of_names() -> None:
    """DSP-053: an exact duplicate is the same message."""
    one = document("TransferCompletionMessage", **PIDS)
    assert codec.digest(one) == codec.digest(dict(reversed(one.items())))
    assert codec.digest(one) != codec.digest({**one, "consumerPid": "urn:d"})
    assert codec.digest(one).startswith("sha256:")


# --- catalog --------------------------------------------------------------------------------------------------------

OFFER = {"@id": "urn:o", "@type": "Offer", "permission": [{"action": "use"}]}
SERVICE = {"@id": "urn:s", "@type": "DataService", "endpointURL": "https://a.example/dsp/2025-1"}
DISTRIBUTION = {"@type": "Distribution", "format": "HttpData-PULL", "accessService": SERVICE}
DATASET = {"@id": "urn:d", "@type": "Dataset", "hasPolicy": [OFFER], "distribution": [DISTRIBUTION], "dct:title": "Data"}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_catalog_is_joined_from_datasets_that_are_serialised_already(count: int) -> None:
    """DSP-036: no array is empty; DSP-042: the service says where to negotiate."""
    entry = orjson.dumps(DATASET)
    catalog = orjson.loads(codec.write_catalog("urn:cat", "did:web:a", [entry] * count, SERVICE["endpointURL"], "urn:s"))
    expected = document("Catalog", **{"@id": "urn:cat"}, participantId="did:web:a", service=[SERVICE])
    assert catalog == ({**expected, "dataset": [DATASET] * count} if count else expected)
    assert shapes.passes_gate("Catalog", catalog)
    if official_at_hand():
        official("Catalog").validate(catalog)


def test_a_dataset_becomes_a_document_with_a_context() -> None:
    """DSP-039."""
    dataset = orjson.loads(codec.write_dataset(orjson.dumps(DATASET)))
    assert dataset == {"@context": [DSP], **DATASET}
    assert shapes.passes_gate("Dataset", dataset)
    if official_at_hand():
        official("Dataset").validate(dataset)


def official_at_hand() -> bool:
    return not needs_official.args[0]


QUERY = {"limit": 5, "filterExpression": [{"operandLeft": "id", "operator": "=", "operandRight": "a"}]}


def test_a_query_is_written_with_the_types_and_the_context_that_edc_needs() -> None:
    """EDC's context gives meaning to the terms of a QuerySpec only by their type."""
    written = orjson.loads(codec.write_catalog_request(CatalogRequest(id="urn:m", filter=(QUERY,))))
    assert written["@context"] == [DSP, EDC]
    assert written["filter"][0]["@type"] == "QuerySpec"
    assert written["filter"][0]["filterExpression"][0]["@type"] == "Criterion"
    assert shapes.passes_gate("CatalogRequestMessage", written)
    assert codec.read_catalog_request(written).filter[0]["limit"] == 5  # type: ignore[index,call-overload]


def test_no_filter_and_an_empty_filter_are_the_same_and_none_is_written() -> None:
    """DSP-031; EDC refuses an empty array."""
    empty = document("CatalogRequestMessage", filter=[])
    assert codec.read_catalog_request(empty) == codec.read_catalog_request(document("CatalogRequestMessage"))
    assert orjson.loads(codec.write_catalog_request(CatalogRequest())) == document("CatalogRequestMessage")


UNSUPPORTED: dict[str, Any] = {
    "a text": ["all"],
    "two queries": [{}, {}],
    "an unknown word": [{"sparql": "SELECT *"}],
    "no array": {"sparql": "SELECT *"},
    "a negative offset": [{"offset": -1}],
    "a limit of no datasets": [{"limit": 0}],
    "a limit beyond reason": [{"limit": 10**12}],
    "a criterion without an operator": [{"filterExpression": [{"operandLeft": "id", "operandRight": "x"}]}],
}


@pytest.mark.parametrize("filter", UNSUPPORTED.values(), ids=UNSUPPORTED)
async def test_a_filter_that_is_not_supported_is_refused(filter: Any) -> None:
    """DSP-031."""
    body = orjson.dumps(document("CatalogRequestMessage", filter=filter))
    with pytest.raises(Malformed, match="filter"):
        codec.read_catalog_request(await normalise(body, frozenset({"CatalogRequestMessage"})))


def test_a_filter_of_another_kind_is_refused_by_the_reader_itself() -> None:
    for filter in ("x", ["x"], [{}, {}]):
        with pytest.raises(Malformed, match="filter must be an array with one QuerySpec"):
            codec.read_catalog_request(document("CatalogRequestMessage", filter=filter))
