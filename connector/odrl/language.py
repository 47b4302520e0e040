"""The left operands of the whole language, as `vocab/terms/operands.json` lists them, and where their values come from.

That a policy may be *decided* with them does not mean that the product agrees to it: `operands.OPERANDS` are those that
are enforced here, and `check` holds agreements to these. Facts come from the state; the request only declares what it
asks for, and is not heard on what a party has to prove (odrl.md 25, 44).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import TypeAlias

from connector.assets import shipped
from connector.odrl.kinds import KINDS, Duration, Kind, Levels, Plain
from connector.odrl.model import Constraint
from connector.odrl.operands import Proof, Request
from connector.odrl.purposes import purposes
from connector.odrl.terms import HDC, ODRL, bare, expand, expand_curie
from connector.odrl.values import literals
from connector.odrl.world import Counter, Given, Values, World

FIRST_USE = HDC + "firstUse"


class Source(StrEnum):
    """Where a value comes from."""

    CLOCK = "clock"
    COUNTER = "counter"
    AGREEMENT = "agreement"
    CONSENT = "consent"
    REQUEST = "request"
    CLAIM = "claim"
    FILTER = "filter"  # a row filter of the provider: met by applying it, never a yes or no of the contract


@dataclass(frozen=True, slots=True)
class LeftOperand:
    iri: str
    name: str
    kind: Kind
    source: Source
    proof: Proof
    words: str

    def rights(self, constraint: Constraint) -> list[Plain]:
        """Return the values of the right operand.

        Raises:
            ValueError: what is wrong with it.
        """
        return [self._right(text, datatype) for text, datatype in literals(constraint)]

    def _right(self, text: str, datatype: str | None) -> Plain:
        if datatype is not None and datatype not in self.kind.datatypes:
            raise ValueError(f'"{text}" has the type {datatype}, which {self.name} does not take')
        try:
            return self.kind.parse(text, datatype)
        except ValueError as error:
            raise ValueError(f'"{text}" {error}') from error


@cache
def left_operands() -> Mapping[str, LeftOperand]:
    """Return every left operand that can be decided, by IRI."""
    facts = json.loads((shipped("vocab") / "terms" / "operands.json").read_text("utf-8"))
    ranks = {name: tuple(map(expand_curie, levels)) for name, levels in facts["levels"].items()}
    found = {}
    for name, (kind, source, proof, words) in facts["operands"].items():
        iri = ODRL + name if ":" not in name else expand_curie(name)
        how = Levels(ranks=ranks[name]) if kind == "level" else KINDS[kind]
        found[iri] = LeftOperand(iri, name, how, Source(source), Proof(proof), words)
    return found


@cache
def _deprecated() -> Mapping[str, str]:
    facts = json.loads((shipped("vocab") / "terms" / "operands.json").read_text("utf-8"))
    return {ODRL + old: ODRL + new for old, new in facts["exact_match"].items()}


def resolve(word: str) -> str:
    """Return the IRI of a left operand, of a deprecated one its exact match."""
    iri = expand(word, _bare_names())
    return _deprecated().get(iri, iri)


@cache
def _bare_names() -> frozenset[str]:
    """Return ODRL's left operands as they may be written without prefix, deprecated ones too."""
    return frozenset(bare(iri) for iri in (*left_operands(), *_deprecated()) if iri.startswith(ODRL))


# --- values ----------------------------------------------------------------------------------------------------------

Lookup: TypeAlias = Callable[[Request, World], tuple[Plain, ...] | None]


def lookup(operand: LeftOperand, constraint: Constraint, policy: str, rule: str | None, *, refining: bool) -> Lookup:
    """Return what finds the values of `operand`; None: none is known.

    A constraint is about the state, a refinement about the request: what the state says of the asked asset and party,
    else what the request declares (31).
    """
    match operand.source:
        case Source.CLOCK:
            return lambda _request, world: None if world.now is None else (world.now,)
        case Source.COUNTER:
            return lambda request, world: _count(_counters(request, world, policy, rule))
        case Source.AGREEMENT:
            return lambda request, world: _elapsed(request, world, policy, rule, constraint.since)
        case Source.CONSENT:
            return _consent
    iri, declared, asker = operand.iri, operand.source is Source.REQUEST, bare(operand.iri) in ("recipient",)

    def value(request: Request, world: World) -> tuple[Plain, ...] | None:
        sources = [world.about.get(request.assignee, {})]
        sources.append(world.about.get(request.target or "", {}) if refining else world.values)
        given = [one for source in sources for one in source.get(iri, ())]
        if not given and declared:
            given = list(request.context.get(iri, ()))
        if not given and asker and request.assignee:
            return (request.assignee,)
        return _parsed(operand.kind, given, constraint.unit)

    return value


def declared_purposes(request: Request, world: World) -> Iterable[str]:
    """Yield the purposes of the request as the state or it has them: each one, whatever stands beside it."""
    for iri in (ODRL + "purpose", "https://w3id.org/dpv#hasPurpose"):
        facts = (*world.about.get(request.assignee, {}).get(iri, ()), *world.values.get(iri, ()))
        yield from (purposes().resolve(expand_curie(one.text)) for one in facts or request.context.get(iri, ()))


def _parsed(kind: Kind, given: Iterable[Given], unit: str | None) -> tuple[Plain, ...] | None:
    """Return values, None when there are none or one of them is not of this kind or unit."""
    found = []
    for one in given:
        if one.unit != unit:
            return None
        try:
            found.append(kind.parse(one.text, one.datatype))
        except ValueError:
            return None
    return tuple(dict.fromkeys(found)) or None


def _counters(request: Request, world: World, policy: str, rule: str | None) -> list[Counter]:
    return [one for one in world.counters if one.applies(policy, rule, request.target, request.assignee)]


def _count(counters: list[Counter]) -> tuple[Plain, ...] | None:
    return (sum(one.uses for one in counters) + 1,) if counters else None


def _elapsed(request: Request, world: World, policy: str, rule: str | None, since: str | None) -> tuple[Plain, ...] | None:
    if world.now is None:
        return None
    start = world.agreed.get(policy)
    if since == FIRST_USE:
        counters = _counters(request, world, policy, rule)
        firsts = [one.first for one in counters if one.first is not None]
        if counters and not firsts and not any(one.uses for one in counters):
            return (Duration(0, timedelta(0)),)
        start = min(firsts, default=None)
    return None if start is None else (Duration(0, world.now - start),)


def _consent(request: Request, world: World) -> tuple[Plain, ...] | None:
    """Return the newest status; of several at one instant, all of them, which no single value equals."""
    now, target = world.now, request.target
    if now is None or target is None:
        return None
    about = [one for one in world.consents if world.within(target, one.target) and one.issued <= now]
    last = max((one.issued for one in about), default=None)
    return tuple(sorted({one.status for one in about if one.issued == last})) or None


__all__ = ["FIRST_USE", "LeftOperand", "Source", "Values", "declared_purposes", "left_operands", "lookup", "resolve"]
