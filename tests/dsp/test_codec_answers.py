"""Acknowledgements, errors and version metadata: strict in what is written, patient with what is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.dsp import codec
from connector.dsp.codec import Auth, Version
from connector.dsp.messages import DSP_CONTEXT, Ack, Role
from connector.dsp.negotiation import Negotiation
from connector.dsp.negotiation import State as N
from connector.dsp.transfer import State as T
from connector.dsp.transfer import TransferProcess
from connector.errors import Malformed
from connector.jsonld import shapes
from connector.odrl.model import Policy, PolicyKind
from tests.dsp.samples import examples, needs_official, needs_recorded, official, recorded

NOW = datetime(2026, 11, 23, tzinfo=UTC)
COMMON: dict[str, Any] = {"id": "urn:ours", "peer": "did:web:peer", "peer_address": "https://peer.example/dsp"}
COMMON |= {"correlation_id": "x", "created_at": NOW, "updated_at": NOW, "peer_pid": "urn:theirs"}
OFFER = Policy(PolicyKind.OFFER, "urn:o", ())


def negotiation(role: Role, state: N) -> Negotiation:
    return Negotiation(**COMMON, role=role, state=state, offer=OFFER, offered_by=Role.CONSUMER, dataset_id="urn:d")


def transfer(role: Role, state: T) -> TransferProcess:
    return TransferProcess(
        **COMMON, role=role, state=state, agreement_id="urn:a", dataset_id="urn:d", format="HttpData-PULL"
    )


# --- acknowledgements -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("process", [negotiation, transfer])
def test_an_acknowledgement_names_both_pids_and_the_state_whichever_side_we_are(process: Any, role: Role) -> None:
    """DSP-056, DSP-067."""
    for state in T if process is transfer else N:
        body = codec.write_ack(process(role, state))
        document = orjson.loads(body)
        ours, theirs = ("consumerPid", "providerPid") if role is Role.CONSUMER else ("providerPid", "consumerPid")
        assert (document[ours], document[theirs], document["@id"]) == ("urn:ours", "urn:theirs", "urn:ours")
        assert shapes.passes_gate(document["@type"], document)
        assert codec.read_ack(body) == Ack(document["consumerPid"], document["providerPid"], state)


@needs_official
def test_an_acknowledgement_has_the_published_shape() -> None:
    for process in (negotiation(Role.PROVIDER, N.REQUESTED), transfer(Role.CONSUMER, T.STARTED)):
        document = orjson.loads(codec.write_ack(process))
        official(document["@type"]).validate(document)


@pytest.mark.parametrize(
    "body",
    [
        b'{"@type":"dspace:ContractNegotiation","dspace:consumerPid":"urn:c","dspace:providerPid":{"@id":"urn:p"},'
        b'"dspace:state":"dspace:REQUESTED"}',
        b'[{"https://w3id.org/dspace/2025/1/consumerPid":[{"@id":"urn:c"}],'
        b'"https://w3id.org/dspace/2025/1/providerPid":[{"@id":"urn:p"}],'
        b'"https://w3id.org/dspace/2025/1/state":[{"@id":"https://w3id.org/dspace/2025/1/REQUESTED"}]}]',
    ],
    ids=["prefixed", "expanded"],
)
def test_an_acknowledgement_is_read_however_it_is_spelled(body: bytes) -> None:
    assert codec.read_ack(body) == Ack("urn:c", "urn:p", "REQUESTED")


@given(
    st.binary(max_size=50)
    | st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(orjson.dumps)
)
def test_an_answer_that_says_nothing_is_no_fault(body: bytes) -> None:
    """DSP-068."""
    assert isinstance(codec.read_ack(body), Ack)
    assert isinstance(codec.read_error(body), tuple)


def test_an_empty_answer_says_nothing() -> None:
    assert codec.read_ack(b"") == Ack(None, None, None)
    assert codec.read_error(b"<html>") == (None, ())


# --- errors ---------------------------------------------------------------------------------------------------------

FAMILIES = ["catalog", "negotiations", "transfers"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pids", [("urn:c", "urn:p"), (None, "urn:p"), (None, None)])
@pytest.mark.parametrize("reasons", [[], ["no such offer", "really"]])
def test_an_error_is_valid_whatever_is_known(family: str, pids: tuple[str | None, str | None], reasons: list[str]) -> None:
    """DSP-034, DSP-035, DSP-065, DSP-066: pids are required in errors even when there are none."""
    body = codec.write_error(family, *pids, "not-found", reasons)
    document = orjson.loads(body)
    assert shapes.passes_gate(document["@type"], document)
    assert codec.read_error(body) == ("not-found", tuple(reasons))


@needs_official
@pytest.mark.parametrize("family", FAMILIES)
def test_an_error_has_the_published_shape(family: str) -> None:
    document = orjson.loads(codec.write_error(family, None, "urn:p", "malformed", ["x"]))
    official(document["@type"]).validate(document)


@pytest.mark.parametrize(
    "reason, text",
    [
        (["plain"], ("plain",)),
        ("alone", ("alone",)),
        ([{"@value": "with a language", "@language": "en"}], ("with a language",)),
        ([{"a": 1}, 5, None], ('{"a":1}', "5", "null")),
        ([["nested"]], ("nested",)),
    ],
)
def test_reasons_of_any_kind_are_read_as_text(reason: Any, text: tuple[str, ...]) -> None:
    assert codec.read_error(orjson.dumps({"@type": "TransferError", "code": "99", "dspace:reason": reason})) == ("99", text)


@needs_recorded
def test_the_errors_of_edc_are_read_although_they_have_no_pids() -> None:
    """DSP-066."""
    for name, status, body in recorded():
        if body["@type"].endswith("Error"):
            code, reasons = codec.read_error(orjson.dumps(body))
            assert (code, list(reasons)) == (str(status), body["reason"]), name


# --- versions -------------------------------------------------------------------------------------------------------


def test_our_version_metadata_is_plain_json() -> None:
    """DSP-013, DSP-014, DSP-015."""
    document = orjson.loads(codec.write_versions([Version("2025-1", "/dsp/2025-1")]))
    assert document == {"protocolVersions": [{"version": "2025-1", "path": "/dsp/2025-1", "binding": "HTTPS"}]}
    assert shapes.passes_gate("VersionResponse", document)


@needs_official
def test_the_version_example_is_read_and_written_back_unchanged() -> None:
    """DSP-016, DSP-018: two entries of one version are two entries."""
    example = examples()["protocol-version"]
    versions = codec.read_version(orjson.dumps(example))
    assert orjson.loads(codec.write_versions(versions)) == example
    assert versions[2] == Version(
        "2025-1", "/different/path/2025-1", service_id="service-qwerty", auth=Auth("DCP", "1.0", ("vc11-sl2021/jwt",))
    )
    root = "https://host.example/root"
    assert codec.select_version(versions, root) == "https://host.example/root/some/path/2025-1"
    assert codec.select_version(versions, root, service_id="service-qwerty") == root + "/different/path/2025-1"


def test_the_spelling_of_edc_is_understood() -> None:
    """EDC 0.15.1 writes `2024/1` and `v0.8`; 2024-1 knows no binding."""
    entries = [{"version": "2024/1", "path": "/2024/1"}, {"version": "v0.8", "path": "/", "binding": "https"}]
    versions = codec.read_version(orjson.dumps({"protocolVersions": entries}))
    assert [(version.version, version.binding) for version in versions] == [("2024-1", "HTTPS"), ("0.8", "HTTPS")]


@pytest.mark.parametrize(
    "root, path, base",
    [
        ("https://h.example", "/dsp/2025-1", "https://h.example/dsp/2025-1"),
        ("https://h.example/sub/", "/2025-1/", "https://h.example/sub/2025-1"),
        ("https://h.example/sub", "2025-1", "https://h.example/sub/2025-1"),
        ("https://h.example/sub", "/", "https://h.example/sub"),
    ],
)
def test_the_base_is_the_root_and_the_path_put_together(root: str, path: str, base: str) -> None:
    """DSP-010, DSP-012, DSP-017: not resolved as a reference, a root below the host is kept."""
    assert codec.select_version([Version("2025-1", path)], root) == base


@pytest.mark.parametrize(
    "entry", [{"version": "2024-1", "path": "/"}, {"version": "2025-1", "path": "/", "binding": "GRPC"}, "x", {"path": "/"}]
)
def test_where_no_entry_fits_there_is_nothing_to_say(entry: Any) -> None:
    """DSP-019."""
    versions = codec.read_version(orjson.dumps({"protocolVersions": [entry]}))
    with pytest.raises(Malformed, match="does not speak version 2025-1"):
        codec.select_version(versions, "https://h.example")


def test_an_entry_cannot_lead_to_another_host() -> None:
    body = orjson.dumps({"protocolVersions": [{"version": "2025-1", "path": "https://evil.example/"}]})
    assert codec.read_version(body) == ()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"protocolVersions":[]}', b'{"protocolVersions":{}}'])
def test_what_is_no_version_metadata_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        codec.read_version(body)


def test_the_context_is_the_published_one() -> None:
    assert DSP_CONTEXT == "https://w3id.org/dspace/2025/1/context.jsonld"
