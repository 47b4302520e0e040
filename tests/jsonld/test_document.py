"""Any spelling of a message comes to the same: the gate's way and the processor's way read alike, in any order."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.dsp import codec
from connector.dsp.messages import Kind
from connector.errors import Malformed, PeerError, TooLarge
from connector.jsonld import document as jsonld
from connector.jsonld import shapes
from connector.jsonld.document import normalise, normalise_catalog
from connector.odrl.canonical import same_terms
from tests.dsp.samples import (
    DSP,
    EDC,
    Document,
    examples,
    expanded,
    messages,
    needs_official,
    needs_recorded,
    prefixed,
    recorded,
)
from tests.jsonld.test_shapes import offering, request

ALL = frozenset(Kind)
REQUEST = frozenset({"ContractRequestMessage"})


def slowly(message: Document) -> Document:
    """Read a message by JSON-LD processing although it would pass the gate."""
    return dict(jsonld._normalise_slowly(message, frozenset({message["@type"]})))


def read(message: Document, name: str) -> Any:
    body = json.dumps(message).encode()
    return codec.read_message(asyncio.run(normalise(body, frozenset({name}))), ALL)


def without_context(message: Document) -> Document:
    return {name: value for name, value in message.items() if name != "@context"}


# --- two ways, one reading ------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(messages)
def test_what_passes_the_gate_comes_out_of_json_ld_processing_unchanged(message: Document) -> None:
    """DSP-002: both ways interoperate; DSP-024, DSP-026: arrays, ids and `HttpData-PULL` survive."""
    assert shapes.passes_gate(message["@type"], message)
    assert without_context(slowly(message)) == without_context(message)


@settings(max_examples=200, deadline=None)
@given(messages, st.sampled_from([prefixed, expanded]))
def test_a_message_in_other_words_is_the_same_message(message: Document, reword: Any) -> None:
    """DSP-101: prefixes, full IRIs, `@id` and `@value` wrappers, one object in place of a list of one."""
    assert read(reword(message), message["@type"]) == codec.read_message(message, ALL)


@needs_official
def test_no_message_changes_how_another_is_read_in_any_order() -> None:
    """DSP-025: after one request message pyld dropped the agreement of the next agreement message."""
    known = [one for one in examples().values() if "@type" in one and one["@type"] in shapes._definitions()]
    known = [one for one in known if one["@type"] != "Catalog"] * 3
    chance = random.Random(7)
    for _ in range(5):
        chance.shuffle(known)
        for message in known:
            read_back = slowly(copy.deepcopy(message))
            expected = {name: value for name, value in message.items() if value != []}
            assert without_context(read_back) == without_context(expected)


@needs_recorded
async def test_everything_that_edc_sends_is_read_both_ways_alike() -> None:
    for name, status, message in recorded():
        kind = message["@type"]
        if "Error" in kind or kind in ("Catalog", "Dataset", "WrongMessage") or "jwt_header" in json.dumps(message):
            continue
        if not shapes.passes_gate(kind, message):
            assert any(probe in name for probe in ("unknown-context", "no-target", "without-policy")), name
            continue
        read_fast = await normalise(json.dumps(message).encode(), frozenset({kind}))
        again = slowly(message)
        assert without_context(again) == {k: v for k, v in without_context(read_fast).items() if v != []}, (name, status)


def test_the_processor_is_not_needed_for_canonical_messages() -> None:
    """The gate takes what it can: pyld is not even imported."""
    script = (
        "import asyncio, sys, json\n"
        "from connector.jsonld.document import normalise\n"
        f"asyncio.run(normalise(json.dumps({request()!r}).encode(), frozenset(['ContractRequestMessage'])))\n"
        "assert 'pyld' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# --- what is let pass -----------------------------------------------------------------------------------------------


async def test_unknown_properties_do_not_make_a_message_fail_and_are_dropped() -> None:
    """DSP-006."""
    body = json.dumps(request(extra={"deep": [1, {"x": None}]}, other="x")).encode()
    assert await normalise(body, REQUEST) == request()


async def test_an_unknown_term_inside_a_policy_is_kept_for_the_policy_reader_to_refuse() -> None:
    refined = offering({"action": "use", "refinement": [{"leftOperand": "resolution"}, {"leftOperand": "x"}]})
    message = codec.read_message(await normalise(json.dumps(request(offer=refined)).encode(), REQUEST), ALL)
    problems = message.offer.problems  # type: ignore[union-attr]
    assert any("refinement" in str(problem) for problem in problems)


async def test_with_the_pid_of_the_receiver_a_request_is_a_follow_up() -> None:
    """DSP-055."""
    found = await normalise(json.dumps(request(providerPid="urn:p")).encode(), REQUEST)
    assert "callbackAddress" not in found
    assert found["providerPid"] == "urn:p"


async def test_a_bare_number_as_right_operand_is_read_as_a_typed_value() -> None:
    """DSP-074 forbids it; others write it."""
    bare = {"leftOperand": "count", "operator": "lteq", "rightOperand": 5}
    found = await normalise(json.dumps(request(offer=offering({"action": "use", "constraint": bare}))).encode(), REQUEST)
    assert found["offer"]["permission"][0]["constraint"] == [{**bare, "rightOperand": {"@value": 5}}]  # type: ignore[index,call-overload]


async def test_one_value_and_a_list_of_one_mean_the_same_on_both_ways() -> None:
    """JSON-LD knows no difference: the gate keeps the list, the processor unwraps it, the terms are equal."""
    one_of = {"leftOperand": "purpose", "operator": "isAnyOf", "rightOperand": ["urn:research"]}
    message = request(offer=offering({"action": "use", "constraint": [one_of]}))
    fast, slow = (codec.read_message(each, ALL) for each in (message, slowly(message)))
    assert same_terms(fast.offer, slow.offer)  # type: ignore[union-attr]


async def test_lists_of_json_ld_are_lists() -> None:
    parts = [
        {"leftOperand": "a", "operator": "eq", "rightOperand": "1"},
        {"leftOperand": "b", "operator": "eq", "rightOperand": "2"},
    ]
    listed = request(offer=offering({"action": "use", "constraint": [{"and": {"@list": parts}}]}))
    found = await normalise(json.dumps(listed).encode(), REQUEST)
    assert found["offer"]["permission"][0]["constraint"] == [{"and": parts}]  # type: ignore[index,call-overload]


async def test_a_filter_of_edc_is_read_in_short_and_in_full_words() -> None:
    """DSP-031; without EDC's context its words have no mapping and are still understood."""
    criterion = {"@type": "Criterion", "operandLeft": "id", "operator": "=", "operandRight": "asset-1"}
    query = {"@type": "QuerySpec", "offset": 0, "limit": 50, "filterExpression": [criterion]}
    short = {"@context": [DSP, EDC], "@type": "CatalogRequestMessage", "filter": [query]}
    ns = "https://w3id.org/edc/v0.0.1/ns/"
    full_query = {
        "@type": ns + "QuerySpec", ns + "offset": 0, ns + "limit": 50,
        ns + "filterExpression": {"@type": ns + "Criterion", **{ns + k: v for k, v in criterion.items() if k != "@type"}},
    }  # fmt: skip
    full = {"@context": [DSP], "@type": "CatalogRequestMessage", "filter": full_query}
    types = frozenset({"CatalogRequestMessage"})
    for spelled in (short, full, {**short, "@context": [DSP]}):
        found = await normalise(json.dumps(spelled).encode(), types)
        assert codec.read_catalog_request(found).filter == (query,)


# --- what is refused ------------------------------------------------------------------------------------------------

WRONG = {
    "no context": ({k: v for k, v in request().items() if k != "@context"}, "@context is missing"),
    "no type": ({k: v for k, v in request().items() if k != "@type"}, "@type is missing"),
    "another type": (request(**{"@type": "ContractOfferMessage"}), "@type must be ContractRequestMessage"),
    "an unheard-of type": (request(**{"@type": "WrongMessage"}), "@type must be ContractRequestMessage, not WrongMessage"),
    "a context that gives the type no meaning": (
        request(**{"@context": {"dspace": "https://w3id.org/dspace/2025/1/"}}),
        "has no meaning under this @context",
    ),
    "a rule without an action": (request(offer=offering({"constraint": []})), "offer.permission[0].action is missing"),
    "no offer": ({k: v for k, v in request().items() if k != "offer"}, "offer is missing"),
    "no way to answer": ({k: v for k, v in request().items() if k != "callbackAddress"}, "callbackAddress is missing"),
    "an unknown context": (request(**{"@context": [DSP, "https://evil.example/x"]}), "https://evil.example/x is not known"),
    "an unknown context inside": (request(x={"@context": "file:///etc/passwd"}), "file:///etc/passwd is not known"),
    "an unknown context inside a term": (
        request(**{"@context": [DSP, {"a": {"@id": "x:a", "@context": "http://10.0.0.1/"}}]}),
        "http://10.0.0.1/ is not known",
    ),
    "an import": (request(**{"@context": [DSP, {"@import": DSP}]}), "@import is not taken"),
    "an import from the network": (
        request(**{"@context": [DSP, {"@import": "http://evil.example"}]}),
        "@import is not taken",
    ),
    "a protected term made to mean something else": (
        request(**{"@context": [DSP, {"ContractRequestMessage": "http://evil.example/x"}]}),
        "protected term redefinition",
    ),
    "policy terms made to mean nothing": (
        request(offer={**offering({"action": "use"}), "@context": {"prohibition": None}}),
        "protected term redefinition",
    ),
    "the context taken back": (request(**{"@context": [DSP, None]}), "invalid context nullification"),
    "terms that define each other": (request(**{"@context": [DSP, {"a": "b:x", "b": "a:x"}]}), "cyclic IRI mapping"),
    "a graph of two messages": ({"@context": [DSP], "@graph": [request(), request()]}, "one message"),
    "an empty graph": ({"@context": [DSP], "@graph": []}, "one message"),
    "a named graph": ({"@context": [DSP], "@id": "urn:g", "@graph": [request()]}, "one message"),
    "a context that is a number": (request(**{"@context": 5}), "not JSON-LD"),
    "an id that is an object": (request(**{"@id": {"a": 1}}), "not JSON-LD"),
}


@pytest.mark.parametrize("message, words", WRONG.values(), ids=WRONG)
async def test_a_message_is_refused_in_words_that_name_the_fault(message: Document, words: str) -> None:
    with pytest.raises(Malformed) as refused:
        await normalise(json.dumps(message).encode(), REQUEST)
    assert words in str(refused.value)


def chain(length: int) -> Document:
    return {f"p{i}": f"p{i - 1}:x/" if i else "http://x/" for i in range(length)}


def deep(levels: int) -> Document:
    constraint: Document = {"leftOperand": "x", "operator": "eq", "rightOperand": "y"}
    for _ in range(levels):
        constraint = {"and": [constraint]}
    return constraint


def typed(levels: int) -> Document:
    """Every level brings a context of its own into force: pyld takes 12 s for 3,500 of them."""
    node: Document = {"@type": "Dataset"}
    for _ in range(levels):
        node = {"@type": "Dataset", "hasPolicy": node}
    return node


ODRL = "http://www.w3.org/ns/odrl.jsonld"
HOSTILE = {
    "many contexts": request(**{"@context": [DSP] * 10_000}),
    "many contexts inside": request(x=[{"@context": DSP, "a": {"@context": DSP}}] * 1000),
    "a chain of prefixes": request(**{"@context": [DSP, chain(5000)]}),
    "a chain of prefixes in context after context": request(**{"@context": [DSP, *[chain(200)] * 14]}),
    "terms that scope each other": request(
        **{"@context": [DSP, {f"t{i}": {"@id": f"x:{i}", "@context": {f"t{i + 1}": "x:y"}} for i in range(200)}]}
    ),
    "many values": request(x=list(range(20_000))),
    "many nodes": request(x=[{"a": 1}] * 10_000),
    "one long text": request(x="x" * 300_000),
    "ten megabytes": request(x="x" * 10_000_000),
    "ten megabytes of nodes": request(x=[{"a": {}}] * 1_000_000),
    "typed nodes inside typed nodes": request(**{"http://x/y": [typed(58)] * 60}),
    "a type again and again": request(**{"@type": ["ContractRequestMessage"] * 7000}),  # pyld: a millisecond each
    "a type again and again, by its alias": request(x={"@context": ODRL, "type": ["Offer"] * 7000}),
    "a type again and again, by another name": request(
        **{"@context": [DSP, {"t": "@type"}], "t": ["ContractRequestMessage"] * 7000}
    ),
    "deep constraints": request(offer=offering({"action": "use", "constraint": [deep(40)]})),
    "reverse properties": request(**{"@reverse": {"x:y": [{"@id": f"x:{i}"} for i in range(5000)]}}),
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_message_is_refused_soon(message: Document) -> None:
    body = json.dumps(message).encode()
    started = time.perf_counter()
    with pytest.raises(PeerError):
        await normalise(body, REQUEST)
    assert time.perf_counter() - started < 10  # far below a second here; the bound is for busy machines


async def test_the_largest_message_that_is_processed_takes_seconds_at_most_and_the_loop_goes_on() -> None:
    rules = [{"action": "use", "constraint": [deep(1)]} for _ in range(600)]
    body = json.dumps(request(offer=offering(*rules), extra=1)).encode()
    work = asyncio.create_task(normalise(body, REQUEST))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert len((await work)["offer"]["permission"]) == 600  # type: ignore[index,call-overload,arg-type]
    assert turns > 10


KEYS = (
    [
        "@context",
        "@id",
        "@type",
        "@value",
        "@graph",
        "@list",
        "@set",
        "@reverse",
        "@included",
        "@nest",
        "@index",
        "@vocab",
        "@base",
    ],
    ["@language", "@container", "@json", "offer", "permission", "dspace:offer", "x:y", ""],
)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(0, 9)
        | st.text(max_size=5)
        | st.sampled_from([DSP, "@none", "dspace:offer"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from([*KEYS[0], *KEYS[1]]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=15,
    )
)
def test_no_json_ld_raises_anything_but_a_peers_fault(anything: Any) -> None:
    message = request(extra=anything)
    for document in (message, {**message, **(anything if isinstance(anything, dict) else {})}):
        with suppress(Malformed, TooLarge):
            shapes.check("ContractRequestMessage", jsonld._normalise_slowly(document, REQUEST))


# --- catalogues -----------------------------------------------------------------------------------------------------


@needs_recorded
async def test_catalogs_of_edc_are_read_as_plain_json_with_all_their_properties() -> None:
    """DSP-002; EDC leaves `dataset` out when it is empty, and adds properties of its own."""
    seen = 0
    for _, status, answer in recorded():
        if answer["@type"] not in ("Catalog", "Dataset") or status != 200:
            continue
        seen += 1
        assert await normalise_catalog(json.dumps(answer).encode(), frozenset({answer["@type"]})) == answer
    assert seen


@needs_official
async def test_the_catalogs_of_the_specification_are_read_either_way() -> None:
    for name in ("catalog", "nested-catalog", "dataset"):
        example = examples()[name]
        types = frozenset({example["@type"]})
        assert await normalise_catalog(json.dumps(example).encode(), types) == example
        slow = jsonld._catalog_slowly(example, types)
        assert without_context(slow) == without_context(example)


async def test_what_is_a_list_in_the_protocol_is_always_a_list() -> None:
    dataset = {"@id": "d", "@type": "Dataset", "hasPolicy": {"@id": "o", "@type": "Offer", "permission": {"action": "use"}}}
    dataset["distribution"] = {"@type": "Distribution", "format": "HttpData-PULL", "accessService": "urn:s"}
    single = {"@context": [DSP], "@id": "c", "@type": "Catalog", "participantId": "p", "dataset": dataset, "service": []}
    for catalog in (single, {**single, "@context": DSP}):  # plain JSON, and JSON-LD since the context is no array
        found = await normalise_catalog(json.dumps(catalog).encode())
        (only,) = found["dataset"]  # type: ignore[misc,union-attr]
        assert only["hasPolicy"] == [{"@id": "o", "@type": "Offer", "permission": [{"action": "use"}]}]  # type: ignore[index,call-overload]
        assert only["distribution"] == [dataset["distribution"]]  # type: ignore[index,call-overload]
        assert "service" not in found


async def test_a_catalog_in_prefixed_words_goes_through_json_ld() -> None:
    """DSP-101: 2024-1 connectors write so."""
    offer = {"@id": "o", "@type": "odrl:Offer", "odrl:permission": {"odrl:action": {"@id": "odrl:use"}}}
    dataset = {"@id": "d 1", "@type": "dcat:Dataset", "dct:title": "Breast cancer", "odrl:hasPolicy": offer}
    catalog = {
        "@context": [DSP, {"dspace": "https://w3id.org/dspace/2025/1/"}],
        "@id": "urn:c",
        "@type": "dcat:Catalog",
        "dspace:participantId": {"@id": "did:web:x"},
        "dcat:dataset": dataset,
    }
    found = await normalise_catalog(json.dumps(catalog).encode())
    assert found["participantId"] == "did:web:x"
    assert found["dataset"] == [
        {
            "@id": "d 1", "@type": "Dataset", "http://purl.org/dc/terms/title": "Breast cancer",
            "hasPolicy": [{"@id": "o", "@type": "Offer", "permission": [{"action": "use"}]}],
        }
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"@type":"Catalog"}', b'{"@context":["x"],"@type":"Catalog"}'])
async def test_what_is_no_catalog_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        await normalise_catalog(body)


async def test_a_large_catalog_is_read_in_the_worker() -> None:
    offer = {"@id": "o", "@type": "Offer", "permission": [{"action": "use"}]}
    distribution = {"@type": "Distribution", "format": "HttpData-PULL", "accessService": "urn:s"}
    datasets = [
        {"@id": f"d{i}", "@type": "Dataset", "hasPolicy": [offer], "distribution": [distribution]} for i in range(5000)
    ]
    catalog = {"@context": [DSP], "@id": "c", "@type": "Catalog", "participantId": "p", "dataset": datasets}
    assert await normalise_catalog(json.dumps(catalog).encode()) == catalog
