"""Policies as values: ODRL 2.2 policies, rules and constraints, frozen.

A `Policy` holds what a document said, in the order it said it, so that it can go back on the wire unchanged in meaning;
what the reader did not understand is listed in `problems`, never dropped. Only `evaluate.compile` turns a policy into
something that can permit, and it refuses one with problems (ref: ODRL Information Model 2.2, sections 2.1-2.6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, Union

from connector.errors import Problem

Json: TypeAlias = Union[None, bool, int, float, str, Sequence["Json"], Mapping[str, "Json"]]


class PolicyKind(StrEnum):
    SET = "Set"
    OFFER = "Offer"
    AGREEMENT = "Agreement"


class RuleKind(StrEnum):
    PERMISSION = "permission"
    PROHIBITION = "prohibition"
    OBLIGATION = "obligation"


class Logic(StrEnum):
    AND = "and"
    OR = "or"
    XONE = "xone"
    AND_SEQUENCE = "andSequence"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file a rule or constraint was written; lines and columns count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Constraint:
    """`left` and `operator` are full IRIs where the term is known (`http://www.w3.org/ns/odrl/2/count`), else as written.

    `right` is the right operand as the document had it: a string, `{"@value", "@type"}`, `{"@id"}`, or a list of these.
    """

    left: str
    operator: str
    right: Json
    unit: str | None = None
    datatype: str | None = None
    place: Place | None = field(default=None, compare=False)
    uid: str | None = field(default=None, compare=False)
    since: str | None = None  # from when `elapsedTime` counts, where it is not the agreement
    status: Json = None


@dataclass(frozen=True, slots=True)
class LogicalConstraint:
    logic: Logic
    parts: tuple[Constraint | LogicalConstraint, ...]
    place: Place | None = field(default=None, compare=False)
    uid: str | None = field(default=None, compare=False)


AnyConstraint: TypeAlias = Constraint | LogicalConstraint


@dataclass(frozen=True, slots=True)
class Refinements:
    """What narrows the action, the asset collection and the party collection of a rule or duty."""

    action: tuple[AnyConstraint, ...] = ()
    target: tuple[AnyConstraint, ...] = ()
    assignee: tuple[AnyConstraint, ...] = ()


NOT_REFINED = Refinements()


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to be done; `consequences` have to be done as well once it was not (15)."""

    action: str
    constraints: tuple[AnyConstraint, ...] = ()
    place: Place | None = field(default=None, compare=False)
    uid: str | None = field(default=None, compare=False)
    target: str | None = None
    assignee: str | None = None
    refined: Refinements = NOT_REFINED
    consequences: tuple[Duty, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One permission, prohibition or obligation, atomic: one action, target and assignee at most (odrl.md 3).

    `action` is a full IRI where known, empty where any will do. `duties` are those of a permission, the remedies of a
    prohibition, the consequences of an obligation. `target` and `assigner` are the rule's own, None: the policy's.
    """

    kind: RuleKind
    action: str
    constraints: tuple[AnyConstraint, ...] = ()
    duties: tuple[Duty, ...] = ()
    assignee: str | None = None
    place: Place | None = field(default=None, compare=False)
    uid: str | None = field(default=None, compare=False)
    target: str | None = None
    assigner: str | None = None
    refined: Refinements = NOT_REFINED


@dataclass(frozen=True, slots=True)
class Link:
    """A statement that `part` is included in, or a member of, `whole`."""

    part: str
    whole: str


@dataclass(frozen=True, slots=True)
class Policy:
    """An ODRL policy. In DSP messages `target` is the dataset id and rules carry none (DSP-057, DSP-060).

    `included` are the actions that the document itself hangs below others; `parts` its own `partOf` statements.
    """

    kind: PolicyKind
    uid: str
    rules: tuple[Rule, ...]
    target: str | None = None
    assigner: str | None = None
    assignee: str | None = None
    profile: tuple[str, ...] = ()
    timestamp: str | None = None
    conflict: str | None = None  # perm, prohibit or invalid
    inherits: tuple[str, ...] = ()
    included: tuple[Link, ...] = ()
    parts: tuple[Link, ...] = ()
    problems: tuple[Problem, ...] = field(default=(), compare=False)
