"""Compile a policy once, decide many times: pure, three-valued, closed world (odrl.md 9-13, 24-36).

`compile` turns each rule into one closure for use here and now and one that looks ahead (catalog, negotiation: could this
ever be used?). A closure returns True, False or None (unknown) and leaves on a trail the premises that made it so, so that
the verdict and its reasons come from the same pass. Unknown never helps the asker: a permission is then not active, a
prohibition is (25). Only the catalog, which shows and gives nothing, takes unknown for possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, cast

from connector.errors import InvalidFiles
from connector.odrl.check import check
from connector.odrl.model import (
    AnyConstraint,
    Constraint,
    Logic,
    LogicalConstraint,
    Policy,
    PolicyKind,
    Rule,
    RuleKind,
)
from connector.odrl.operands import AHEAD, OPERANDS, Request, Scope, State
from connector.odrl.purposes import forbidden_purposes, purposes
from connector.odrl.reasons import BUILT_IN, Decision, Premise, Reason
from connector.odrl.terms import ACTIONS, INCLUDED_IN, ODRL, bare, expand
from connector.odrl.values import Instant, Value

Truth: TypeAlias = bool | None
Step: TypeAlias = tuple[Premise, Value | None, Truth]
Trail: TypeAlias = list[Step]
Node: TypeAlias = Callable[[Request, State, Trail], Truth]
Leaf: TypeAlias = Callable[[Constraint, Premise, RuleKind], Node]

INSTANTS = 16  # how many coming instants are looked at for `valid_until`; past them it is the next one, to decide again
TICK, LAST = timedelta(microseconds=1), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    here: Node
    ahead: Node


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy ready to decide. `instants` are those at which a time constraint may turn, in order."""

    policy: Policy
    permissions: tuple[CompiledRule, ...]
    prohibitions: tuple[CompiledRule, ...]
    instants: tuple[datetime, ...]
    counted: bool


# --- compiling -------------------------------------------------------------------------------------------------------


def compile(policy: Policy) -> Compiled:
    """Return `policy` ready to decide.

    Raises:
        InvalidFiles: something in it is not understood; all problems, with their places.
    """
    problems = tuple(problem for problem in policy.problems if problem.level == "error") or tuple(check(policy))
    if problems:
        raise InvalidFiles(problems)
    constraints = [leaf for rule in policy.rules for part in rule.constraints for leaf in _leaves(part)]
    return Compiled(
        policy=policy,
        permissions=_compiled(policy, RuleKind.PERMISSION),
        prohibitions=_compiled(policy, RuleKind.PROHIBITION),
        instants=tuple(sorted({instant for leaf in constraints for instant in _turns(leaf)})),
        counted=any(leaf.left == ODRL + "count" for leaf in constraints),
    )


def _compiled(policy: Policy, kind: RuleKind) -> tuple[CompiledRule, ...]:
    rules = [rule for rule in policy.rules if rule.kind is kind]
    return tuple(_rule(policy, rule, f"{kind} {number}") for number, rule in enumerate(rules, 1))


def _rule(policy: Policy, rule: Rule, name: str) -> CompiledRule:
    def whole(leaf: Leaf) -> Node:
        constraints = [_node(part, rule.kind, name, leaf) for part in rule.constraints]
        return _joined([*_fit(policy, rule, name), *constraints], neutral=True)

    return CompiledRule(here=whole(_here), ahead=whole(_ahead))


def _fit(policy: Policy, rule: Rule, name: str) -> Iterator[Node]:
    """Yield the premises besides the constraints: action, target, assignee (10-13)."""
    covered = _covered(rule)
    yield _leaf(
        Premise(name, rule.kind, "action", "eq", rule.action, rule.place),
        lambda request, _state: expand(request.action, ACTIONS),
        covered.__contains__,
    )
    if policy.target is not None:
        yield _equal(name, rule, "target", policy.target, lambda request, _state: request.target)
    for assignee in dict.fromkeys((rule.assignee, policy.assignee)):
        if assignee is not None:
            yield _equal(name, rule, "assignee", assignee, lambda request, _state: request.assignee or None)


def _equal(name: str, rule: Rule, premise: str, right: str, value: Callable[[Request, State], str | None]) -> Node:
    return _leaf(Premise(name, rule.kind, premise, "eq", right, rule.place), value, lambda left: left == right)


def _covered(rule: Rule) -> frozenset[str]:
    """Return the asked actions that the rule speaks of: its own and what is included in it.

    A prohibition also answers to the wider action: who asks for any use asks for the forbidden one too.
    """
    covered = {rule.action} | {narrow for narrow, wide in INCLUDED_IN.items() if wide == rule.action}
    if rule.kind is RuleKind.PROHIBITION and rule.action in INCLUDED_IN:
        covered.add(INCLUDED_IN[rule.action])
    return frozenset(covered)


def _node(part: AnyConstraint, kind: RuleKind, name: str, leaf: Leaf) -> Node:
    if isinstance(part, LogicalConstraint):
        return _joined([_node(inner, kind, name, leaf) for inner in part.parts], neutral=part.logic is Logic.AND)
    premise = Premise(name, kind, OPERANDS[part.left].name, bare(part.operator), part.right, part.place, part)
    return leaf(part, premise, kind)


def _here(constraint: Constraint, premise: Premise, _kind: RuleKind) -> Node:
    operand = OPERANDS[constraint.left]
    return _leaf(premise, operand.value, operand.test(constraint))


def _ahead(constraint: Constraint, premise: Premise, kind: RuleKind) -> Node:
    operand = OPERANDS[constraint.left]
    return _leaf(premise, operand.value, operand.test_ahead(constraint, kind))


def _leaf(premise: Premise, value: Callable[[Request, State], Value | None], test: Callable[[Value], Truth]) -> Node:
    def node(request: Request, state: State, trail: Trail) -> Truth:
        left = value(request, state)
        truth = None if left is None else test(left)
        trail.append((premise, left, truth))
        return truth

    return node


def _joined(nodes: list[Node], *, neutral: bool) -> Node:
    """Return `and` (neutral True) or `or` (neutral False) of `nodes`, in strong three-valued logic (27).

    A part that has the neutral value decides nothing unless all have it, so its premises leave the trail.
    """

    def node(request: Request, state: State, trail: Trail) -> Truth:
        result: Truth = neutral
        start = len(trail)
        for part in nodes:
            mark = len(trail)
            truth = part(request, state, trail)
            if truth is neutral:
                if result is not neutral:
                    del trail[mark:]
            elif result is neutral:
                del trail[start:mark]
                result = truth
            elif truth is not None:
                result = truth
        return result

    return nodes[0] if len(nodes) == 1 else node


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
    later = at + TICK if at < LAST else at
    return {"lt": (at,), "gteq": (at,), "lteq": (later,), "gt": (later,)}.get(bare(constraint.operator), (at, later))


# --- deciding --------------------------------------------------------------------------------------------------------


def decide(compiled: Compiled, request: Request, state: State = State()) -> Decision:  # noqa: B008 (frozen)
    """Return whether `request` is permitted, and why."""
    allowed, trail = _verdict(compiled, request, state)
    because = tuple(Reason(premise, left, truth) for premise, left, truth in trail)
    return Decision(
        allowed=allowed,
        because=because,
        unknown=tuple(dict.fromkeys(reason.premise for reason in because if reason.satisfied is None)),
        valid_until=_valid_until(compiled, request, state) if allowed and compiled.instants else None,
        counted=compiled.counted,
    )


def possible(compiled: Compiled, request: Request) -> Decision:
    """Return whether `request` could ever be permitted, whatever the caller has yet to prove or declare (39: catalog)."""
    return decide(compiled, replace(request, scope=Scope.CATALOG))


def _verdict(compiled: Compiled, request: Request, state: State) -> tuple[bool, Trail]:
    refused = _built_in(compiled, request)
    if refused:
        return False, refused
    ahead, lenient = request.scope in AHEAD, request.scope is Scope.CATALOG
    forbidding: Trail = []
    for rule in compiled.prohibitions:
        trail: Trail = []
        truth = (rule.ahead if ahead else rule.here)(request, state, trail)
        if truth or (truth is None and not lenient):
            forbidding += trail
    if forbidding:
        return False, forbidding
    failed: list[Trail] = []
    for rule in compiled.permissions:
        trail = []
        truth = (rule.ahead if ahead else rule.here)(request, state, trail)
        if truth or (truth is None and lenient):
            return True, trail
        failed.append(trail)
    failed.sort(key=len)  # the permission that is nearest to fitting comes first
    return False, [step for trail in failed for step in trail] or [(BUILT_IN["empty"], None, False)]


def _built_in(compiled: Compiled, request: Request) -> Trail:
    """Return what no policy can allow: purposes that the EHDS forbids, and data on the strength of a mere offer (1)."""
    purpose = request.claims.get("purpose")
    if purpose:
        declared = purposes().resolve(purpose)
        if declared in forbidden_purposes():
            return [(BUILT_IN["purpose"], declared, True)]
    if compiled.policy.kind is PolicyKind.OFFER and request.scope not in AHEAD:
        return [(BUILT_IN["offer"], None, False)]
    return []


def _valid_until(compiled: Compiled, request: Request, state: State) -> datetime | None:
    """Return the next instant at which the permission given now ends by the clock; None: never."""
    coming = [instant for instant in compiled.instants if instant > request.now]
    for instant in coming[:INSTANTS]:
        if not _verdict(compiled, replace(request, now=instant), state)[0]:
            return instant
    return coming[INSTANTS] if len(coming) > INSTANTS else None


__all__ = ["Compiled", "Decision", "Reason", "Request", "Scope", "State", "compile", "decide", "possible"]
