"""Terms compared by content: what is the same policy and what is another (odrl.md 30, 41)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.odrl import read
from connector.odrl.canonical import canonical, difference, fingerprint, same_terms
from connector.odrl.model import PolicyKind
from tests.odrl.policies import RESEARCH, Document, document, limit, permission, policy

RESEARCHERS = permission(limit("purpose", "isA", RESEARCH), limit("count", "lteq", 3))
BASE = policy(RESEARCHERS)


def test_an_offer_and_its_agreement_have_the_same_terms() -> None:
    agreement = replace(
        BASE, kind=PolicyKind.AGREEMENT, uid="urn:a", target="urn:d", assigner="urn:p", assignee="urn:c", timestamp="now"
    )
    assert same_terms(BASE, agreement)


@pytest.mark.parametrize(
    "one, other",
    [
        (limit("dateTime", "lt", "2026-01-01T00:00:00Z"), limit("dateTime", "lt", "2026-01-01T01:00:00+01:00")),
        (limit("count", "lteq", 5), limit("count", "lteq", "5.0")),
        (limit("count", "lteq", 100), limit("count", "lteq", {"@value": "1e2", "@type": "xsd:double"})),
        (limit("spatial", "eq", "DK"), limit("spatial", "eq", {"@id": "country:DNK"})),
        (limit("recipient", "isAnyOf", ["urn:a", "urn:b"]), limit("recipient", "isAnyOf", ["urn:b", "urn:a", "urn:b"])),
        ({"and": [limit("count", "lteq", 5)]}, limit("count", "lteq", 5)),
        ({"or": [{"or": [limit("spatial", "eq", "DK"), limit("spatial", "eq", "NO")]}, limit("spatial", "eq", "SE")]},
         {"or": [limit("spatial", "eq", "SE"), limit("spatial", "eq", "NO"), limit("spatial", "eq", "DK")]}),
    ],
)  # fmt: skip
def test_values_count_not_their_spelling(one: Document, other: Document) -> None:
    """odrl.md 30."""
    assert fingerprint(policy(permission(one))) == fingerprint(policy(permission(other)))


def test_constraints_of_a_rule_are_the_same_as_an_and_of_them() -> None:
    parts = RESEARCHERS["constraint"]
    assert same_terms(BASE, policy(permission({"and": parts})))
    assert not same_terms(BASE, policy(permission({"or": parts})))


@pytest.mark.parametrize(
    "changed",
    [
        document(permission(limit("purpose", "isA", RESEARCH), limit("count", "lteq", 4))),
        document(permission(limit("purpose", "isA", RESEARCH), limit("count", "lt", 3))),
        document(permission(limit("purpose", "isA", RESEARCH))),
        document(RESEARCHERS | {"action": "read"}),
        document(RESEARCHERS | {"assignee": "urn:c"}),
        document(RESEARCHERS, assignee="urn:c"),
        document(RESEARCHERS, permission()),
        document(RESEARCHERS, prohibition=[permission(limit("spatial", "eq", "US"))]),
        document(prohibition=[RESEARCHERS]),
        document(RESEARCHERS | {"duty": [{"action": "delete"}]}),
        document(RESEARCHERS, obligation=[{"action": "delete"}]),
        document(RESEARCHERS, conflict="perm"),
        document(permission(limit("purpose", "isA", RESEARCH), limit("count", "lteq", 3) | {"unit": "urn:day"})),
    ],
)  # fmt: skip
def test_whoever_changes_a_term_has_another_policy(changed: Document) -> None:
    """odrl.md 41; what we do not understand counts too (26)."""
    other = read.policy(changed)
    assert not same_terms(BASE, other)
    assert difference(BASE, other)


def test_a_difference_is_said_in_words() -> None:
    other = policy(permission(limit("purpose", "isA", RESEARCH), limit("count", "lteq", 30)))
    assert difference(BASE, other) == [
        f"without permission to use if purpose isA {RESEARCH} and count lteq 3",
        f"with permission to use if purpose isA {RESEARCH} and count lteq 30",
    ]


def test_the_form_that_is_signed_stays_as_it_is() -> None:
    """Agreements keep their fingerprint: this text may only change together with a migration of stored ones."""
    assert canonical(BASE).decode() == (
        '{"rules":[{"action":"http://www.w3.org/ns/odrl/2/use","assignee":null,"duties":[],"if":['
        '{"left":"http://www.w3.org/ns/odrl/2/count","operator":"http://www.w3.org/ns/odrl/2/lteq","right":[3]},'
        '{"left":"http://www.w3.org/ns/odrl/2/purpose","operator":"http://www.w3.org/ns/odrl/2/isA",'
        '"right":["https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch"]}],"kind":"permission"}]}'
    )
