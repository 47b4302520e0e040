"""What a policy permits: each rule of odrl.md that can be met with this vocabulary."""

from __future__ import annotations

import timeit
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connector.odrl import evaluate, read
from connector.odrl.evaluate import Request, Scope, State
from connector.odrl.model import PolicyKind
from connector.odrl.purposes import forbidden_purposes, places, purposes
from tests.odrl.policies import CONSUMER, DATASET, NOON, RESEARCH, decide, document, limit, permission, policy, request

OPEN = policy(permission())
SECOND = timedelta(seconds=1)


def at(instant: datetime, scope: Scope = Scope.ACCESS) -> Request:
    return request(scope, now=instant)


def claiming(scope: Scope = Scope.ACCESS, /, **claims: str) -> Request:
    return request(scope, claims=claims)


# --- rules -----------------------------------------------------------------------------------------------------------


def test_a_permission_without_constraints_permits() -> None:
    assert decide(OPEN, request()).allowed


def test_what_no_permission_allows_is_denied() -> None:
    """odrl.md 9."""
    only_a_prohibition = policy(prohibition=[permission(limit("spatial", "eq", "US"))])
    assert not decide(only_a_prohibition, claiming(spatial="DK")).allowed


def test_several_constraints_are_and_ed_for_prohibitions_as_well() -> None:
    """odrl.md 10."""
    both = [permission(limit("spatial", "eq", "US"), limit("purpose", "isA", "dpv:CommercialPurpose"))]
    asked = policy(permission(), prohibition=both)
    assert not decide(asked, claiming(spatial="US", purpose="dpv:CommercialResearch")).allowed
    assert decide(asked, claiming(spatial="DK", purpose="dpv:CommercialResearch")).allowed
    assert decide(asked, claiming(spatial="US", purpose=RESEARCH)).allowed


def test_a_set_without_target_and_assignee_speaks_to_anyone_of_anything() -> None:
    """odrl.md 11."""
    assert decide(OPEN, request(target="urn:any", assignee="urn:anyone")).allowed


def test_an_agreement_is_for_its_assignee_and_its_dataset() -> None:
    """odrl.md 11."""
    parties = {"@type": "Agreement", "@id": "urn:a", "assigner": "urn:p", "assignee": CONSUMER, "target": DATASET}
    agreement = policy(permission(), **parties)
    assert decide(agreement, request()).allowed
    assert not decide(agreement, request(assignee="urn:thief")).allowed
    assert not decide(agreement, request(target="urn:other")).allowed
    assert not decide(agreement, request(target=None)).allowed


def test_a_rule_for_one_assignee_permits_nobody_else() -> None:
    mine = policy(permission(assignee=CONSUMER))
    assert decide(mine, request()).allowed
    assert not decide(mine, request(assignee="urn:thief")).allowed


def test_reading_is_a_use_but_not_every_use_is_reading() -> None:
    """odrl.md 12, 13."""
    assert decide(OPEN, request(action="odrl:read")).allowed
    reading = policy({"action": "read"})
    assert decide(reading, request(action="read")).allowed
    assert not decide(reading, request(action="use")).allowed


def test_a_prohibition_covers_the_actions_below_it_and_not_the_wider_one() -> None:
    """odrl.md 13."""
    no_use = policy({"action": "read"}, prohibition=[permission()])
    assert not decide(no_use, request(action="read")).allowed
    no_reading = policy(permission(), prohibition=[{"action": "read"}])
    assert not decide(no_reading, request(action="read")).allowed
    assert decide(no_reading, request(action="use")).allowed


@pytest.mark.parametrize("scope, allowed", [(s, s in (Scope.CATALOG, Scope.NEGOTIATION)) for s in Scope])
def test_an_offer_gives_no_data(scope: Scope, allowed: bool) -> None:
    """odrl.md 1."""
    offer = replace(OPEN, kind=PolicyKind.OFFER)
    assert decide(offer, request(scope)).allowed is allowed


# --- constraints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operator, right, purpose, allowed",
    [
        ("eq", RESEARCH, RESEARCH, True),
        ("eq", "dpv:ScientificResearch", RESEARCH, False),
        ("neq", "dpv:ScientificResearch", RESEARCH, True),
        ("isA", RESEARCH, RESEARCH, True),
        ("isA", "dpv:ScientificResearch", RESEARCH, True),
        ("isA", "dpv:ResearchAndDevelopment", RESEARCH, True),
        ("isA", RESEARCH, "dpv:ScientificResearch", False),
        ("isA", "dpv:Purpose", "urn:example:own", False),  # not in the hierarchy: unknown
        ("isA", "urn:example:own", "urn:example:own", True),
        ("isAnyOf", [RESEARCH, "dpv:CommercialResearch"], RESEARCH, True),
        ("isAnyOf", ["dpv:ScientificResearch"], RESEARCH, False),
        ("isNoneOf", [RESEARCH], RESEARCH, False),
        ("isNoneOf", ["dpv:CommercialResearch"], RESEARCH, True),
    ],
)
def test_purposes_compare_by_name_and_isA_knows_the_narrower(
    operator: str, right: str | list[str], purpose: str, allowed: bool
) -> None:
    """odrl.md 29."""
    asked = policy(permission(limit("purpose", operator, right)))
    assert decide(asked, claiming(purpose=purpose)).allowed is allowed
    assert decide(asked, claiming(purpose=purposes().resolve(purpose))).allowed is allowed


@pytest.mark.parametrize(
    "operator, right, country, allowed",
    [
        ("eq", "DK", "DK", True),
        ("eq", "http://publications.europa.eu/resource/authority/country/DNK", "DK", True),
        ("eq", "https://w3id.org/dpv/loc#DK", "DK", True),
        ("eq", "EU", "DK", False),
        ("isPartOf", "EU", "DK", True),
        ("isPartOf", "EU", "NO", False),
        ("isPartOf", "EEA", "NO", True),
        ("isPartOf", "EEA", "DK", True),
        ("isA", "EEA", "CH", False),
        ("isAnyOf", ["DK", "NO"], "NO", True),
        ("isNoneOf", ["US"], "DK", True),
        ("neq", "DK", "DK", False),
    ],
)
def test_places_know_the_union_and_the_economic_area(
    operator: str, right: str | list[str], country: str, allowed: bool
) -> None:
    assert decide(policy(permission(limit("spatial", operator, right))), claiming(spatial=country)).allowed is allowed


def test_the_union_has_27_members_and_the_area_three_more() -> None:
    countries = places().below["EU"] - {"EU"}
    assert len(countries) == 27
    assert places().below["EEA"] - countries == {"EEA", "EU", "IS", "LI", "NO"}


def test_the_recipient_is_whoever_asks() -> None:
    members = policy(permission(limit("recipient", "isAnyOf", [CONSUMER, "did:web:odense.example"])))
    assert decide(members, request()).allowed
    assert not decide(members, request(assignee="did:web:elsewhere.example")).allowed


@pytest.mark.parametrize(
    "operator, before, exactly, after",
    [
        ("lt", True, False, False), ("lteq", True, True, False), ("gt", False, False, True), ("gteq", False, True, True),
        ("eq", False, True, False), ("neq", True, False, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("noon", ["2026-06-01T12:00:00Z", "2026-06-01T14:00:00+02:00", "2026-06-01T12:00:00.000+00:00"])
def test_instants_compare_by_value_in_any_zone(operator: str, before: bool, exactly: bool, after: bool, noon: str) -> None:
    """odrl.md 29, 30."""
    asked = policy(permission(limit("dateTime", operator, noon)))
    allowed = [decide(asked, at(instant)).allowed for instant in (NOON - SECOND, NOON, NOON + SECOND)]
    assert allowed == [before, exactly, after]


@pytest.mark.parametrize(
    "limit_, most", [(("lteq", 3), 3), (("lteq", "3.0"), 3), (("lt", 3), 2), (("eq", 1), 1), (("lteq", 0), 0)]
)
def test_a_count_allows_so_many_uses_and_no_more(limit_: tuple[str, int | str], most: int) -> None:
    """usage-control.md 13: the count includes the use asked for."""
    asked = policy(permission(limit("count", *limit_)))
    allowed = [decide(asked, request(), uses).allowed for uses in range(5)]
    assert allowed == [uses < most for uses in range(5)]
    assert decide(asked, request()).counted
    assert not decide(OPEN, request()).counted


def test_and_and_or_are_what_they_say() -> None:
    """odrl.md 27."""
    either = {"or": [limit("spatial", "eq", "DK"), {"and": [limit("spatial", "eq", "NO"), limit("count", "lteq", 1)]}]}
    asked = policy(permission(either))
    assert decide(asked, claiming(spatial="DK"), 9).allowed
    assert decide(asked, claiming(spatial="NO"), 0).allowed
    assert not decide(asked, claiming(spatial="NO"), 1).allowed


# --- what is unknown -------------------------------------------------------------------------------------------------


def test_an_unknown_value_does_not_satisfy_a_permission() -> None:
    """odrl.md 25."""
    decision = decide(policy(permission(limit("purpose", "neq", "dpv:CommercialResearch"))), request())
    assert (decision.allowed, decision.unknown) == (False, ("purpose",))


def test_an_unknown_value_satisfies_a_prohibition() -> None:
    """odrl.md 25."""
    asked = policy(permission(), prohibition=[permission(limit("purpose", "isA", "dpv:CommercialPurpose"))])
    assert not decide(asked, request()).allowed
    assert not decide(asked, claiming(purpose="urn:example:not-in-any-hierarchy")).allowed
    assert decide(asked, claiming(purpose=RESEARCH)).allowed


def test_an_unknown_part_of_an_or_does_not_matter_when_another_is_true() -> None:
    """odrl.md 27: strong three-valued logic."""
    either = {"or": [limit("purpose", "isA", "dpv:ScientificResearch"), limit("spatial", "eq", "DK")]}
    assert decide(policy(permission(either)), claiming(spatial="DK")).allowed


@pytest.mark.parametrize("purpose", ["dpv:Marketing", "dpv:TargetedAdvertising", "https://w3id.org/dpv/owl#Marketing"])
@pytest.mark.parametrize("scope", list(Scope))
def test_marketing_is_never_permitted_whatever_the_policy_says(purpose: str, scope: Scope) -> None:
    """EHDS Regulation, Article 54; odrl.md 25."""
    generous = policy(permission(), permission(limit("purpose", "isA", "dpv:Marketing")))
    for spelling in (purpose, purposes().resolve(purpose)):
        decision = decide(generous, claiming(scope, purpose=spelling))
        assert not decision.allowed
        assert "Article 54" in decision.why()


def test_the_built_in_prohibition_leaves_an_undeclared_purpose_to_the_policy() -> None:
    """odrl.md 25."""
    assert decide(OPEN, request()).allowed
    assert len(forbidden_purposes()) == 10


# --- where it is decided ---------------------------------------------------------------------------------------------

TOMORROW, YESTERDAY = (NOON + timedelta(days=1)).isoformat(), (NOON - timedelta(days=1)).isoformat()


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize(
    "constraint, ahead, here",
    [
        (limit("dateTime", "gteq", TOMORROW), True, False),  # can be agreed now for later
        (limit("dateTime", "gteq", YESTERDAY), True, True),
        (limit("dateTime", "lt", YESTERDAY), False, False),
        (limit("dateTime", "lt", TOMORROW), True, True),
        (limit("dateTime", "eq", YESTERDAY), False, False),
        (limit("dateTime", "eq", TOMORROW), True, False),
        (limit("count", "lteq", 2), True, False),  # two uses are made
        (limit("count", "lteq", 0), False, False),
    ],
)
def test_an_offer_is_judged_by_what_can_still_be_used(
    scope: Scope, constraint: Mapping[str, str], ahead: bool, here: bool
) -> None:
    """odrl.md 39."""
    expected = ahead if scope in (Scope.CATALOG, Scope.NEGOTIATION) else here
    assert decide(policy(permission(dict(constraint))), request(scope), 2).allowed is expected


@pytest.mark.parametrize(
    "operator, instant, agreed, used",
    [
        ("gteq", TOMORROW, True, True),
        ("gteq", YESTERDAY, False, False),
        ("gt", YESTERDAY, False, False),
        ("lt", TOMORROW, True, False),
        ("lteq", TOMORROW, True, False),
        ("neq", TOMORROW, True, False),
        ("neq", YESTERDAY, False, False),
        ("eq", TOMORROW, True, True),
    ],
)
def test_a_prohibition_can_be_agreed_unless_it_holds_for_ever(operator: str, instant: str, agreed: bool, used: bool) -> None:
    """odrl.md 39: one that has yet to begin, or will end, leaves time to use the data in."""
    asked = policy(permission(), prohibition=[permission(limit("dateTime", operator, instant))])
    assert decide(asked, request(Scope.NEGOTIATION)).allowed is agreed
    assert decide(asked, request(Scope.ACCESS)).allowed is used


def test_the_catalog_shows_what_could_be_agreed_once_more_is_known() -> None:
    """odrl.md 39."""
    careful = permission(limit("purpose", "isA", "dpv:CommercialPurpose"))
    asked = evaluate.compile(policy(permission(limit("purpose", "isA", RESEARCH)), prohibition=[careful]))
    assert evaluate.possible(asked, request()).allowed
    assert not evaluate.decide(asked, request(Scope.NEGOTIATION)).allowed
    assert not evaluate.possible(asked, claiming(purpose="dpv:CommercialResearch")).allowed


def test_the_end_of_a_window_is_when_the_permission_ends() -> None:
    """odrl.md 40."""
    window = policy(permission(limit("dateTime", "gteq", YESTERDAY), limit("dateTime", "lt", TOMORROW)))
    assert decide(window, request()).valid_until == NOON + timedelta(days=1)
    assert decide(OPEN, request()).valid_until is None
    last_instant = policy(permission(limit("dateTime", "lteq", TOMORROW)))
    assert decide(last_instant, request()).valid_until == NOON + timedelta(days=1, microseconds=1)
    end_of_time = policy(permission(limit("dateTime", "lteq", "9999-12-31T23:59:59.999999Z")))
    assert decide(end_of_time, request()).allowed


def test_a_permission_that_another_follows_does_not_end_in_between() -> None:
    days = [permission(limit("dateTime", "lt", TOMORROW)), permission(limit("dateTime", "gteq", TOMORROW))]
    assert decide(policy(*days), request()).valid_until is None


# --- why -------------------------------------------------------------------------------------------------------------


def test_a_denial_says_in_one_sentence_which_premise_failed() -> None:
    """odrl.md 35."""
    written = document(permission(limit("purpose", "isA", RESEARCH)))
    found = read.policy(written, file="policies/research.yaml", places={("permission", 0, "constraint", 0): (12, 7)})
    decision = decide(found, claiming(purpose="dpv:CommercialResearch"))
    assert decision.why() == (
        "purpose is dpv:CommercialResearch, the policy asks for eu-ehds:HealthcareScientificResearch or narrower "
        "(policies/research.yaml:12)"
    )
    (reason,) = decision.because
    assert (reason.rule, reason.premise, reason.operator, reason.satisfied) == ("permission 1", "purpose", "isA", False)
    assert decision.coarse() == "the policy does not permit this request (purpose)"


@pytest.mark.parametrize(
    "constraint, asked, why",
    [
        (limit("purpose", "isAnyOf", [RESEARCH, "dpv:CommercialResearch"]), request(),
         f"no purpose was declared, the policy asks for one of {RESEARCH} or dpv:CommercialResearch"),
        (limit("spatial", "isPartOf", "EU"), claiming(spatial="US"),
         "the consumer's country is US, the policy asks for EU or a part of it"),
        (limit("count", "lteq", 3), request(), "this is use 4, the policy asks for at most 3"),
        (limit("dateTime", "lt", YESTERDAY), request(),
         "it is 2026-06-01T12:00:00Z, the policy asks for before 2026-05-31T12:00:00Z"),
        (limit("recipient", "eq", "urn:x"), request(), f"the recipient is {CONSUMER}, the policy asks for urn:x"),
    ],
)  # fmt: skip
def test_each_operand_has_its_words(constraint: dict[str, str], asked: Request, why: str) -> None:
    assert decide(policy(permission(constraint)), asked, 3).why() == why


def test_a_prohibition_says_what_it_forbids() -> None:
    asked = policy(permission(), prohibition=[permission(limit("spatial", "eq", "US"))])
    assert decide(asked, claiming(spatial="US")).why() == "the consumer's country is US, which the policy forbids: US"
    assert decide(asked, request()).why() == "the consumer's country is not known, the policy forbids US"


def test_only_what_decided_is_named() -> None:
    either = {"or": [limit("spatial", "eq", "DK"), limit("spatial", "eq", "NO")]}
    asked = policy(permission(limit("count", "lteq", 3), either))
    assert [reason.premise for reason in decide(asked, claiming(spatial="DK"), 3).because] == ["count"]
    assert [reason.premise for reason in decide(asked, claiming(spatial="US"), 0).because] == ["spatial", "spatial"]


def test_the_nearest_permission_comes_first() -> None:
    far = permission(limit("spatial", "eq", "NO"), limit("count", "lteq", 1))
    near = permission(limit("count", "lteq", 2))
    assert decide(policy(far, near), claiming(spatial="US"), 5).because[0].rule == "permission 2"


@pytest.mark.parametrize("allowed", [True, False])
def test_a_peer_learns_no_values(allowed: bool) -> None:
    """odrl.md 35."""
    asked = policy(permission(limit("spatial", "eq", "DK"), limit("recipient", "eq", CONSUMER)))
    said = decide(asked, claiming(spatial="DK" if allowed else "US")).coarse()
    assert said == ("permitted" if allowed else "the policy does not permit this request (spatial)")


# --- speed -----------------------------------------------------------------------------------------------------------


def test_a_thousand_constraints_are_decided_in_under_50_ms() -> None:
    """odrl.md 43."""
    halves = [{"or": [limit("dateTime", "gteq", YESTERDAY), limit("dateTime", "lt", TOMORROW)]} for _ in range(500)]
    compiled = evaluate.compile(policy(permission(*halves)))
    assert min(timeit.repeat(lambda: evaluate.decide(compiled, request(), State()), number=1, repeat=5)) < 0.05
