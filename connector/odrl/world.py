"""What is known of the world when a policy is decided: time, memberships, values, counters, consents, duties done.

The product's services know the asker and how often the agreement was used (`operands.State.uses`); `policy decide` and
`policy evaluate` hand in a whole world, read from a file. Nothing here is looked up while deciding: no clock, no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TypeAlias

from connector.odrl.model import Link
from connector.odrl.purposes import places, purposes


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was written; `datatype` None: an IRI or a plain text."""

    text: str
    datatype: str | None = None
    unit: str | None = None


Values: TypeAlias = Mapping[str, tuple[Given, ...]]  # left operand -> its values, together a set


@dataclass(frozen=True, slots=True)
class Counter:
    """Uses made under what it names; None: it does not say, and so applies whatever that is."""

    uses: int
    policy: str | None = None
    rule: str | None = None
    target: str | None = None
    assignee: str | None = None
    first: datetime | None = None

    def applies(self, policy: str, rule: str | None, target: str | None, assignee: str | None) -> bool:
        named = ((self.policy, policy), (self.rule, rule), (self.target, target), (self.assignee, assignee))
        return all(own is None or own == asked for own, asked in named)


@dataclass(frozen=True, slots=True)
class Consent:
    target: str
    status: str
    issued: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a duty: the report node that says so, and its deontic state's bare name (`Fulfilled`)."""

    node: str
    deontic: str | None = None


@dataclass(frozen=True, slots=True)
class World:
    """`about` holds the values of single parties and assets, `values` those of every request.

    `above` has for each member of a collection all collections it is part of, transitively; `groups` is everything that
    is known to have members, so that a thing outside of it is known to be outside.
    """

    now: datetime | None = None
    zone: tzinfo = UTC
    values: Values = field(default_factory=dict)
    about: Mapping[str, Values] = field(default_factory=dict)
    above: Mapping[str, frozenset[str]] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    counters: tuple[Counter, ...] = ()
    consents: tuple[Consent, ...] = ()
    duties: Mapping[str, tuple[Outcome, ...]] = field(default_factory=dict)
    agreed: Mapping[str, datetime] = field(default_factory=dict)  # policy -> when it was agreed

    def within(self, member: str, group: str) -> bool:
        """Return whether `member` is `group` or a member of it."""
        return member == group or group in self.above.get(member, ())


def memberships(facts: Iterable[Link]) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Return `above` and `groups` of a World from `partOf` statements."""
    direct: dict[str, set[str]] = {}
    for member, group in ((link.part, link.whole) for link in facts):
        direct.setdefault(same(member), set()).add(same(group))
        direct.setdefault(member, set()).add(group)
    above: dict[str, frozenset[str]] = {}
    for member in direct:
        found, todo = set[str](), [member]
        while todo:
            for group in direct.get(todo.pop(), ()):
                if group not in found:
                    found.add(group)
                    todo.append(group)
        above[member] = frozenset(found)
    return above, frozenset(group for groups in direct.values() for group in groups)


def same(iri: str) -> str:
    """Return the one form of a place or purpose that is compared; any other word as it is."""
    return purposes().resolve(places().resolve(iri))
