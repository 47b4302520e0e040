"""Left operands as data: what each means, which operators fit, where its value comes from, and who can prove it.

A policy may only speak of what is in `OPERANDS`; `faults` names everything else (odrl.md 26).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from connector.odrl.model import Constraint, RuleKind
from connector.odrl.purposes import Vocabulary, places, purposes
from connector.odrl.terms import LEFT_OPERANDS, ODRL, OPERATORS, bare, nearest, short
from connector.odrl.values import (
    FOR_EVER,
    ORDER,
    SETS,
    STILL_POSSIBLE,
    Count,
    Instant,
    Term,
    Test,
    Text,
    Unread,
    Value,
    comparison,
    literals,
)
from connector.odrl.world import Values, World

NOTHING = World()


class Scope(StrEnum):
    """Where a decision is taken. CATALOG and NEGOTIATION look ahead: they ask what can be used under the policy at all."""

    CATALOG = "catalog"
    NEGOTIATION = "negotiation"
    TRANSFER = "transfer"
    ACCESS = "access"


AHEAD = frozenset({Scope.CATALOG, Scope.NEGOTIATION})
HERE = frozenset({Scope.TRANSFER, Scope.ACCESS})


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants to do what with what, when. `action` is a full IRI or an ODRL term; `claims` are the caller's."""

    scope: Scope
    action: str
    target: str | None
    assignee: str
    now: datetime
    claims: Mapping[str, str] = field(default_factory=dict)
    context: Values = field(default_factory=dict)  # what the request declares, where there is a `State.world`


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered. `uses` are those reserved or made under the agreement, without the one asked for.

    `world` is everything else, for policies that say more than this connector enforces (`evaluate.compile_whole`).
    """

    uses: int = 0
    world: World = NOTHING


class Proof(StrEnum):
    """How far a constraint is more than a promise (usage-control.md)."""

    PROVIDER = "P"  # the provider decides and can prove it alone
    TOKEN = "T"  # provable when the claim comes in a signed token
    HALF = "H"  # as long as the data stays behind the provider's interface
    CONSUMER = "C"  # declared by the consumer


@dataclass(frozen=True, slots=True)
class Operand:
    """One left operand. `value` finds its value, None when there is none; `missing` says so in words.

    `scopes` are those in which the value is the real one. In the others `dateTime` is asked whether it can still come
    true (or, under a prohibition, still end), and `count` as if nothing had been used yet.
    """

    name: str
    type: Text
    operators: frozenset[str]
    scopes: frozenset[Scope]
    source: str
    proof: Proof
    value: Callable[[Request, State], Value | None]
    subject: str
    missing: str = ""
    rules: frozenset[RuleKind] = frozenset({RuleKind.PERMISSION, RuleKind.PROHIBITION})

    def rights(self, constraint: Constraint) -> list[Value]:
        """Return the values of the right operand.

        Raises:
            ValueError: what is wrong with it, in words that follow the value.
        """
        return [self._parse(text, datatype) for text, datatype in literals(constraint)]

    def _parse(self, text: str, datatype: str | None) -> Value:
        if datatype is not None and datatype not in self.type.datatypes:
            raise ValueError(f'"{text}" has the type {datatype}, which {self.name} does not take')
        try:
            return self.type.parse(text)
        except ValueError as error:
            raise Unread(f'"{self.type.show(text)}" ', error) from error

    def test(self, constraint: Constraint) -> Test:
        """Return what decides a left value."""
        return comparison(self.type, bare(constraint.operator), self.rights(constraint))

    def test_ahead(self, constraint: Constraint, kind: RuleKind) -> Test:
        """Return what decides at a time before use."""
        if not isinstance(self.type, Instant):
            return self.test(constraint)
        table = STILL_POSSIBLE if kind is RuleKind.PERMISSION else FOR_EVER
        how, right = table[bare(constraint.operator)], self.rights(constraint)[0]
        return (lambda left: how) if isinstance(how, bool) else (lambda left: how(left, right))


def claimed(name: str, vocabulary: Callable[[], Vocabulary]) -> Callable[[Request, State], Value | None]:
    def value(request: Request, _state: State) -> Value | None:
        word = request.claims.get(name)
        return vocabulary().resolve(word) if word else None

    return value


OPERANDS: Mapping[str, Operand] = {
    ODRL + operand.name: operand
    for operand in (
        Operand(
            name="recipient",
            type=Text(),
            operators=frozenset({"eq", "neq", "isAnyOf", "isNoneOf"}),
            scopes=frozenset(Scope),
            source="the participant that asks, as its token proves",
            proof=Proof.TOKEN,
            value=lambda request, _state: request.assignee or None,
            subject="the recipient is {}",
            missing="nobody is named as recipient",
        ),
        Operand(
            name="purpose",
            type=Term(purposes),
            operators=frozenset({"eq", "neq", "isA", "isAnyOf", "isNoneOf"}),
            scopes=frozenset(Scope),
            source="the claim `purpose`, declared by the consumer and signed with its token",
            proof=Proof.CONSUMER,
            value=claimed("purpose", purposes),
            subject="purpose is {}",
            missing="no purpose was declared",
        ),
        Operand(
            name="spatial",
            type=Term(places),
            operators=frozenset({"eq", "neq", "isA", "isAnyOf", "isNoneOf", "isPartOf"}),
            scopes=frozenset(Scope),
            source="the claim `spatial`, the country of the consumer's seat",
            proof=Proof.TOKEN,
            value=claimed("spatial", places),
            subject="the consumer's country is {}",
            missing="the consumer's country is not known",
        ),
        Operand(
            name="dateTime",
            type=Instant(),
            operators=frozenset(ORDER),
            scopes=HERE,
            source="the provider's clock",
            proof=Proof.HALF,
            value=lambda request, _state: request.now,
            subject="it is {}",
        ),
        Operand(
            name="count",
            type=Count(),
            operators=frozenset({"lt", "lteq", "eq"}),
            scopes=HERE,
            source="the uses reserved or made under the agreement, with the one asked for",
            proof=Proof.HALF,
            value=lambda request, state: 1 if request.scope in AHEAD else state.uses + 1,
            subject="this is use {}",
            rules=frozenset({RuleKind.PERMISSION}),
        ),
    )
}


# --- checking --------------------------------------------------------------------------------------------------------


def faults(constraint: Constraint, kind: RuleKind) -> list[tuple[str, str]]:
    """Return code and message of everything about `constraint` that cannot be decided; none when it can."""
    operand = OPERANDS.get(constraint.left)
    if operand is None:
        return [("odrl-left-operand", _unknown_operand(constraint.left))]
    name = bare(constraint.operator)
    if name not in operand.operators:
        return [("odrl-operator", _unfit_operator(operand, constraint.operator))]
    found = []
    if kind not in operand.rules:
        found.append(("odrl-left-operand", f'"{operand.name}" can only limit a permission; turn the rule round'))
    if constraint.unit is not None:
        found.append(("odrl-unit", f'"{operand.name}" takes no unit; leave it out'))
    return found + [("odrl-right-operand", message) for message in _unfit_right(operand, name, constraint)]


def _unknown_operand(left: str) -> str:
    name = bare(left)
    known = [operand.name for operand in OPERANDS.values()]
    if name in LEFT_OPERANDS:
        return f'the left operand "{name}" is not enforced by this connector; it knows {", ".join(known)}'
    return f'unknown left operand "{short(left)}"' + (nearest(name, known) or f"; this connector knows {', '.join(known)}")


def _unfit_operator(operand: Operand, operator: str) -> str:
    name, known = bare(operator), sorted(operand.operators)
    if name in OPERATORS:
        return f'the operator "{name}" does not fit "{operand.name}"; it takes {", ".join(known)}'
    return f'unknown operator "{short(operator)}"' + (nearest(name, known) or f"; {operand.name} takes {', '.join(known)}")


def _unfit_right(operand: Operand, name: str, constraint: Constraint) -> list[str]:
    given = literals(constraint)
    if not given:
        return [f'the right operand of "{operand.name}" is an empty list']
    if len(given) > 1 and name not in SETS:
        return [f'"{name}" takes one value; use isAnyOf, or an "or" of several constraints']
    try:
        rights = operand.rights(constraint)
    except ValueError as error:
        return [str(error)]
    if isinstance(operand.type, Count) and name == "eq" and rights[0] not in (0, 1):
        return [f'"count eq {rights[0]}" refuses the first use and so is never reached; lteq allows at most {rights[0]}']
    return []
