"""What of a policy this connector cannot decide: all of it, each with its place and what to write instead.

A policy with one finding is refused as a whole, at load, as an offer and as an agreement (odrl.md 26): half a policy is
another policy. What is not supported yet is refused in the same way as what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from connector.errors import Problem
from connector.odrl.model import AnyConstraint, Duty, Logic, LogicalConstraint, Place, Policy, Rule, RuleKind
from connector.odrl.operands import faults
from connector.odrl.terms import ACTIONS, PROFILES, READ, USE, bare, nearest, short

MAX_PROBLEMS = 100  # told of one policy; it is refused for the first
SUPPORTED = frozenset({USE, READ})
LATER = {
    Logic.XONE: '"xone" is not supported yet; write it with "and" and "or"',
    Logic.AND_SEQUENCE: '"andSequence" is not supported yet; "and" asks for the same, in any order',
}


def check(policy: Policy) -> list[Problem]:
    """Return what in `policy` cannot be decided; of very much, the beginning."""
    in_rules = (problem for rule, path in _numbered(policy) for problem in _rule(rule, path))
    return list(islice(chain(_profiles(policy), in_rules), MAX_PROBLEMS))


def _profiles(policy: Policy) -> Iterable[Problem]:
    for name in policy.profile:
        if name not in PROFILES:
            yield Problem(
                "odrl-profile", f"the profile {name} is not known, so its terms cannot be enforced", path="profile"
            )


def _numbered(policy: Policy) -> Iterable[tuple[Rule, str]]:
    for kind in RuleKind:
        rules = (rule for rule in policy.rules if rule.kind is kind)
        yield from ((rule, f"{kind}[{index}]") for index, rule in enumerate(rules))


def _rule(rule: Rule, path: str) -> Iterable[Problem]:
    if rule.kind is RuleKind.OBLIGATION:
        yield _problem("odrl-obligation", "obligations are not supported yet; leave it out", rule.place, path)
        return
    if rule.action not in SUPPORTED:
        yield _problem("odrl-action", _unknown_action(rule.action), rule.place, path)
    for duty in rule.duties:
        yield _duty(duty, f"{path}.duty")
    for index, part in enumerate(rule.constraints):
        yield from _constraint(part, rule.kind, f"{path}.constraint[{index}]")


def _duty(duty: Duty, path: str) -> Problem:
    return _problem("odrl-duty", f'the duty "{short(duty.action)}" is not supported yet; leave it out', duty.place, path)


def _constraint(part: AnyConstraint, kind: RuleKind, path: str) -> Iterable[Problem]:
    if not isinstance(part, LogicalConstraint):
        yield from (_problem(code, message, part.place, path) for code, message in faults(part, kind))
        return
    if part.logic in LATER:
        yield _problem("odrl-logic", LATER[part.logic], part.place, path)
    for index, inner in enumerate(part.parts):
        yield from _constraint(inner, kind, f"{path}.{part.logic}[{index}]")


def _unknown_action(action: str) -> str:
    name = bare(action)
    if name in ACTIONS:
        return f'the action "{name}" cannot be enforced by this connector; it knows use and read'
    return f'unknown action "{short(action)}"' + (nearest(name, ("use", "read")) or "; this connector knows use and read")


def _problem(code: str, message: str, place: Place | None, path: str) -> Problem:
    if place is None:
        return Problem(code, message, path=path)
    return Problem(code, message, place.file, place.line, place.column, path)
