"""Our shapes: whatever passes them passes the published schemas, and what is wrong is said by the field's name."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import Malformed
from connector.jsonld import shapes
from tests.dsp.samples import DSP, EDC, Document, examples, messages, needs_official, needs_recorded, official, recorded

OTHERS = {"DatasetRequestMessage"}  # mapped to a GET (DSP-032)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
NAMES = [
    "@id",
    "@type",
    "@context",
    "target",
    "permission",
    "odrl:permission",
    "action",
    "callbackAddress",
    "providerPid",
    "and",
]


@st.composite
def mutated(draw: st.DrawFn) -> Document:
    """A valid message with one to three things changed somewhere in it."""
    document: Document = copy.deepcopy(draw(messages))
    for _ in range(draw(st.integers(1, 3))):
        where: Any = document
        while isinstance(where, dict | list) and where and draw(st.booleans()):
            step = draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            if not isinstance(where[step], dict | list):
                break
            where = where[step]
        if isinstance(where, list):
            where.append(draw(anything))
        elif draw(st.booleans()) and where:
            del where[draw(st.sampled_from(sorted(where)))]
        else:
            where[draw(st.sampled_from([*NAMES, *where]))] = draw(anything)
    return document


@needs_official
@settings(max_examples=400, deadline=None)
@given(mutated())
def test_whatever_passes_the_gate_passes_the_published_schema(document: Document) -> None:
    """DSP-001, DSP-003, DSP-004, DSP-055, DSP-072, DSP-074."""
    name = document.get("@type")
    if isinstance(name, str) and name in shapes._definitions() and shapes.passes_gate(name, document):
        official(name).validate(document)


@needs_official
@settings(max_examples=200, deadline=None)
@given(messages)
def test_generated_messages_pass_both(document: Document) -> None:
    assert shapes.passes_gate(document["@type"], document)
    official(document["@type"]).validate(document)


@needs_official
def test_the_examples_of_the_specification_pass_the_gate() -> None:
    for name, document in examples().items():
        shape = document.get("@type", "VersionResponse")
        if shape not in OTHERS and name != "nested-catalog":  # we write no nested catalogs
            assert shapes.passes_gate(shape, document), name


@needs_recorded
def test_what_edc_sends_as_requests_passes_the_gate() -> None:
    probes = {"unknown-context", "wrong-type", "no-target", "without-policy"}  # deliberately wrong ones
    for name, status, document in recorded():
        if status or any(probe in name for probe in probes) or "jwt_header" in json.dumps(document):
            continue
        assert shapes.passes_gate(document["@type"], document), name


def request(**changes: Any) -> Document:
    offer = {"@id": "urn:o", "@type": "Offer", "target": "urn:t", "permission": [{"action": "use"}]}
    valid = {"@context": [DSP], "@type": "ContractRequestMessage", "consumerPid": "urn:c", "offer": offer}
    return {**valid, "callbackAddress": "https://a.example/dsp", **changes}


def offering(*permission: Document) -> Document:
    return {"@id": "urn:o", "@type": "Offer", "target": "urn:t", "permission": list(permission)}


CLOSED = {
    "a context by itself, not in an array": request(**{"@context": DSP}),
    "a context given by value": request(**{"@context": [DSP, {"offer": "x:y"}]}),
    "a context we know, but that changes the words": request(**{"@context": [DSP, "http://www.w3.org/ns/odrl.jsonld"]}),
    "a context inside": request(offer={**offering({"action": "use"}), "@context": [DSP]}),
    "a prefixed type": request(**{"@type": "dspace:ContractRequestMessage"}),
    "a type in an array": request(**{"@type": ["ContractRequestMessage"]}),
    "a prefixed name beside the plain one": request(offer={**offering({"action": "use"}), "odrl:permission": []}),
    "an unknown name": request(extra=1),
    "a prefixed value": request(offer=offering({"action": "odrl:use"})),
    "a bare number": request(
        offer=offering({"action": "use", "constraint": [{"leftOperand": "count", "operator": "lt", "rightOperand": 5}]})
    ),
}


@pytest.mark.parametrize("document", CLOSED.values(), ids=CLOSED)
def test_the_gate_is_shut_for(document: Document) -> None:
    """anchors.md 5: the published schemas are no gate, they accept most of these."""
    assert shapes.passes_gate("ContractRequestMessage", request())
    assert shapes.passes_gate("ContractRequestMessage", request(**{"@context": [EDC, DSP]}))
    assert not shapes.passes_gate("ContractRequestMessage", document)


WORDS = [
    (request(offer=offering({})), "offer.permission[0].action is missing"),
    (request(offer={**offering({"action": "use"}), "@type": "Set"}), "offer.@type must be 'Offer'"),
    (request(offer={"@id": "urn:o", "@type": "Offer", "target": "urn:t"}), "offer.permission is missing"),
    (request(offer=offering({"action": "use", "target": "urn:x"})), "offer.permission[0].target must not be given here"),
    (request(consumerPid=5), "consumerPid must be a string, not a number"),
    (request(callbackAddress="ftp://x"), "callbackAddress must be an http or https URL"),
    (request(offer="urn:o"), "offer must be an object, not a string"),
    (
        request(offer=offering({"action": "use", "constraint": [{"and": [], "or": []}]})),
        "offer.permission[0].constraint[0] must have exactly one of and, or, xone, andSequence",
    ),
    (
        request(
            offer=offering({"action": "use", "constraint": [{"leftOperand": "a", "operator": "?", "rightOperand": "b"}]})
        ),
        "offer.permission[0].constraint[0].operator must be one of eq, neq",
    ),
]


@pytest.mark.parametrize("document, words", WORDS, ids=[words for _, words in WORDS])
def test_a_fault_is_told_by_the_name_of_the_field(document: Document, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        shapes.check("ContractRequestMessage", document)
    assert words in str(refused.value)
