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


@dataclass(frozen=True, slots=True)
class LogicalConstraint:
    logic: Logic
    parts: tuple[Constraint | LogicalConstraint, ...]
    place: Place | None = field(default=None, compare=False)


AnyConstraint: TypeAlias = Constraint | LogicalConstraint


@dataclass(frozen=True, slots=True)
class Duty:
    action: str
    constraints: tuple[AnyConstraint, ...] = ()
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """One permission, prohibition or obligation. `action` is a full IRI where known."""

    kind: RuleKind
    action: str
    constraints: tuple[AnyConstraint, ...] = ()
    duties: tuple[Duty, ...] = ()
    assignee: str | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """An ODRL policy. In DSP messages `target` is the dataset id and rules carry none (DSP-057, DSP-060)."""

    kind: PolicyKind
    uid: str
    rules: tuple[Rule, ...]
    target: str | None = None
    assigner: str | None = None
    assignee: str | None = None
    profile: tuple[str, ...] = ()
    timestamp: str | None = None
    problems: tuple[Problem, ...] = field(default=(), compare=False)
