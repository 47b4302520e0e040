"""What a policy document may look like, and what is said about one that cannot be understood."""

from __future__ import annotations

from typing import Any

import pytest

from connector.errors import InvalidFiles
from connector.odrl import evaluate, read
from connector.odrl.canonical import same_terms
from connector.odrl.model import Constraint, Place, PolicyKind, Rule, RuleKind
from connector.odrl.read import to_json
from connector.odrl.terms import ODRL, READ, USE, XSD
from tests.odrl.policies import Document, document, limit, permission, policy

THREE_USES = limit("count", "lteq", 3)


def problems(*permissions: Document, **more: Any) -> list[str]:
    """Return `code message` of each problem, and see that compiling refuses exactly for them."""
    found = read.policy(document(*permissions, **more))
    if found.problems:
        with pytest.raises(InvalidFiles) as refused:
            evaluate.compile(found)
        assert refused.value.problems == found.problems
    return [f"{problem.code} {problem.message}" for problem in found.problems]


def of(constraint: Document) -> str:
    """Return the one problem of a policy whose one constraint is wrong."""
    (problem,) = problems(permission(constraint))
    return problem


# --- spelling --------------------------------------------------------------------------------------------------------

EDC_MANAGEMENT = {
    "@context": "http://www.w3.org/ns/odrl.jsonld",
    "@type": "odrl:Set",
    "odrl:permission": {
        "odrl:action": {"@id": "odrl:use"},
        "odrl:constraint": {
            "odrl:leftOperand": {"@id": "odrl:count"},
            "odrl:operator": {"@id": "odrl:lteq"},
            "odrl:rightOperand": 3,
        },
    },
    "odrl:prohibition": [],
    "odrl:obligation": [],
}
EXPANDED = {
    "@type": [ODRL + "Set"],
    ODRL + "permission": [
        {
            ODRL + "action": [{"@id": USE}],
            ODRL + "constraint": [
                {
                    ODRL + "leftOperand": [{"@id": ODRL + "count"}],
                    ODRL + "operator": [{"@id": ODRL + "lteq"}],
                    ODRL + "rightOperand": [{"@value": 3}],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("written", [EDC_MANAGEMENT, EXPANDED], ids=["EDC management API", "expanded JSON-LD"])
def test_every_spelling_is_the_same_policy(written: Document) -> None:
    """odrl.md 30."""
    found = read.policy(written)
    assert found.problems == ()
    assert same_terms(found, policy(permission(THREE_USES)))


def test_terms_become_full_iris_and_numbers_typed_text() -> None:
    """DSP-074: no bare numbers."""
    (rule,) = policy(permission(THREE_USES)).rules
    number = {"@value": "3", "@type": XSD + "integer"}
    assert rule == Rule(RuleKind.PERMISSION, USE, (Constraint(ODRL + "count", ODRL + "lteq", number),))


def test_the_flawed_neq_of_the_w3c_context_still_means_neq() -> None:
    """The published odrl.jsonld maps the term `neq` to odrl:neg."""
    expanded = policy(permission(limit("spatial", ODRL + "neg", "DK")))
    assert same_terms(expanded, policy(permission(limit("spatial", "neq", "DK"))))


def test_properties_of_the_policy_hold_for_each_rule_that_lacks_them() -> None:
    """odrl.md 3: the compact form."""
    compact = read.policy({"@type": "Set", "action": "use", "assignee": ["urn:a", "urn:b"], "permission": [{}]})
    assert [(rule.action, rule.assignee) for rule in compact.rules] == [(USE, "urn:a"), (USE, "urn:b")]


def test_a_rule_with_two_actions_is_two_rules() -> None:
    """odrl.md 3: atomic rules."""
    assert [rule.action for rule in policy({"action": ["use", "odrl:read"]}).rules] == [USE, READ]


def test_an_offer_keeps_its_assignee_as_the_party_it_is_made_to() -> None:
    offer = read.policy(document(permission(), **{"@type": "Offer", "@id": "urn:o", "assignee": "urn:a"}))
    assert (offer.assignee, offer.rules[0].assignee) == ("urn:a", None)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "left, expected",
    [
        ("porpose", 'unknown left operand "porpose"; did you mean "purpose"?'),
        ("odrl:datetime", 'unknown left operand "datetime"; did you mean "dateTime"?'),
        ("elapsedTime", 'the left operand "elapsedTime" is not enforced by this connector; it knows recipient, purpose'),
        (
            "https://w3id.org/example/membership",
            'unknown left operand "https://w3id.org/example/membership"; this connector',
        ),
    ],
)
def test_an_unknown_operand_refuses_the_policy(left: str, expected: str) -> None:
    """odrl.md 26."""
    assert of(limit(left, "eq", "x")).startswith(f"odrl-left-operand {expected}")


def test_an_operator_that_does_not_exist_or_does_not_fit_refuses_the_policy() -> None:
    """odrl.md 26, 29."""
    assert of(limit("count", "ltq", 3)) == 'odrl-operator unknown operator "ltq"; did you mean "lteq"?'
    assert of(limit("count", "gteq", 3)) == 'odrl-operator the operator "gteq" does not fit "count"; it takes eq, lt, lteq'


@pytest.mark.parametrize(
    "constraint, expected",
    [
        (
            limit("purpose", "isA", "dpv:Marketting"),
            '"dpv:Marketting" is no purpose of this vocabulary; did you mean "dpv:Marketing"?',
        ),
        (limit("purpose", "eq", "Marketing"), '"Marketing" is no purpose of this vocabulary; did you mean "dpv:Marketing"?'),
        (
            limit("purpose", "isA", "eu-ehds:ScientificResearch"),
            '"eu-ehds:ScientificResearch" is no purpose of this vocabulary; did you mean "dpv:ScientificResearch"?',
        ),
        (limit("spatial", "eq", "Denmark"), '"Denmark" is no place that is known; write a country as its two letters'),
        (limit("dateTime", "lt", "2027-01-01T00:00:00"), '"2027-01-01T00:00:00" has no time zone; write 2027'),
        (limit("dateTime", "lt", "2027-01-01"), '"2027-01-01" is not an instant; write it like'),
        (limit("dateTime", "lt", "2027-02-30T00:00:00Z"), '"2027-02-30T00:00:00Z" is not a possible instant'),
        (limit("count", "lteq", "many"), '"many" is not a number'),
        (limit("count", "lteq", 2.5), '"2.5" is not a whole number of uses'),
        (limit("count", "lteq", -1), '"-1" is not a whole number of uses'),
        (limit("count", "eq", 3), '"count eq 3" refuses the first use and so is never reached; lteq allows at most 3'),
        (limit("count", "lteq", {"@value": "3", "@type": "xsd:dateTime"}), f'"3" has the type {XSD}dateTime, which count'),
        (limit("recipient", "isAnyOf", []), 'the right operand of "recipient" is an empty list'),
        (limit("purpose", "eq", ["dpv:Purpose", "dpv:Marketing"]), '"eq" takes one value; use isAnyOf'),
    ],
)  # fmt: skip
def test_a_right_operand_that_cannot_be_compared_refuses_the_policy(constraint: Document, expected: str) -> None:
    """odrl.md 26, 29, 30."""
    assert of(constraint).startswith(f"odrl-right-operand {expected}")


@pytest.mark.parametrize(
    "more, expected",
    [
        ({"conflict": "perm"}, '"conflict" is not supported yet'),
        ({"inheritFrom": "urn:p"}, '"inheritFrom" is not supported yet'),
        ({"constraint": [THREE_USES]}, '"constraint" stands on a rule, not on the policy'),  # odrl.md 4
        ({"permision": []}, '"permision" is not known here; did you mean "permission"?'),
        ({"obligation": [{"action": "delete"}]}, "obligations are not supported yet"),
        ({"profile": "urn:other"}, "the profile urn:other is not known"),  # odrl.md 6
        ({"odrl:permission": []}, '"permission" is given twice'),
    ],
)
def test_what_is_not_understood_about_a_policy_refuses_it(more: Document, expected: str) -> None:
    """odrl.md 4-7, 26: never silence."""
    (problem,) = problems(permission(), **more)
    assert problem.split(" ", 1)[1].startswith(expected)


@pytest.mark.parametrize(
    "rule, expected",
    [
        ({}, "the rule has no action; write action: use"),
        ({"action": "distribute"}, 'the action "distribute" cannot be enforced by this connector; it knows use and read'),
        ({"action": "uze"}, 'unknown action "uze"; did you mean "use"?'),
        ({"action": {"rdf:value": "use", "refinement": [THREE_USES]}}, "an action with refinements is not supported yet"),
        ({"action": "use", "duty": [{"action": "delete"}]}, 'the duty "delete" is not supported yet'),
        ({"action": "use", "refinement": [THREE_USES]}, '"refinement" stands on an action, an asset or a party'),
        ({"action": "use", "target": "urn:d"}, '"target" belongs on the policy, not on a rule'),
        ({"action": "use", "constraint": [{"operator": "eq"}]}, "the constraint has no leftOperand and no right"),  # 24
        ({"action": "use", "constraint": [{"and": []}]}, '"and" has no constraints'),  # 28
        ({"action": "use", "constraint": [{"and": [THREE_USES], "or": [THREE_USES]}]}, "a constraint is one of"),  # DSP-072
        ({"action": "use", "constraint": [{"xone": [THREE_USES]}]}, '"xone" is not supported yet'),
        ({"action": "use", "constraint": [{"andSequence": [THREE_USES]}]}, '"andSequence" is not supported yet'),
        ({"action": "use", "constraint": [THREE_USES | {"unit": "urn:u"}]}, '"count" takes no unit'),
        ({"action": "use", "constraint": [THREE_USES | {"status": 1}]}, '"status" is not supported'),
        ({"action": "use", "constraint": ["x"]}, "an object is expected here, not 'x'"),
    ],
)  # fmt: skip
def test_what_is_not_understood_about_a_rule_refuses_the_policy(rule: Document, expected: str) -> None:
    """odrl.md 12, 24, 26, 28."""
    assert problems(rule)[0].split(" ", 1)[1].startswith(expected)


def test_a_count_cannot_stand_under_a_prohibition() -> None:
    (problem,) = problems(permission(), prohibition=[permission(THREE_USES)])
    assert problem == 'odrl-left-operand "count" can only limit a permission; turn the rule round'


def test_every_problem_is_named_not_only_the_first() -> None:
    """policy-admin.md, required 1."""
    wrong = permission(limit("porpose", "eq", "x"), limit("count", "ltq", 1)) | {"duty": [{"action": "log"}]}
    assert len(problems(wrong, conflict="perm")) == 4


@pytest.mark.parametrize("written", [None, [], "x", 7, {}, {"permission": 3}, {"@type": "Set", "permission": [[]]}])
def test_any_json_is_read_without_an_exception(written: Any) -> None:
    assert read.policy(written).problems


def test_a_policy_without_rules_is_refused() -> None:
    """odrl.md 2."""
    (problem,) = read.policy({"@type": "Set", "permission": []}).problems
    assert problem.message == "a policy without rules allows nothing; write a permission"


def test_an_agreement_without_its_parties_is_refused() -> None:
    """odrl.md 2."""
    found = read.policy({"@type": "Agreement", "@id": "urn:a", "permission": [{"action": "use"}]})
    assert [problem.message for problem in found.problems] == [
        "an Agreement needs assigner", "an Agreement needs assignee", "an Agreement needs target"
    ]  # fmt: skip


def test_a_document_of_another_kind_than_expected_is_refused() -> None:
    found = read.policy(document(permission()), kind=PolicyKind.OFFER)
    assert "the policy's type must be Offer, not Set" in [problem.message for problem in found.problems]


def test_constraints_nest_32_levels_and_no_further() -> None:
    """odrl.md 28."""

    def nested(levels: int) -> Document:
        part = THREE_USES
        for _ in range(levels):
            part = {"and": [part]}
        return permission(part)

    assert problems(nested(32)) == []
    assert "odrl-size constraints are nested deeper than 32 levels" in problems(nested(33))


def test_a_policy_has_10000_rules_and_constraints_and_no_more() -> None:
    """odrl.md 28."""
    assert problems(permission(*[THREE_USES] * 9_999)) == []
    assert problems(permission(*[THREE_USES] * 20_000)) == ["odrl-size the policy has more than 10000 rules and constraints"]


def test_a_problem_names_file_line_and_column() -> None:
    """policy-admin.md, required 1."""
    written = document(permission(limit("porpose", "eq", "x")))
    places = {("permission", 0): (3, 5), ("permission", 0, "constraint", 0): (5, 9)}
    found = read.policy(written, file="policies/research.yaml", places=places)
    assert found.rules[0].place == Place("policies/research.yaml", 3, 5)
    assert str(found.problems[0]).startswith("policies/research.yaml:5:9: error odrl-left-operand unknown left operand")


def test_a_problem_in_a_message_names_its_path() -> None:
    (problem,) = read.policy(document(permission(limit("porpose", "eq", "x")))).problems
    assert str(problem).startswith("document permission[0].constraint[0]: error")


def test_a_policy_that_lost_something_in_reading_is_not_written_again() -> None:
    """odrl.md 26: never with the term dropped."""
    with pytest.raises(InvalidFiles, match="relation"):
        to_json(read.policy(document(permission(), relation="urn:d")))
    foreign = document(permission(limit("https://w3id.org/example/membership", "eq", "active")))
    assert "membership" in str(to_json(read.policy(foreign)))  # nothing lost: it can be shown
