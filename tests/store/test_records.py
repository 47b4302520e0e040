"""What is stored comes back as it was, field by field, also from rows of an older or newer connector."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.dsp.negotiation import Negotiation
from connector.dsp.offering import Agreement, Asset, ContractDefinition, PolicyDefinition
from connector.dsp.transfer import TransferProcess
from connector.errors import Malformed, OperatorError, Problem
from connector.odrl.model import Constraint, Place, Policy, PolicyKind, Rule, RuleKind
from connector.store.records import MESSAGES, decoder, encode, from_micros, to_micros
from tests.store.records import BASIC, anything, negotiation

STORED = (Negotiation, TransferProcess, Agreement, Asset, PolicyDefinition, ContractDefinition, *MESSAGES.values())


def whole(value: Any) -> Any:
    """Return a value with everything in it, also what `==` leaves out (places, problems)."""
    if is_dataclass(value):
        return type(value), {f.name: whole(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return type(value), [whole(part) for part in value]
    if isinstance(value, dict):
        return {key: whole(part) for key, part in value.items()}
    return type(value), value


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.__name__)
def test_what_is_written_is_read_again_whole(kind: type[Any]) -> None:
    @settings(max_examples=40, deadline=None)
    @given(anything(kind))
    def holds(record: Any) -> None:
        assert whole(decoder(kind)(encode(record))) == whole(record)

    holds()


def test_places_and_problems_of_a_policy_are_kept_though_equality_ignores_them() -> None:
    place = Place("policies/research.yaml", 3, 7)
    rule = Rule(RuleKind.PERMISSION, "use", (Constraint("l", "eq", {"@value": "x"}, place=place),), place=place)
    policy = Policy(PolicyKind.SET, "p", (rule,), problems=(Problem("P1", "unknown operand", "f", 3, 7),))
    assert whole(decoder(Policy)(encode(policy))) == whole(policy)


def test_a_row_of_an_older_connector_lacks_a_field_and_gets_its_default() -> None:
    row = json.loads(encode(negotiation(purpose="research")))
    del row["purpose"], row["callbacks"], row["claims"]
    assert decoder(Negotiation)(json.dumps(row)) == negotiation()


def test_a_row_of_a_newer_connector_has_a_field_more_and_is_read() -> None:
    row = json.loads(encode(negotiation())) | {"priority": 3}
    assert decoder(Negotiation)(json.dumps(row)) == negotiation()


@pytest.mark.parametrize("text", ["", "{", "{}", '{"id": 1}', "[]", "null"])
def test_a_damaged_row_is_reported_with_what_to_do(text: str) -> None:
    with pytest.raises(OperatorError, match=r"Negotiation cannot be read .* restore the database from a backup"):
        decoder(Negotiation)(text)


def test_a_state_that_only_a_newer_connector_knows_is_not_guessed_at() -> None:
    row = json.loads(encode(negotiation())) | {"state": "PONDERING"}
    with pytest.raises(OperatorError, match="PONDERING"):
        decoder(Negotiation)(json.dumps(row))


def test_half_a_surrogate_pair_is_malformed_and_not_a_crash() -> None:
    with pytest.raises(Malformed, match="cannot be stored"):
        encode(Asset("a", {"name": "\ud800"}))


@given(BASIC.get(type(negotiation().created_at), st.nothing()))
def test_instants_keep_their_microseconds(moment: Any) -> None:
    assert from_micros(to_micros(moment)) == moment


def test_a_process_of_before_there_were_other_versions_speaks_the_one_there_was() -> None:
    row = json.loads(encode(negotiation()))
    del row["protocol"]
    assert decoder(Negotiation)(json.dumps(row)).protocol == "dataspace-protocol-http:2025-1"
