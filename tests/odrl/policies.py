"""Policies and requests for these tests: short ways to write them, generated ones, and a slow evaluator to compare with.

The oracle reads odrl.md like a person would: documents in, verdict out, by recursion over plain JSON, with the hierarchy
walked upwards one step at a time. It shares nothing with the engine but the facts in `vocab/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from connector.odrl import evaluate, read
from connector.odrl.evaluate import Decision, Request, Scope, State
from connector.odrl.model import Policy

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
CONSUMER, DATASET = "did:web:aarhus.example", "urn:example:dataset:7"
RESEARCH = "eu-ehds:HealthcareScientificResearch"

Document = dict[str, Any]


def limit(left: str, operator: str, right: Any) -> Document:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def permission(*constraints: Document, **more: Any) -> Document:
    return {"action": "use", "constraint": list(constraints), **more}


def document(*permissions: Document, prohibition: Sequence[Document] = (), **more: Any) -> Document:
    return {"@type": "Set", "permission": list(permissions), "prohibition": list(prohibition), **more}


def policy(*permissions: Document, prohibition: Sequence[Document] = (), **more: Any) -> Policy:
    """Return a policy that is understood."""
    found = read.policy(document(*permissions, prohibition=prohibition, **more))
    assert found.problems == ()
    return found


def request(scope: Scope = Scope.ACCESS, /, **more: Any) -> Request:
    given: dict[str, Any] = {"action": "use", "target": DATASET, "assignee": CONSUMER, "now": NOON, "claims": {}}
    return Request(scope=scope, **given | more)


def decide(asked: Policy, wanted: Request, uses: int = 0) -> Decision:
    return evaluate.decide(evaluate.compile(asked), wanted, State(uses))


# --- generated -------------------------------------------------------------------------------------------------------

PURPOSES = ["dpv:ResearchAndDevelopment", "dpv:ScientificResearch", RESEARCH, "dpv:CommercialResearch", "urn:example:own"]
PLACES = ["DK", "NO", "US", "EU", "EEA"]
PARTIES = [CONSUMER, "did:web:odense.example"]
INSTANTS = [NOON + timedelta(days=days) for days in (-2, -1, 0, 1, 2)]

instants = st.sampled_from(INSTANTS)
written_instants = instants.flatmap(
    lambda at: st.sampled_from(
        [at.isoformat(), at.isoformat().replace("+00:00", "Z"), (at + timedelta(hours=1)).isoformat()[:19] + "+01:00"]
    )
)


def _set(words: Sequence[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=3)


def _term(name: str, words: Sequence[str], hierarchy: Sequence[str]) -> st.SearchStrategy[Document]:
    single = st.builds(limit, st.just(name), st.sampled_from(["eq", "neq", *hierarchy]), st.sampled_from(words))
    return single | st.builds(limit, st.just(name), st.sampled_from(["isAnyOf", "isNoneOf"]), _set(words))


ORDERS = ["eq", "neq", "lt", "lteq", "gt", "gteq"]
shared_constraints = (
    _term("purpose", PURPOSES, ["isA"])
    | _term("spatial", PLACES, ["isA", "isPartOf"])
    | _term("recipient", PARTIES, [])
    | st.builds(limit, st.just("dateTime"), st.sampled_from(ORDERS), written_instants)
)
count_constraints = st.builds(limit, st.just("count"), st.sampled_from(["lt", "lteq"]), st.integers(0, 3)) | st.builds(
    limit, st.just("count"), st.just("eq"), st.integers(0, 1)
)


def _tree(leaves: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.recursive(
        leaves,
        lambda inner: st.builds(
            lambda logic, parts: {logic: parts}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)
        ),
        max_leaves=6,
    )


def _rules(leaves: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {"action": st.sampled_from(["use", "read"]), "constraint": st.lists(_tree(leaves), max_size=3)},
        optional={"assignee": st.sampled_from(PARTIES)},
    )


permissions = _rules(shared_constraints | count_constraints)
prohibitions = _rules(shared_constraints)
documents = st.fixed_dictionaries(
    {
        "@type": st.just("Set"),
        "permission": st.lists(permissions, min_size=1, max_size=3),
        "prohibition": st.lists(prohibitions, max_size=2),
    },
    optional={"target": st.sampled_from([DATASET, "urn:example:dataset:8"])},
)
claims = st.fixed_dictionaries(
    {},
    optional={
        "purpose": st.sampled_from([*PURPOSES, "dpv:Purpose", "dpv:Marketing", "dpv:DirectMarketing"]),
        "spatial": st.sampled_from(["DK", "NO", "US"]),
    },
)
requests = st.builds(
    Request,
    scope=st.sampled_from(list(Scope)),
    action=st.sampled_from(["use", "read"]),
    target=st.sampled_from([DATASET, None]),
    assignee=st.sampled_from(PARTIES),
    now=instants | instants.map(lambda at: at + timedelta(seconds=1)),
    claims=claims,
)
uses = st.integers(0, 4)


# --- the oracle ------------------------------------------------------------------------------------------------------

FACTS = {name: json.loads((ROOT / "vocab" / "terms" / f"{name}.json").read_text()) for name in ("purposes", "places")}


def oracle(written: Mapping[str, Any], wanted: Request, used: int) -> bool:
    """Return whether `written` permits `wanted` after `used` uses, by odrl.md 9-13, 25, 27, 29 and EHDS Article 54."""
    purpose = wanted.claims.get("purpose")
    if purpose and _reaches("purposes", purpose, "dpv:Marketing"):
        return False
    shown = wanted.scope is Scope.CATALOG

    def holds(rule: Mapping[str, Any], kind: str) -> bool | None:
        wider = {"read": ["read", "use"], "use": ["use"]}[wanted.action]
        premises: list[bool | None] = [rule["action"] in wider]
        if "target" in written:
            premises.append(None if wanted.target is None else wanted.target == written["target"])
        if "assignee" in rule:
            premises.append(rule["assignee"] == wanted.assignee)
        return _all([*premises, *(_truth(part, kind, wanted, used) for part in rule["constraint"])])

    forbidden = [holds(rule, "prohibition") for rule in written["prohibition"]]
    if True in forbidden or (None in forbidden and not shown):
        return False
    permitted = [holds(rule, "permission") for rule in written["permission"]]
    return True in permitted or (None in permitted and shown)


def _all(values: Sequence[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def _truth(part: Mapping[str, Any], kind: str, wanted: Request, used: int) -> bool | None:
    if "and" in part:
        return _all([_truth(inner, kind, wanted, used) for inner in part["and"]])
    if "or" in part:
        inverse = _all([_not(_truth(inner, kind, wanted, used)) for inner in part["or"]])
        return _not(inverse)
    left, operator, right = part["leftOperand"], part["operator"], part["rightOperand"]
    early = wanted.scope in (Scope.CATALOG, Scope.NEGOTIATION)
    if left == "count":
        return _compare(operator, 1 if early else used + 1, right)
    if left == "dateTime":
        return _time(operator, datetime.fromisoformat(right), kind, wanted.now, early)
    value = wanted.assignee if left == "recipient" else wanted.claims.get(left)
    if value is None:
        return None
    if operator in ("isA", "isPartOf"):
        table = "purposes" if left == "purpose" else "places"
        known = FACTS[table]["broader"]
        return True if value == right else _reaches(table, value, right) if value in known and right in known else None
    if operator in ("isAnyOf", "isNoneOf"):
        return (value in right) == (operator == "isAnyOf")
    return _compare(operator, value, right)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _reaches(table: str, word: str, wide: str) -> bool:
    above = FACTS[table]["broader"].get(word, [])
    return word == wide or any(_reaches(table, each, wide) for each in above)


def _compare(operator: str, left: Any, right: Any) -> bool:
    if operator in ("eq", "neq"):
        return bool((left == right) == (operator == "eq"))
    return (
        bool(left < right or (left == right and operator.endswith("eq")))
        if operator[0] == "l"
        else not _compare({"gt": "lteq", "gteq": "lt"}[operator], left, right)
    )


def _time(operator: str, right: datetime, kind: str, now: datetime, early: bool) -> bool:
    """Before use, a permission asks whether a time can still come, a prohibition whether it lasts for ever.

    All the instants that matter: now, just before, at and just after the bound, and long after.
    """
    if not early:
        return _compare(operator, now, right)
    tick = timedelta(microseconds=1)
    coming = [at for at in (now, right - tick, right, right + tick, right + timedelta(days=9999)) if at >= now]
    values = [_compare(operator, at, right) for at in coming]
    return any(values) if kind == "permission" else all(values)
