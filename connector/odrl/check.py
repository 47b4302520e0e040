"""What of a policy this connector cannot enforce: all of it, each with its place and what to write instead.

A policy with one finding is refused as a whole, at load, as an offer and as an agreement (odrl.md 26): half a policy is
another policy. What is not supported yet is refused in the same way as what does not exist, also where the engine can
decide it (`understood`): to agree to terms is to keep them, not to understand them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from connector.errors import Problem
from connector.odrl.model import AnyConstraint, Duty, Logic, LogicalConstraint, Place, Policy, Rule, RuleKind
from connector.odrl.operands import faults
from connector.odrl.terms import ACTIONS, PROFILES, READ, USE, bare, nearest, short
from connector.odrl.write import DUTIES

MAX_PROBLEMS = 100  # told of one policy; it is refused for the first
SUPPORTED = frozenset({USE, READ})
LATER = {
    Logic.XONE: '"xone" is not supported yet; write it with "and" and "or"',
    Logic.AND_SEQUENCE: '"andSequence" is not supported yet; "and" asks for the same, in any order',
}


def check(policy: Policy) -> list[Problem]:
    """Return what in `policy` cannot be decided; of very much, the beginning."""
    rules = (found for rule, path in numbered(policy) for found in _rule(rule, path))
    return list(islice(chain(profiles(policy), _whole(policy), rules), MAX_PROBLEMS))


def profiles(policy: Policy) -> Iterable[Problem]:
    for name in policy.profile:
        if name not in PROFILES:
            yield Problem(
                "odrl-profile", f"the profile {name} is not known, so its terms cannot be enforced", path="profile"
            )


def _whole(policy: Policy) -> Iterable[Problem]:
    if policy.conflict is not None:
        message = '"conflict" is not supported yet; a prohibition that applies always wins here, leave it out'
        yield Problem("odrl-limit", message, path="conflict")
    if policy.inherits:
        message = '"inheritFrom" is not supported yet; write the rules of the parent into this policy'
        yield Problem("odrl-limit", message, path="inheritFrom")
    if policy.included:
        yield Problem("odrl-limit", "actions of your own cannot be enforced; use one of ODRL's", path="includedIn")
    if policy.parts:
        yield Problem("odrl-limit", "collections are not supported yet; name the party or the asset", path="partOf")


def numbered(policy: Policy) -> Iterable[tuple[Rule, str]]:
    for kind in RuleKind:
        rules = (rule for rule in policy.rules if rule.kind is kind)
        yield from ((rule, f"{kind}[{index}]") for index, rule in enumerate(rules))


def _rule(rule: Rule, path: str) -> Iterable[Problem]:
    if rule.kind is RuleKind.OBLIGATION:
        yield problem("odrl-obligation", "obligations are not supported yet; leave it out", rule.place, path)
        return
    if rule.action not in SUPPORTED:
        yield problem("odrl-action", _unknown_action(rule.action), rule.place, path)
    yield from (problem("odrl-limit", message, rule.place, path) for message in _unlike_a_product(rule))
    for duty in rule.duties:
        yield _duty(duty, f"{path}.{DUTIES[rule.kind]}")
    for index, part in enumerate(rule.constraints):
        yield from _constraint(part, rule.kind, f"{path}.constraint[{index}]")


def _unlike_a_product(rule: Rule) -> Iterable[str]:
    """Yield what is said of a rule although a policy here speaks of one dataset of one provider."""
    for name, value in (("target", rule.target), ("assigner", rule.assigner)):
        if value is not None:
            yield f'"{name}" belongs on the policy, not on a rule'
    if rule.refined.action:
        yield "an action with refinements is not supported yet; write its name only"
    if rule.refined.target or rule.refined.assignee:
        yield "collections with refinements are not supported yet; write a constraint of the rule"


def _duty(duty: Duty, path: str) -> Problem:
    return problem("odrl-duty", f'the duty "{short(duty.action)}" is not supported yet; leave it out', duty.place, path)


def _constraint(part: AnyConstraint, kind: RuleKind, path: str) -> Iterable[Problem]:
    if not isinstance(part, LogicalConstraint):
        yield from (problem(code, message, part.place, path) for code, message in faults(part, kind))
        if part.status is not None or part.since is not None:
            name = "status" if part.status is not None else "since"
            yield problem("odrl-limit", f'"{name}" is not supported; leave it out', part.place, path)
        return
    if part.logic in LATER:
        yield problem("odrl-logic", LATER[part.logic], part.place, path)
    for index, inner in enumerate(part.parts):
        yield from _constraint(inner, kind, f"{path}.{part.logic}[{index}]")


def _unknown_action(action: str) -> str:
    name = bare(action)
    if name in ACTIONS:
        return f'the action "{name}" cannot be enforced by this connector; it knows use and read'
    return f'unknown action "{short(action)}"' + (nearest(name, ("use", "read")) or "; this connector knows use and read")


def problem(code: str, message: str, place: Place | None, path: str, level: str = "error") -> Problem:
    if place is None:
        return Problem(code, message, path=path, level=level)
    return Problem(code, message, place.file, place.line, place.column, path, level)
