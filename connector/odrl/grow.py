"""Growing a rule: its premises as a tree, and the closures that walk it.

Each closure takes a request and a state, appends what it found to the record, and returns True, False or None (unknown).
Leaves are of two kinds: `here` and `ahead` ask the left operands that this connector enforces, `wholly` any left operand of
the language, whose values are found in a `World`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from connector.odrl.actions import Due, actions
from connector.odrl.kinds import check as holds
from connector.odrl.language import Source, left_operands, lookup, resolve
from connector.odrl.model import (
    AnyConstraint,
    Constraint,
    Duty,
    Logic,
    LogicalConstraint,
    Place,
    Policy,
    Rule,
)
from connector.odrl.operands import OPERANDS, Request, State
from connector.odrl.reasons import Premise
from connector.odrl.terms import bare
from connector.odrl.trees import Aspect, Branch, DutyFound, Found, Record, Tree, Truth
from connector.odrl.understood import due_by
from connector.odrl.values import Value

Node: TypeAlias = Callable[[Request, State, Record], Truth]
Leaf: TypeAlias = Callable[[Constraint, Premise], Node]
Grown: TypeAlias = tuple[Tree, Node]


@dataclass(frozen=True, slots=True)
class CompiledDuty:
    duty: Duty
    due: Due
    condition: Node


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One rule: its premises as a tree, and the closures that walk them."""

    rule: Rule
    name: str
    trees: tuple[tuple[Aspect, Tree], ...]
    here: tuple[Node, ...]
    ahead: tuple[Node, ...]
    duties: tuple[CompiledDuty, ...] = ()

    def find(self, request: Request, state: State, ahead: bool) -> Found:
        record: Record = []
        fits: Truth = True
        for node in self.ahead if ahead else self.here:
            truth = node(request, state, record)
            if truth is not True and fits is not False:
                fits = truth
        if not self.duties:
            return Found(self.rule, self.name, self.trees, record, fits)
        duties = tuple(_duty_found(duty, request, state) for duty in self.duties)
        violated = any(one.deontic == "Violated" for one in state.world.duties.get(self.rule.uid or "", ()))
        return Found(self.rule, self.name, self.trees, record, fits, duties, violated)


def _duty_found(compiled: CompiledDuty, request: Request, state: State) -> DutyFound:
    active = compiled.condition(request, state, []) is not False  # an unknown condition leaves the duty active (17)
    outcomes = state.world.duties.get(compiled.duty.uid or "", ())
    return DutyFound(compiled.duty, compiled.due, active, outcomes)


@dataclass(frozen=True, slots=True)
class Grower:
    """Grows the trees of one rule."""

    policy: Policy
    rule: Rule
    name: str
    asked: Callable[[str], tuple[str, frozenset[str]]]  # the action of a request, and those that include it

    def rule_with(self, here: Leaf, ahead: Leaf) -> CompiledRule:
        fit = list(self.fit())
        grown = [[self.grow(part, leaf) for part in self.rule.constraints] for leaf in (here, ahead)]
        trees = [(aspect, tree) for aspect, (tree, _) in fit] + [(Aspect.CONSTRAINT, tree) for tree, _ in grown[0]]
        first = [node for _, (_, node) in fit]
        nodes = [(*first, *(node for _, node in made)) for made in grown]
        duties = tuple(self.duty(duty, here) for duty in self.rule.duties)
        return CompiledRule(self.rule, self.name, tuple(trees), nodes[0], nodes[1], duties)

    def premise(self, name: str, operator: str, right: str, place: Place | None, of: Constraint | None = None) -> Premise:
        asked = of.right if of is not None else right
        return Premise(self.name, self.rule.kind, name, operator, asked, place, of, self.rule.uid)

    def fit(self) -> Iterator[tuple[Aspect, Grown]]:
        """Yield the premises besides the constraints: action, target, assignee (10-14)."""
        rule, refined = self.rule, self.rule.refined
        if rule.action:
            premise = self.premise("action", "eq", rule.action, rule.place)
            yield Aspect.ACTION, self.refined((premise, self.acts(rule.action)), refined.action)
        target = rule.target or self.policy.target
        if target is not None:
            yield Aspect.TARGET, self.refined(self.named("target", target), refined.target)
        for assignee in dict.fromkeys((rule.assignee, self.policy.assignee)):
            if assignee is not None:
                parts = refined.assignee if assignee == rule.assignee else ()
                yield Aspect.PARTY, self.refined(self.named("assignee", assignee), parts)

    def acts(self, action: str) -> Node:
        """Return the premise that the asked action is `action` or included in it (12, 13)."""
        wanted, asked = actions().resolve(action), self.asked

        def node(request: Request, _state: State, record: Record) -> Truth:
            left, wider = asked(request.action)
            truth = wanted in wider
            record.append((left, truth))
            return truth

        return node

    def named(self, name: str, right: str) -> Grown:
        """Return the premise that the asset or the asker is `right` or in that collection (14)."""
        is_target = name == "target"

        def node(request: Request, state: State, record: Record) -> Truth:
            left = request.target if is_target else request.assignee or None
            truth = None if left is None else left == right or right in state.world.above.get(left, ())
            record.append((left, truth))
            return truth

        return self.premise(name, "eq", right, self.rule.place), node

    def refined(self, fit: Grown, refinements: Sequence[AnyConstraint]) -> Grown:
        if not refinements:
            return fit

        def leaf(constraint: Constraint, premise: Premise) -> Node:
            return wholly(self.policy, self.rule, constraint, premise, refining=True)

        parts = [fit, *(self.grow(part, leaf) for part in refinements)]
        return Branch(Logic.AND, tuple(tree for tree, _ in parts)), _joined(Logic.AND, [node for _, node in parts])

    def grow(self, part: AnyConstraint, leaf: Leaf) -> Grown:
        if isinstance(part, LogicalConstraint):
            parts = [self.grow(inner, leaf) for inner in part.parts]
            branch = Branch(part.logic, tuple(tree for tree, _ in parts), part)
            return branch, _joined(part.logic, [node for _, node in parts])
        premise = self.premise(_name(part.left), bare(part.operator), "", part.place, part)
        return premise, leaf(part, premise)

    def duty(self, duty: Duty, leaf: Leaf) -> CompiledDuty:
        due = actions().due.get(actions().resolve(duty.action), Due.BEFORE)
        conditions = []
        for part in duty.constraints:
            if isinstance(part, Constraint) and due_by(part):
                due = {"lt": Due.BEFORE, "lteq": Due.BEFORE, "eq": Due.WITH}.get(bare(part.operator), Due.AFTER)
            else:
                conditions.append(self.grow(part, leaf)[1])
        return CompiledDuty(duty, due, _joined(Logic.AND, conditions))


def _name(left: str) -> str:
    known = left_operands().get(resolve(left))
    return known.name if known is not None else bare(left)


def here(constraint: Constraint, _premise: Premise) -> Node:
    operand = OPERANDS[constraint.left]
    return _leaf(operand.value, operand.test(constraint))


def ahead(constraint: Constraint, premise: Premise) -> Node:
    operand = OPERANDS[constraint.left]
    return _leaf(operand.value, operand.test_ahead(constraint, premise.kind))


def _leaf(value: Callable[[Request, State], Value | None], test: Callable[[Value], Truth]) -> Node:
    def node(request: Request, state: State, record: Record) -> Truth:
        left = value(request, state)
        truth = None if left is None else test(left)
        record.append((left, truth))
        return truth

    return node


def wholly(policy: Policy, rule: Rule, constraint: Constraint, _premise: Premise, *, refining: bool = False) -> Node:
    """Return a leaf of the whole language: a set of values, found in the world, compared there."""
    operand = left_operands()[resolve(constraint.left)]
    if operand.source is Source.FILTER:
        return _applied
    value = lookup(operand, constraint, policy.uid, rule.uid, refining=refining)
    test = holds(operand.kind, bare(constraint.operator), operand.rights(constraint))

    def node(request: Request, state: State, record: Record) -> Truth:
        lefts = value(request, state.world)
        truth = None if lefts is None else test(lefts, state.world)
        record.append((lefts, truth))
        return truth

    return node


def _applied(_request: Request, _state: State, record: Record) -> Truth:
    """A filter on rows holds because it is applied."""
    record.append((None, True))
    return True


def _joined(logic: Logic, nodes: list[Node]) -> Node:
    """Return `nodes` joined in strong three-valued logic (27); every one of them is evaluated (32)."""
    if logic is Logic.XONE:

        def join(truths: list[Truth]) -> Truth:
            true = truths.count(True)
            return false if true > 1 else None if None in truths else true == 1

        false = False
    else:
        neutral = logic is not Logic.OR  # andSequence is `and`: what is looked at has happened by now

        def join(truths: list[Truth]) -> Truth:
            return (not neutral) if (not neutral) in truths else None if None in truths else neutral

    def node(request: Request, state: State, record: Record) -> Truth:
        truth = join([part(request, state, record) for part in nodes])
        record.append((None, truth))
        return truth

    return node
