"""What a pass over a rule leaves behind: each premise with its value and truth, in the shape in which the rule has them.

Compiling makes a `Tree` of premises and, beside it, one closure that walks the same tree and appends what it finds to a
flat record. The verdict needs only the closure's answer; reasons and report read the record along the tree afterwards, so
that they come from the same pass and cost nothing until somebody asks (odrl.md 32, 42).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from connector.odrl.actions import Due
from connector.odrl.kinds import Plain
from connector.odrl.model import Duty, Json, Logic, LogicalConstraint, Rule, RuleKind
from connector.odrl.reasons import Premise, Reason
from connector.odrl.values import Value
from connector.odrl.world import Outcome

Truth: TypeAlias = bool | None
Left: TypeAlias = Value | tuple[Plain, ...] | None
Record: TypeAlias = list[tuple[Left, Truth]]


class Aspect(StrEnum):
    """What a premise of a rule is about."""

    TARGET = "target"
    PARTY = "assignee"
    ACTION = "action"
    CONSTRAINT = "constraint"


@dataclass(frozen=True, slots=True)
class Branch:
    """Premises that are joined; `constraint` is the logical constraint, None for a premise with its refinements."""

    logic: Logic
    parts: tuple[Tree, ...]
    constraint: LogicalConstraint | None = None


Tree: TypeAlias = Premise | Branch


@dataclass(frozen=True, slots=True)
class Seen:
    """A tree with what was found at each of its nodes."""

    tree: Tree
    left: Left
    truth: Truth
    parts: tuple[Seen, ...] = ()


def seen(tree: Tree, record: Iterator[tuple[Left, Truth]]) -> Seen:
    """Read what `record` holds of `tree`; a branch stands behind its parts."""
    if isinstance(tree, Premise):
        return Seen(tree, *next(record))
    parts = tuple(seen(part, record) for part in tree.parts)
    return Seen(tree, *next(record), parts)


def deciding(node: Seen) -> Iterator[Reason]:
    """Yield the premises that made the truth of `node`: a part that decides nothing leaves, unless all are like it."""
    if isinstance(node.tree, Premise):
        yield Reason(node.tree, node.left, node.truth)
        return
    neutral = node.tree.logic is not Logic.OR
    for part in node.parts:
        if node.tree.logic is Logic.XONE or node.truth is neutral or part.truth is not neutral:
            yield from deciding(part)


def unknown(node: Seen) -> Iterator[Premise]:
    """Yield the constraints below `node` whose value was not known."""
    if isinstance(node.tree, Premise):
        if node.truth is None and node.tree.constraint is not None:
            yield node.tree
        return
    for part in node.parts:
        yield from unknown(part)


@dataclass(frozen=True, slots=True)
class DutyFound:
    """A duty of a permission: whether it asks for anything (17), when it is due, and what became of it."""

    duty: Duty
    due: Due
    active: bool
    outcomes: tuple[Outcome, ...] = ()

    @property
    def states(self) -> frozenset[str]:
        return frozenset(outcome.deontic for outcome in self.outcomes if outcome.deontic is not None)

    @property
    def violated(self) -> bool:
        return "Violated" in self.states

    @property
    def lacking(self) -> bool:
        """Return whether the permission has to wait for it (20, 22)."""
        return self.violated or (self.due is Due.BEFORE and self.active and "Fulfilled" not in self.states)


class Found(NamedTuple):
    """A rule after the pass. `premises` are joined by and; `fits` is their truth, duties aside."""

    rule: Rule
    name: str
    trees: Sequence[tuple[Aspect, Tree]]
    record: Record
    fits: Truth
    duties: tuple[DutyFound, ...] = ()
    violated: bool = False  # a prohibition or obligation, by what is recorded

    @property
    def lacking(self) -> bool:
        """Return whether a permission has to wait for one of its duties."""
        return any(duty.lacking for duty in self.duties)

    def owed(self) -> list[DutyFound]:
        """Return what a violation made due: remedies, and consequences of duties and obligations (15)."""
        if self.rule.kind is not RuleKind.PERMISSION:
            return [duty for duty in self.duties if self.violated and duty.active]
        broken = (duty.duty for duty in self.duties if duty.violated)
        return [DutyFound(next, Due.AFTER, active=True) for duty in broken for next in duty.consequences]

    def premises(self) -> list[tuple[Aspect, Seen]]:
        record = iter(self.record)
        return [(aspect, seen(tree, record)) for aspect, tree in self.trees]

    def reasons(self) -> list[Reason]:
        """Return the premises that made the rule fit, or those that kept it from fitting."""
        nodes = [node for _, node in self.premises()]
        reasons = [why for node in nodes if self.fits or node.truth is not True for why in deciding(node)]
        return reasons + [self._undone(duty) for duty in self.duties if duty.lacking]

    def _undone(self, duty: DutyFound) -> Reason:
        asked: Json = "Fulfilled" if duty.due is Due.BEFORE else "not Violated"
        place = duty.duty.place or self.rule.place
        premise = Premise(self.name, self.rule.kind, "duty", "eq", asked, place, uid=self.rule.uid, about=duty.duty.action)
        return Reason(premise, ", ".join(sorted(duty.states)) or "NonSet", False)
