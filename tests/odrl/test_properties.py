"""What holds for every policy and every request."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.odrl import evaluate, read
from connector.odrl.canonical import canonical, difference, fingerprint, same_terms
from connector.odrl.evaluate import Request, Scope, State
from connector.odrl.purposes import purposes
from connector.odrl.terms import ODRL
from tests.odrl.policies import Document, decide, documents, oracle, prohibitions, requests, uses

TERMS = {
    "permission",
    "prohibition",
    "constraint",
    "leftOperand",
    "operator",
    "rightOperand",
    "action",
    "and",
    "or",
    "assignee",
}
NAMES = {"action", "leftOperand", "operator"}


def understood(written: Document) -> evaluate.Policy:
    found = read.policy(written)
    assert found.problems == ()
    return found


@settings(deadline=None, max_examples=400)
@given(documents, requests, uses)
def test_the_engine_and_a_slow_reading_of_the_rules_agree(written: Document, wanted: Request, used: int) -> None:
    """odrl.md 9-13, 24-29, 33, 34."""
    assert decide(understood(written), wanted, used).allowed == oracle(written, wanted, used)


@settings(deadline=None)
@given(documents, requests, uses)
def test_the_same_question_has_the_same_answer_byte_for_byte(written: Document, wanted: Request, used: int) -> None:
    """odrl.md 33."""
    one, other = (decide(understood(written), wanted, used) for _ in range(2))
    assert (one.allowed, one.why(), one.coarse(), one.unknown, one.valid_until) == (
        other.allowed, other.why(), other.coarse(), other.unknown, other.valid_until,
    )  # fmt: skip


@settings(deadline=None)
@given(documents, requests, uses, st.randoms(use_true_random=False))
def test_the_order_of_rules_and_constraints_never_matters(
    written: Document, wanted: Request, used: int, chance: random.Random
) -> None:
    """odrl.md 8."""
    shuffled = shuffle(written, chance)
    one, other = understood(written), understood(shuffled)
    assert decide(one, wanted, used).allowed == decide(other, wanted, used).allowed
    assert fingerprint(one) == fingerprint(other)


def shuffle(value: Any, chance: random.Random) -> Any:
    if isinstance(value, list):
        return chance.sample([shuffle(item, chance) for item in value], len(value))
    return {name: shuffle(item, chance) for name, item in value.items()} if isinstance(value, dict) else value


@settings(deadline=None)
@given(documents, prohibitions, requests, uses)
def test_a_further_prohibition_never_turns_a_denial_into_a_permit(
    written: Document, further: Document, wanted: Request, used: int
) -> None:
    """odrl.md 8, 34."""
    stricter = {**written, "prohibition": [*written["prohibition"], further]}
    if decide(understood(stricter), wanted, used).allowed:
        assert decide(understood(written), wanted, used).allowed


@settings(deadline=None)
@given(documents, requests, uses)
def test_what_is_not_known_never_turns_a_denial_into_a_permit(written: Document, wanted: Request, used: int) -> None:
    """odrl.md 25. Art. 54 speaks of declared purposes only, so a request that hides one is left to the policy."""
    less = replace(wanted, claims={}, scope=Scope.ACCESS)
    more = replace(wanted, scope=Scope.ACCESS)
    purpose = wanted.claims.get("purpose", "")
    if decide(understood(written), less, used).allowed and "Marketing" not in purpose:
        assert decide(understood(written), more, used).allowed


@settings(deadline=None)
@given(documents, requests, uses, st.randoms(use_true_random=False))
def test_however_it_is_spelled_a_policy_decides_alike_and_has_one_fingerprint(
    written: Document, wanted: Request, used: int, chance: random.Random
) -> None:
    """odrl.md 30."""
    one, other = understood(written), understood(respell(written, chance))
    assert canonical(one) == canonical(other)
    assert decide(one, wanted, used).allowed == decide(other, wanted, used).allowed


def respell(value: Any, chance: random.Random, name: str = "") -> Any:
    """Write a document in other words: other prefixes, wrapped values, no lists of one."""
    if isinstance(value, dict):
        return {spell(key, chance) if key in TERMS else key: respell(item, chance, key) for key, item in value.items()}
    if isinstance(value, list):
        items = [respell(item, chance, name) for item in value]
        lists = [items, {"@list": items}, {"@set": items}]
        return items[0] if len(items) == 1 and chance.random() < 0.5 else chance.choice(lists)
    if name in NAMES:
        word = spell(value, chance)
        return chance.choice([word, {"@id": word}])
    if name == "rightOperand":
        return respell_value(value, chance)
    return value


def spell(word: str, chance: random.Random) -> str:
    return chance.choice(["", "odrl:", ODRL]) + word


def respell_value(value: Any, chance: random.Random) -> Any:
    if isinstance(value, int):
        typed = {"@value": str(value), "@type": "xsd:integer"}
        return chance.choice([value, float(value), str(value), f"{value}.0", {"@value": value}, typed])
    long = purposes().resolve(value)
    return chance.choice(
        [value, long, {"@value": value}, {"@id": long}] if ":" in value[:10] else [value, {"@value": value}]
    )


@settings(deadline=None)
@given(documents)
def test_what_is_written_reads_as_the_same_policy(written: Document) -> None:
    """DSP-070..074."""
    found = understood(written)
    assert read.policy(read.to_json(found)) == found


@settings(deadline=None)
@given(documents, documents)
def test_terms_are_the_same_exactly_when_there_is_no_difference_to_name(one: Document, other: Document) -> None:
    """odrl.md 41."""
    first, second = understood(one), understood(other)
    assert same_terms(first, first)
    assert difference(first, first) == []
    assert same_terms(first, second) == (difference(first, second) == [])


@settings(deadline=None)
@given(documents, requests, uses)
def test_a_permission_holds_until_the_instant_it_names_and_not_after(written: Document, wanted: Request, used: int) -> None:
    """odrl.md 39, 40."""
    compiled = evaluate.compile(understood(written))
    decision = evaluate.decide(compiled, wanted, State(used))
    if not decision.allowed:
        assert decision.valid_until is None
        return
    end = decision.valid_until
    assert end is None or end > wanted.now
    last = end or wanted.now + timedelta(days=30)
    for step in (0.0, 0.3, 0.6, 0.999):
        instants = (last - wanted.now) // timedelta(microseconds=1)  # rounded down: the end itself is not before the end
        between = replace(wanted, now=wanted.now + timedelta(microseconds=int(instants * step)))
        assert evaluate.decide(compiled, between, State(used)).allowed
    if end is not None:
        assert not evaluate.decide(compiled, replace(wanted, now=end), State(used)).allowed


@settings(deadline=None)
@given(documents, requests, uses)
def test_what_the_catalog_hides_could_not_be_agreed_and_what_is_agreed_was_shown(
    written: Document, wanted: Request, used: int
) -> None:
    """odrl.md 39: the catalog hides what could never be agreed."""
    found = understood(written)
    if decide(found, replace(wanted, scope=Scope.NEGOTIATION), used).allowed:
        assert evaluate.possible(evaluate.compile(found), wanted).allowed
