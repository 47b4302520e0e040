"""Compile a policy once, decide many times: pure, three-valued, closed world (odrl.md 9-38).

`compile` takes what this connector enforces and turns each rule into closures for use here and now and for looking ahead
(catalog, negotiation: could this ever be used?). `compile_whole` takes all of ODRL that can be decided, against a `World`.
A pass evaluates every premise of every rule and records it, so that verdict, reasons and report are of one pass. Unknown
never helps the asker: a permission is then not active, a prohibition is (25). Only the catalog, which shows and gives
nothing, takes unknown for possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeAlias, cast

from connector.errors import InvalidFiles, Problem
from connector.odrl.actions import actions
from connector.odrl.check import check
from connector.odrl.decision import Decision
from connector.odrl.grow import CompiledRule, Grower, Leaf, Node, ahead, here, wholly
from connector.odrl.language import declared_purposes
from connector.odrl.model import (
    AnyConstraint,
    Constraint,
    LogicalConstraint,
    Policy,
    PolicyKind,
    Rule,
    RuleKind,
)
from connector.odrl.operands import AHEAD, OPERANDS, Request, Scope, State
from connector.odrl.purposes import forbidden_purposes, purposes
from connector.odrl.reasons import BUILT_IN, Premise, Reason
from connector.odrl.terms import ODRL, bare
from connector.odrl.trees import Found
from connector.odrl.understood import understood
from connector.odrl.values import Instant
from connector.odrl.world import World

# whether it is permitted, every rule, those that decided, and what decided besides the rules
Verdict: TypeAlias = tuple[bool, tuple[Found, ...], tuple[Found, ...], tuple[Reason, ...]]

INSTANTS = 16  # how many coming instants are looked at for `valid_until`; past them it is the next one, to decide again
TICK, LAST = timedelta(microseconds=1), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy ready to decide. `instants` are those at which a time constraint may turn, in order."""

    policy: Policy
    permissions: tuple[CompiledRule, ...]
    prohibitions: tuple[CompiledRule, ...]
    obligations: tuple[CompiledRule, ...]
    instants: tuple[datetime, ...]
    counted: bool


# --- compiling -------------------------------------------------------------------------------------------------------


def compile(policy: Policy) -> Compiled:
    """Return `policy` ready to decide.

    Raises:
        InvalidFiles: something in it is not understood, or not enforced here; all problems, with their places.
    """
    _refuse(policy, check)
    constraints = [leaf for rule in policy.rules for part in rule.constraints for leaf in _leaves(part)]
    return _compiled(
        policy,
        lambda _rule: (here, ahead),
        tuple(sorted({instant for leaf in constraints for instant in _turns(leaf)})),
        any(leaf.left == ODRL + "count" for leaf in constraints),
    )


def compile_whole(policy: Policy) -> Compiled:
    """Return `policy`, which may say all that ODRL can, ready to decide against `State.world`; never to agree to.

    Raises:
        InvalidFiles: something in it is not understood.
    """
    _refuse(policy, understood)

    def leaves(rule: Rule) -> tuple[Leaf, Leaf]:
        def leaf(constraint: Constraint, premise: Premise) -> Node:
            return wholly(policy, rule, constraint, premise)

        return leaf, leaf

    return _compiled(policy, leaves, (), False)


def _refuse(policy: Policy, judge: Callable[[Policy], list[Problem]]) -> None:
    problems = tuple(p for p in policy.problems or judge(policy) if p.level == "error")
    if problems:
        raise InvalidFiles(problems)


def _compiled(
    policy: Policy, leaves: Callable[[Rule], tuple[Leaf, Leaf]], instants: tuple[datetime, ...], counted: bool
) -> Compiled:
    @cache
    def asked(action: str) -> tuple[str, frozenset[str]]:
        resolved = actions().resolve(action)
        return resolved, actions().wider(resolved, policy.included)

    def rules(kind: RuleKind) -> tuple[CompiledRule, ...]:
        of = [rule for rule in policy.rules if rule.kind is kind]
        made = (Grower(policy, rule, f"{kind} {number}", asked) for number, rule in enumerate(of, 1))
        return tuple(grower.rule_with(*leaves(grower.rule)) for grower in made)

    permissions, prohibitions, obligations = map(rules, RuleKind)
    return Compiled(policy, permissions, prohibitions, obligations, instants, counted)


def _leaves(part: AnyConstraint) -> Iterator[Constraint]:
    if isinstance(part, LogicalConstraint):
        for inner in part.parts:
            yield from _leaves(inner)
    else:
        yield part


def _turns(constraint: Constraint) -> Iterable[datetime]:
    """Return the instants from which on a time constraint may say something else."""
    operand = OPERANDS[constraint.left]
    if not isinstance(operand.type, Instant):
        return ()
    at = cast("datetime", operand.rights(constraint)[0])
    later = min(at, LAST - TICK) + TICK
    return {"lt": (at,), "gteq": (at,), "lteq": (later,), "gt": (later,)}.get(bare(constraint.operator), (at, later))


# --- deciding --------------------------------------------------------------------------------------------------------


def decide(compiled: Compiled, request: Request, state: State = State()) -> Decision:  # noqa: B008 (frozen)
    """Return whether `request` is permitted, and why."""
    allowed, found, decided, beyond = _verdict(compiled, request, state)
    until = _valid_until(compiled, request, state) if allowed and compiled.instants else None
    return Decision(allowed, until, compiled.counted, found, decided, beyond)


def decide_all(policies: Sequence[Compiled], request: Request, state: State) -> Decision:
    """Return the decision of several policies on one asset (8): one that forbids denies, one has to permit.

    Where a permission of one meets a prohibition of another, only policies that all say `perm` let it pass (7).
    """
    each = [decide(compiled, request, state) for compiled in sorted(policies, key=lambda one: one.policy.uid)]
    if len(each) == 1:
        return each[0]
    found = tuple(rule for decision in each for rule in decision.found)
    beyond = tuple(dict.fromkeys(reason for decision in each for reason in decision.beyond))
    permits = all(compiled.policy.conflict == "perm" for compiled in policies)
    forbidding = tuple(one for one in found if one.rule.kind is RuleKind.PROHIBITION and one.fits is not False)
    allowing = [decision for decision in each if decision.allowed]
    if any(reason.asked is BUILT_IN["purpose"] for reason in beyond) or (forbidding and not (permits and allowing)):
        return Decision(False, None, False, found, forbidding, beyond)
    if allowing:
        best = min((decision.decided[0] for decision in allowing), key=_weight)
        return Decision(True, None, False, found, (best,))
    return Decision(False, None, False, found, tuple(rule for one in each for rule in one.decided), beyond)


def possible(compiled: Compiled, request: Request) -> Decision:
    """Return whether `request` could ever be permitted, whatever the caller has yet to prove or declare (39: catalog)."""
    return decide(compiled, replace(request, scope=Scope.CATALOG))


def _verdict(compiled: Compiled, request: Request, state: State) -> Verdict:
    looking, lenient = request.scope in AHEAD, request.scope is Scope.CATALOG
    prohibitions = [rule.find(request, state, looking) for rule in compiled.prohibitions]
    permissions = [rule.find(request, state, looking) for rule in compiled.permissions]
    obligations = [rule.find(request, state, looking) for rule in compiled.obligations]
    found = (*permissions, *prohibitions, *obligations)
    refused = _built_in(compiled, request, state)
    if refused:
        return False, found, (), refused
    forbidding = [one for one in prohibitions if one.fits or (one.fits is None and not lenient)]
    permitting = [
        one for one in permissions if (one.fits or (one.fits is None and lenient)) and not (one.duties and one.lacking)
    ]
    if forbidding and not (permitting and compiled.policy.conflict == "perm"):
        void: tuple[Reason, ...] = ()
        if permitting and compiled.policy.conflict == "invalid":
            void = (Reason(BUILT_IN["void"], None, False),)
        return False, found, tuple(forbidding), void
    if permitting:
        best = min(permitting, key=_weight) if len(permitting) > 1 else permitting[0]
        return True, found, (best,), ()
    empty = () if permissions else (Reason(BUILT_IN["empty"], None, False),)
    return False, found, tuple(permissions), empty


def _weight(found: Found) -> tuple[int, str]:
    """Order permissions that all permit: the one that asks least of the asker, in an order that no file decides."""
    return len(found.duties), found.rule.uid or found.name


def _built_in(compiled: Compiled, request: Request, state: State) -> tuple[Reason, ...]:
    """Return what no policy can allow: purposes that the EHDS forbids, and data on the strength of a mere offer (1)."""
    declared = [purposes().resolve(purpose)] if (purpose := request.claims.get("purpose")) else []
    if request.context or state.world is not NOWHERE:
        declared += declared_purposes(request, state.world)
    for purpose in declared:
        if purpose in forbidden_purposes():
            return (Reason(BUILT_IN["purpose"], purpose, True),)
    if compiled.policy.kind is PolicyKind.OFFER and request.scope not in AHEAD:
        return (Reason(BUILT_IN["offer"], None, False),)
    return ()


def _valid_until(compiled: Compiled, request: Request, state: State) -> datetime | None:
    """Return the next instant at which the permission given now ends by the clock; None: never."""
    coming = [instant for instant in compiled.instants if instant > request.now]
    for instant in coming[:INSTANTS]:
        if not _verdict(compiled, replace(request, now=instant), state)[0]:
            return instant
    return coming[INSTANTS] if len(coming) > INSTANTS else None


NOWHERE = State().world

__all__ = [
    "Compiled",
    "Decision",
    "Reason",
    "Request",
    "Scope",
    "State",
    "World",
    "compile",
    "compile_whole",
    "decide",
    "possible",
]
