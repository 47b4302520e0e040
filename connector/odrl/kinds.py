"""Kinds of values in the whole language: how each is read, ordered and placed in a hierarchy (odrl.md 29, 30).

Comparing has three outcomes; None means that the two cannot be compared. A left operand has a set of values: `isAnyOf` and
its like look at all of them, an order asks for exactly one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TypeAlias

from connector.odrl.purposes import Vocabulary, places, purposes
from connector.odrl.terms import HDC, XSD, expand_curie
from connector.odrl.values import NUMBERS, Instant
from connector.odrl.world import World


@dataclass(frozen=True, slots=True)
class Duration:
    """An xsd:duration: months and seconds, of which neither says the other."""

    months: int
    rest: timedelta

    def __str__(self) -> str:
        """Return the duration as XML Schema writes it, in days and seconds."""
        sign = "-" if self.months < 0 or self.rest < timedelta(0) else ""
        rest = abs(self.rest)
        days = f"{rest.days}D" if rest.days else ""
        seconds = rest - timedelta(days=rest.days)
        number = f"{seconds.seconds}.{seconds.microseconds:06}".rstrip("0").rstrip(".") if seconds.microseconds else None
        clock = f"T{number or seconds.seconds}S" if seconds else ""
        months = f"{abs(self.months)}M" if self.months else ""
        return f"{sign}P{months}{days}{clock}" if months or days or clock else "PT0S"


Plain: TypeAlias = str | int | Decimal | datetime | date | Duration
Check: TypeAlias = Callable[[Sequence[Plain], World], bool | None]

EQUAL = ("eq", "neq", "isAnyOf", "isAllOf", "isNoneOf")
ORDERED = ("lt", "lteq", "gt", "gteq")
TREE = ("isA", "isPartOf", "hasPart")
TEXTS = frozenset({XSD + "string", XSD + "anyURI", XSD + "boolean", XSD + "language", XSD + "token"})


@dataclass(frozen=True, slots=True)
class Kind:
    """Texts compared as they are, not trimmed, not folded."""

    operators: tuple[str, ...] = EQUAL
    datatypes: frozenset[str] = TEXTS

    def parse(self, text: str, datatype: str | None) -> Plain:
        """Return the value of `text`.

        Raises:
            ValueError: what is wrong with it, in words that follow the text.
        """
        return text

    def order(self, left: Plain, right: Plain, world: World) -> int | None:
        """Return a negative number, 0 or a positive one as `left` is before, equal to or after `right`."""
        return 0 if left == right else None

    def same(self, left: Plain, right: Plain, world: World) -> bool | None:
        return left == right

    def below(self, left: Plain, right: Plain, world: World) -> bool | None:
        return self.same(left, right, world)

    def iri(self, value: Plain) -> str:
        """Return a value as it is written in RDF."""
        return shown(value)


@dataclass(frozen=True, slots=True)
class Terms(Kind):
    """IRIs, compared expanded; `partOf` statements of the state and the vocabulary say what is below what."""

    operators: tuple[str, ...] = (*EQUAL, *TREE)
    vocabulary: Callable[[], Vocabulary] | None = None

    def parse(self, text: str, datatype: str | None) -> Plain:
        if not text:
            raise ValueError("is empty")
        if self.vocabulary is None:
            return expand_curie(text)
        known = self.vocabulary()
        foreign = ":" in text and not any(known.resolve(text).startswith(space) for space in known.prefixes.values())
        if known.mistake(text) and not foreign:
            raise ValueError(known.lack)
        return known.resolve(expand_curie(text))

    def below(self, left: Plain, right: Plain, world: World) -> bool | None:
        if left == right:
            return True
        narrow, wide = str(left), str(right)
        up = {narrow, *world.above.get(narrow, ())}
        if wide in up:
            return True
        known = self.vocabulary() if self.vocabulary is not None else None
        found = [known.is_below(one, wide) for one in up] if known else []
        if True in found:
            return True
        return False if False in found or wide in world.groups else None


@dataclass(frozen=True, slots=True)
class Places(Terms):
    """`lteq` says of places what `isPartOf` says (GA4GH's ODRL for DUO writes it so)."""

    operators: tuple[str, ...] = (*EQUAL, *TREE, "lteq")
    vocabulary: Callable[[], Vocabulary] | None = places

    def iri(self, value: Plain) -> str:
        """Return the IRI of a place: inside, a country is its two letters."""
        return _place_iris().get(str(value), str(value))


@cache
def _place_iris() -> Mapping[str, str]:
    """Return for each place the Publications Office's IRI, DPV's for those that have none."""
    known, found = places(), dict[str, str]()
    for prefix in ("loc", "country"):
        space = known.prefixes[prefix]
        found |= {id: spelling for spelling, id in known.spellings.items() if spelling.startswith(space)}
    return found


@dataclass(frozen=True, slots=True)
class Events(Terms):
    """Named events. Whether one is over or yet to come is not known, so only `eq` and its like have an answer."""

    operators: tuple[str, ...] = (*EQUAL, *ORDERED)

    def order(self, left: Plain, right: Plain, world: World) -> int | None:
        return None


@dataclass(frozen=True, slots=True)
class Numbers(Kind):
    operators: tuple[str, ...] = (*EQUAL, *ORDERED)
    datatypes: frozenset[str] = NUMBERS | {
        XSD + name
        for name in (
            "short", "byte", "unsignedInt", "unsignedLong", "unsignedShort", "unsignedByte", "nonPositiveInteger",
            "negativeInteger",
        )
    } | {XSD + "string"}  # fmt: skip

    def parse(self, text: str, datatype: str | None) -> Plain:
        try:
            number = Decimal(text)
        except InvalidOperation as error:
            raise ValueError("is not a number") from error
        if not number.is_finite() or number.adjusted() > 30:
            raise ValueError("is not a number that can be compared")
        return number

    def order(self, left: Plain, right: Plain, world: World) -> int | None:
        if not isinstance(left, Decimal | int) or not isinstance(right, Decimal | int):
            return None
        return (left > right) - (left < right)


@dataclass(frozen=True, slots=True)
class Instants(Kind):
    """Instants with a zone; a date is the start of its day in the connector's declared time zone."""

    operators: tuple[str, ...] = (*EQUAL, *ORDERED)
    datatypes: frozenset[str] = frozenset({XSD + name for name in ("dateTime", "dateTimeStamp", "date", "string")})

    def parse(self, text: str, datatype: str | None) -> Plain:
        zoned = re.fullmatch(r"(\d{4}-\d\d-\d\d)(Z|[+-]\d\d:\d\d)?", text, re.ASCII)
        if zoned is None:
            return _instant(text)
        if zoned[2] is not None:
            return _instant(f"{zoned[1]}T00:00:00{zoned[2]}")
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise ValueError("is not a possible date") from error

    def order(self, left: Plain, right: Plain, world: World) -> int | None:
        one, other = self._start(left, world), self._start(right, world)
        return None if one is None or other is None else (one > other) - (one < other)

    def same(self, left: Plain, right: Plain, world: World) -> bool | None:
        found = self.order(left, right, world)
        return None if found is None else found == 0

    def _start(self, value: Plain, world: World) -> datetime | None:
        if isinstance(value, datetime):
            return value
        return datetime.combine(value, time(), world.zone) if isinstance(value, date) else None


def _instant(text: str) -> datetime:
    value = Instant().parse(text)
    assert isinstance(value, datetime)  # what Instant reads
    return value


@dataclass(frozen=True, slots=True)
class Durations(Kind):
    """xsd:duration, a day being 24 hours. Months against days are comparable only where every month agrees."""

    operators: tuple[str, ...] = (*EQUAL, *ORDERED)
    datatypes: frozenset[str] = frozenset(
        {XSD + name for name in ("duration", "dayTimeDuration", "yearMonthDuration", "string")}
    )

    def parse(self, text: str, datatype: str | None) -> Plain:
        found = re.fullmatch(
            r"(-)?P(?=[\dT])(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,8})D)?"
            r"(?:T(?=\d)(?:(\d{1,8})H)?(?:(\d{1,8})M)?(?:(\d{1,10}(?:\.\d{1,6})?)S)?)?",
            text, re.ASCII,
        )  # fmt: skip
        if found is None:
            raise ValueError("is not a duration; write it like P30D or PT12H")
        years, months, days, hours, minutes = (int(part or 0) for part in found.groups()[1:6])
        sign = -1 if found[1] else 1
        rest = timedelta(days=days, hours=hours, minutes=minutes, seconds=float(found[7] or 0))
        return Duration(sign * (12 * years + months), sign * rest)

    def order(self, left: Plain, right: Plain, world: World) -> int | None:
        if not isinstance(left, Duration) or not isinstance(right, Duration):
            return None
        if left.months == right.months:
            return (left.rest > right.rest) - (left.rest < right.rest)
        signs = {self._compared(left, right, start) for start in STARTS}
        return signs.pop() if len(signs) == 1 else None

    def same(self, left: Plain, right: Plain, world: World) -> bool | None:
        found = self.order(left, right, world)
        return None if found is None else found == 0

    def _compared(self, left: Duration, right: Duration, start: tuple[int, int]) -> int:
        difference = _days(start, left.months) - _days(start, right.months)
        gap = timedelta(days=difference) + left.rest - right.rest
        return (gap > timedelta(0)) - (gap < timedelta(0))


# XML Schema 1.1, part 2, 3.3.6: two durations are in order where they are from each of these months on.
STARTS = ((1696, 9), (1697, 2), (1903, 3), (1903, 7))


def _days(start: tuple[int, int], months: int) -> int:
    """Return how many days `months` are, counted from the first of the month `start`; 400 years always have as many."""
    year, month = divmod(start[0] * 12 + start[1] - 1 + months, 12)
    cycles, year = divmod(year, 400)
    return (
        date(2000 + year, month + 1, 1).toordinal()
        - date(2000 + start[0] % 400, start[1], 1).toordinal()
        + (cycles - start[0] // 400) * 146_097
    )


@dataclass(frozen=True, slots=True)
class Intervals(Durations):
    operators: tuple[str, ...] = ("eq",)


@dataclass(frozen=True, slots=True)
class Levels(Kind):
    """Words in a declared order, lowest first."""

    operators: tuple[str, ...] = (*EQUAL, *ORDERED)
    ranks: tuple[str, ...] = ()

    def parse(self, text: str, datatype: str | None) -> Plain:
        word = expand_curie(text)
        word = word if ":" in word else HDC + word
        if word not in self.ranks:
            raise ValueError(f"is none of {', '.join(rank.replace(HDC, 'hdc:') for rank in self.ranks)}")
        return word

    def order(self, left: Plain, right: Plain, world: World) -> int | None:
        return self.ranks.index(str(left)) - self.ranks.index(str(right))


PURPOSES = Terms(vocabulary=purposes)
KINDS: Mapping[str, Kind] = {
    "text": Kind(), "term": Terms(), "party": Terms(), "purpose": PURPOSES, "place": Places(), "event": Events(),
    "number": Numbers(), "instant": Instants(), "duration": Durations(), "interval": Intervals(),
}  # fmt: skip

ORDERS: Mapping[str, Callable[[int], bool]] = {
    "lt": lambda sign: sign < 0,
    "lteq": lambda sign: sign <= 0,
    "gt": lambda sign: sign > 0,
    "gteq": lambda sign: sign >= 0,
}


def check(kind: Kind, operator: str, rights: Sequence[Plain]) -> Check:
    """Return what decides the values of a left operand."""
    right = rights[0]
    if operator in ("isA", "isPartOf") or (operator == "lteq" and isinstance(kind, Places)):
        return lambda lefts, world: _some(kind.below(left, right, world) for left in lefts)
    if operator == "hasPart":
        return lambda lefts, world: _some(kind.below(right, left, world) for left in lefts)
    if operator == "isAnyOf":
        return lambda lefts, world: _some(kind.same(left, one, world) for left in lefts for one in rights)
    if operator == "isNoneOf":
        return lambda lefts, world: _not(_some(kind.same(left, one, world) for left in lefts for one in rights))
    if operator == "isAllOf":
        return lambda lefts, world: _every(_some(kind.same(left, one, world) for left in lefts) for one in rights)
    if operator in ("eq", "neq"):
        wanted = operator == "eq"

        def equal(lefts: Sequence[Plain], world: World) -> bool | None:
            found = kind.same(lefts[0], right, world) if len(lefts) == 1 else None
            return None if found is None else found is wanted

        return equal
    holds = ORDERS[operator]

    def ordered(lefts: Sequence[Plain], world: World) -> bool | None:
        sign = kind.order(lefts[0], right, world) if len(lefts) == 1 else None
        return None if sign is None else holds(sign)

    return ordered


def _some(truths: object) -> bool | None:
    found = set(truths)  # type: ignore[call-overload]
    return True if True in found else None if None in found else False


def _every(truths: object) -> bool | None:
    found = set(truths)  # type: ignore[call-overload]
    return False if False in found else None if None in found else True


def _not(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def shown(value: Plain) -> str:
    """Return a value as people and JSON read it."""
    if isinstance(value, datetime):
        text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
        return (text.rstrip("0") if value.microsecond else text) + "Z"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
