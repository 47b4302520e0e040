"""Policies on the wire: the DSP 2025-1 schema, the JSON-LD context, and what EDC sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings

from connector.files import documents as files
from connector.files.policies import definition
from connector.odrl import evaluate, read
from connector.odrl.canonical import same_terms
from connector.odrl.evaluate import Request, Scope
from connector.odrl.model import Policy, PolicyKind
from connector.odrl.read import to_json
from tests.odrl.policies import NOON, RESEARCH, ROOT, Document, decide, documents, limit, permission, policy

SHARED = ROOT.parent / "shared"
SCHEMA = SHARED / "ref/dsp/2025-1/negotiation/contract-schema.json"
EDC = SHARED / "peers/edc/wire/exchange"
SUITE_RULES = policy(
    permission(limit("purpose", "isA", RESEARCH), limit("count", "lteq", 3), {"or": [limit("spatial", "eq", "DK")]}),
    prohibition=[permission(limit("dateTime", "lt", "2026-01-01T00:00:00Z"))],
)


def offer(found: Policy) -> Policy:
    return replace(found, kind=PolicyKind.OFFER, uid="urn:o", target="urn:d", assigner="urn:p")


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the DSP schemas under ../shared/ref are not at hand")
@settings(deadline=None)
@given(documents)
def test_every_policy_written_satisfies_the_contract_schema(written: Document) -> None:
    """DSP-070..074."""
    schema = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
    found = read.policy(written)
    schema.validate(to_json(offer(found)))
    schema.validate(to_json(replace(offer(found), kind=PolicyKind.AGREEMENT, assignee="urn:c")))


def test_left_operands_are_full_iris_and_the_terms_that_dsp_knows_are_short() -> None:
    """DSP-075, DSP-076: the DSP context defines `use` and the operators, but no left operand."""
    wire = to_json(offer(SUITE_RULES))
    assert wire["permission"] == [
        {
            "action": "use",
            "constraint": [
                {
                    "leftOperand": "http://www.w3.org/ns/odrl/2/purpose",
                    "operator": "isA",
                    "rightOperand": "https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch",
                },
                {
                    "leftOperand": "http://www.w3.org/ns/odrl/2/count",
                    "operator": "lteq",
                    "rightOperand": {"@value": "3", "@type": "http://www.w3.org/2001/XMLSchema#integer"},
                },
                {"or": [{"leftOperand": "http://www.w3.org/ns/odrl/2/spatial", "operator": "eq", "rightOperand": "DK"}]},
            ],
        }
    ]
    assert wire["@type"] == "Offer"
    assert "obligation" not in wire


def recorded() -> Iterator[tuple[str, Document]]:
    """Yield every policy in the messages that two EDC connectors exchanged, by file and path."""
    for file in sorted(EDC.glob("*.json")):
        yield from _policies(json.loads(file.read_text()), file.name)


def _policies(value: Any, name: str) -> Iterator[tuple[str, Document]]:
    if isinstance(value, dict):
        if value.get("@type") in ("Offer", "Agreement"):
            yield name, value
        for inner in value.values():
            yield from _policies(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _policies(inner, name)


@pytest.mark.skipif(not EDC.is_dir(), reason="the recorded EDC messages under ../shared/peers are not at hand")
def test_what_edc_sends_is_understood_and_its_agreement_is_its_offer() -> None:
    """odrl.md 41."""
    found = [read.policy(written) for _, written in recorded()]
    assert [one.kind for one in found] == [PolicyKind.OFFER, PolicyKind.OFFER, PolicyKind.AGREEMENT]
    assert all(one.problems == () and same_terms(one, found[0]) for one in found)
    asked = Request(Scope.ACCESS, "use", "asset-61b9f13d", "consumer", NOON)
    assert decide(found[2], asked).allowed
    assert not decide(found[2], replace(asked, assignee="somebody else")).allowed


EXAMPLES = sorted((ROOT / "policies").glob("*.yaml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_policy_can_be_put_in_force(file: Path) -> None:
    found = definition(files.read(file.read_bytes(), file.name), file.stem).policy
    assert evaluate.compile(found).permissions
    assert found.rules[0].place is not None
    assert file.read_text().startswith("# ")
    assert same_terms(read.policy(to_json(found)), found)
