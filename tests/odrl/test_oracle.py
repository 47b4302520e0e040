"""The whole language against a slow, obvious second evaluator: generated policies, requests and states.

The oracle reads the documents like a person who holds odrl.md: plain JSON, recursion, one step of a hierarchy at a time.
It shares nothing with the engine but the facts in `vocab/`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.odrl import evaluate, read
from connector.odrl.decision import Decision
from connector.odrl.model import Link
from connector.odrl.operands import Request, Scope, State
from connector.odrl.terms import ODRL
from connector.odrl.world import Counter, Given, Outcome, World, memberships

FACTS = json.loads((Path(__file__).parents[2] / "vocab" / "terms" / "actions.json").read_text())
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROLES, PARTIES, ASSETS = ["a", "b", "c"], ["urn:north", "urn:south"], ["urn:beds", "urn:scans"]
ACTIONS = ["use", "play", "display", "reproduce", "extract", "copy", "sell", "transfer"]

roles = st.builds(
    lambda operator, words: limit("urn:hdc:role", operator, words),
    st.sampled_from(["isAnyOf", "isAllOf", "isNoneOf"]), st.lists(st.sampled_from(ROLES), min_size=1, max_size=2),
)  # fmt: skip
shares = st.builds(
    lambda operator, number: limit("percentage", operator, number),
    st.sampled_from(["lt", "lteq", "gt", "gteq", "eq", "neq"]), st.sampled_from([10, 50, 90]),
)  # fmt: skip
counts = st.builds(
    lambda operator, number: limit("count", operator, number), st.sampled_from(["lt", "lteq", "gt", "eq"]), st.integers(0, 3)
)
times = st.builds(
    lambda operator, days: limit("dateTime", operator, (NOW + timedelta(days=days)).isoformat()),
    st.sampled_from(["lt", "lteq", "gt", "gteq"]), st.integers(-1, 1),
)  # fmt: skip
trees = st.recursive(
    roles | shares | counts | times,
    lambda inner: st.builds(
        lambda logic, parts: {logic: parts},
        st.sampled_from(["and", "or", "xone", "andSequence"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


def limit(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _action(name: str, refinement: Mapping[str, Any] | None) -> Any:
    return name if refinement is None else {"rdf:value": name, "refinement": [refinement]}


duties = st.fixed_dictionaries(
    {"@id": st.sampled_from(["urn:d1", "urn:d2"]), "action": st.sampled_from(["compensate", "inform", "delete"])},
    optional={"constraint": st.lists(trees, max_size=1)},
)


def rules(name: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    optional: dict[str, Any] = {
        "target": st.sampled_from([*ASSETS, "urn:all"]),
        "assignee": st.sampled_from([*PARTIES, "urn:group"]),
        "constraint": st.lists(trees, max_size=2),
    }
    if name == "permission":
        optional["duty"] = st.lists(duties, max_size=2)
    fixed = {"action": st.builds(_action, st.sampled_from(ACTIONS), st.none() | shares)}
    return st.lists(st.fixed_dictionaries(fixed, optional=optional), max_size=3)


documents = st.fixed_dictionaries(
    {"@type": st.sampled_from(["Set", "Set", "Set", "Offer"]), "@id": st.just("urn:p"), "assigner": st.just("urn:h")},
    optional={
        "permission": rules("permission"), "prohibition": rules("prohibition"),
        "conflict": st.sampled_from(["perm", "prohibit", "invalid"]),
    },
).filter(lambda written: written.get("permission") or written.get("prohibition"))  # fmt: skip
questions = st.fixed_dictionaries(
    {"action": st.sampled_from(ACTIONS), "target": st.sampled_from(ASSETS), "assignee": st.sampled_from(PARTIES)},
    optional={"percentage": st.sampled_from([10, 50, 90]), "purpose": st.sampled_from(["dpv:Marketing", "dpv:Purpose"])},
)
states = st.fixed_dictionaries(
    {"parts": st.lists(st.sampled_from([("urn:north", "urn:group"), ("urn:beds", "urn:all")]), max_size=2)},
    optional={
        "roles": st.lists(st.sampled_from(ROLES), min_size=1, max_size=3, unique=True),
        "percentage": st.sampled_from([10, 50, 90]),
        "uses": st.integers(0, 3),
        "now": st.just(NOW),
        "urn:d1": st.sampled_from(["Fulfilled", "Violated", "NonSet"]),
        "urn:d2": st.sampled_from(["Fulfilled", "Violated", "NonSet"]),
    },
)


def engine(written: Mapping[str, Any], asked: Mapping[str, Any], known: Mapping[str, Any]) -> Decision:
    found = read.policy({"profile": "urn:hdc:profile", **written}, whole=True)
    assert found.problems == ()
    declared = {"percentage": asked.get("percentage"), "purpose": asked.get("purpose")}
    context = {ODRL + name: (Given(str(value)),) for name, value in declared.items() if value is not None}
    above, groups = memberships(Link(*pair) for pair in known["parts"])
    claims = {"urn:hdc:role": tuple(map(Given, known["roles"]))} if "roles" in known else {}
    world = World(
        now=known.get("now"),
        values={ODRL + "percentage": (Given(str(known["percentage"])),)} if "percentage" in known else {},
        about={asked["assignee"]: claims},
        above=above,
        groups=groups,
        counters=(Counter(known["uses"], "urn:p"),) if "uses" in known else (),
        duties={name: (Outcome("urn:r", known[name]),) for name in ("urn:d1", "urn:d2") if name in known},
    )
    request = Request(Scope.ACCESS, asked["action"], asked["target"], asked["assignee"], NOW, context=context)
    return evaluate.decide(evaluate.compile_whole(found), request, State(world=world))


# --- the oracle ------------------------------------------------------------------------------------------------------


def oracle(written: Mapping[str, Any], asked: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Return whether `written` permits, by odrl.md 1, 7, 9-14, 17-22, 25, 27, 29, 31 and EHDS Article 54."""
    if written["@type"] == "Offer" or asked.get("purpose") == "dpv:Marketing":
        return False

    def fits(rule: Mapping[str, Any]) -> bool | None:
        named = rule["action"]
        name, refinements = (named, []) if isinstance(named, str) else (named["rdf:value"], named["refinement"])
        premises: list[bool | None] = [_covers(name, asked["action"])]
        for what in ("target", "assignee"):
            if what in rule:
                premises.append(asked[what] == rule[what] or (asked[what], rule[what]) in known["parts"])
        premises += [truth(part, asked, {}) for part in refinements]
        return conjunction([*premises, *(truth(part, asked, known) for part in rule.get("constraint", []))])

    def waits(duty: Mapping[str, Any]) -> bool:
        if known.get(duty["@id"]) == "Violated":
            return True
        asks = conjunction([truth(part, asked, known) for part in duty.get("constraint", [])]) is not False
        return duty["action"] == "compensate" and asks and known.get(duty["@id"]) != "Fulfilled"

    permits = any(fits(rule) is True and not any(map(waits, rule.get("duty", []))) for rule in written.get("permission", []))
    forbids = any(fits(rule) is not False for rule in written.get("prohibition", []))
    return permits and (not forbids or written.get("conflict") == "perm")


def _covers(rule: str, asked: str) -> bool:
    def main(name: str) -> str:
        return str(FACTS["exact_match"].get(f"odrl:{name}", f"odrl:{name}"))

    step: str | None = main(asked)
    while step is not None:
        if step == main(rule):
            return True
        step = next((wide for wide, below in FACTS["included_in"].items() if step in below), None)
    return False


def conjunction(truths: Sequence[bool | None]) -> bool | None:
    return False if False in truths else None if None in truths else True


def truth(part: Mapping[str, Any], asked: Mapping[str, Any], known: Mapping[str, Any]) -> bool | None:
    for logic in ("and", "andSequence", "or", "xone"):
        if logic in part:
            truths = [truth(inner, asked, known) for inner in part[logic]]
            if logic == "xone":
                return False if truths.count(True) > 1 else None if None in truths else truths.count(True) == 1
            if logic == "or":
                return True if True in truths else None if None in truths else False
            return conjunction(truths)
    left, operator, right = part["leftOperand"], part["operator"], part["rightOperand"]
    if left == "urn:hdc:role":
        if "roles" not in known:
            return None
        if operator == "isAllOf":
            return set(right) <= set(known["roles"])
        return bool(set(right) & set(known["roles"])) is (operator == "isAnyOf")
    if left == "dateTime":
        value, right = known.get("now"), datetime.fromisoformat(right)
    elif left == "count":
        value = known["uses"] + 1 if "uses" in known else None
    else:
        value = known.get("percentage", asked.get("percentage"))
    if value is None:
        return None
    holds = {"eq": value == right, "neq": value != right, "lt": value < right, "gt": value > right}
    return bool(holds[operator] if operator in holds else value == right or holds[operator.removesuffix("eq")])


# --- what holds for all of them --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=600)
@given(documents, questions, states)
def test_the_engine_and_a_slow_reading_of_the_rules_agree(
    written: Mapping[str, Any], asked: Mapping[str, Any], known: Mapping[str, Any]
) -> None:
    assert engine(written, asked, known).allowed == oracle(written, asked, known)


@settings(deadline=None)
@given(documents, questions, states, st.randoms(use_true_random=False))
def test_8_the_order_of_rules_changes_neither_verdict_nor_duties(
    written: Mapping[str, Any], asked: Mapping[str, Any], known: Mapping[str, Any], chance: random.Random
) -> None:
    shuffled = {
        name: chance.sample(value, len(value)) if isinstance(value, list) else value for name, value in written.items()
    }
    assert engine(shuffled, asked, known).allowed == engine(written, asked, known).allowed


@settings(deadline=None)
@given(documents, rules("prohibition"), questions, states)
def test_8_a_further_prohibition_never_turns_a_denial_into_a_permit(
    written: Mapping[str, Any], further: list[Any], asked: Mapping[str, Any], known: Mapping[str, Any]
) -> None:
    stricter = {**written, "prohibition": [*written.get("prohibition", []), *further]}
    if engine(stricter, asked, known).allowed:
        assert engine(written, asked, known).allowed


@settings(deadline=None)
@given(documents, questions, states, st.sampled_from(["roles", "uses", "now", "percentage"]))
def test_25_what_is_not_known_never_turns_a_denial_into_a_permit(
    written: Mapping[str, Any], asked: Mapping[str, Any], known: Mapping[str, Any], hidden: str
) -> None:
    """A duty whose condition is not known asks for more, never less; a value of the request is not asked for here."""
    asked = {name: value for name, value in asked.items() if name != "percentage"}
    less = {name: value for name, value in known.items() if name != hidden}
    if engine(written, asked, less).allowed:
        assert engine(written, asked, known).allowed


@settings(deadline=None)
@given(documents, questions, states)
def test_33_reasons_and_duties_are_the_same_each_time(
    written: Mapping[str, Any], asked: Mapping[str, Any], known: Mapping[str, Any]
) -> None:
    one, other = (engine(written, asked, known) for _ in range(2))
    assert [reason.text for reason in one.because] == [reason.text for reason in other.because]
    assert (repr(one.duties()), one.filters(), one.unknown_constraints()) == (
        repr(other.duties()), other.filters(), other.unknown_constraints(),
    )  # fmt: skip


@settings(deadline=None)
@given(documents)
def test_what_is_written_reads_as_the_same_policy(written: Mapping[str, Any]) -> None:
    found = read.policy(written, whole=True)
    assert read.policy(read.to_json(found), whole=True) == found
