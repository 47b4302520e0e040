"""Values of right operands: their types, how they are read, and how a left value is compared with them.

Operators follow odrl.md 29 and comparing is by value (30): `isA` and `isPartOf` know the hierarchy, all others do not.
"""

from __future__ import annotations

import operator as compare
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeAlias, cast

from connector.odrl.model import Constraint, Json
from connector.odrl.purposes import Vocabulary
from connector.odrl.terms import XSD, nearest

Value: TypeAlias = str | int | datetime
Test: TypeAlias = Callable[[Value], bool | None]  # None: not comparable

ORDER: Mapping[str, Callable[[Value, Value], bool]] = {
    "eq": compare.eq,
    "neq": compare.ne,
    "lt": cast("Callable[[Value, Value], bool]", compare.lt),
    "lteq": cast("Callable[[Value, Value], bool]", compare.le),
    "gt": cast("Callable[[Value, Value], bool]", compare.gt),
    "gteq": cast("Callable[[Value, Value], bool]", compare.ge),
}
SETS = frozenset({"isAnyOf", "isAllOf", "isNoneOf"})
NUMBERS = frozenset(
    XSD + name for name in ("integer", "decimal", "double", "float", "int", "long", "nonNegativeInteger", "positiveInteger")
)


class Unread(ValueError):
    """What is wrong with a value. Its parts become words only when they are read: to look through a vocabulary for what was
    meant takes a millisecond, and a hostile policy has thousands of mistakes."""

    def __str__(self) -> str:
        return "".join(str(part()) if callable(part) else str(part) for part in self.args)


@dataclass(frozen=True, slots=True)
class Text:
    """Strings compared as they are, such as participant ids."""

    datatypes = frozenset({XSD + "string", XSD + "anyURI"})

    def parse(self, text: str) -> Value:
        if not text:
            raise ValueError("is empty")
        return text

    def show(self, value: Value) -> str:
        return str(value)

    def below(self, right: Value) -> Test:
        return lambda left: left == right


@dataclass(frozen=True, slots=True)
class Term(Text):
    """Terms of a vocabulary, compared by id."""

    vocabulary: Callable[[], Vocabulary]

    def parse(self, text: str) -> Value:
        vocabulary = self.vocabulary()
        if vocabulary.mistake(text):
            raise Unread(vocabulary.lack, lambda: _similar(vocabulary, vocabulary.short(text)))
        return vocabulary.resolve(text)

    def show(self, value: Value) -> str:
        return self.vocabulary().short(str(value))

    def below(self, right: Value) -> Test:
        vocabulary = self.vocabulary()
        return lambda left: vocabulary.is_below(cast("str", left), cast("str", right))


def _similar(vocabulary: Vocabulary, word: str) -> str:
    """Return the term that was probably meant: the same name under its right prefix, else the nearest."""
    names = list(vocabulary.names.values())
    same = [name for name in names if name.partition(":")[2] == word.rpartition(":")[2]]
    return nearest(same[0] if same else word, names)


@dataclass(frozen=True, slots=True)
class Instant(Text):
    """Instants with a zone, compared by value (odrl.md 30)."""

    datatypes = frozenset({XSD + "dateTime", XSD + "dateTimeStamp"})
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)

    def parse(self, text: str) -> Value:
        found = self.form.fullmatch(text)
        if found is None:
            raise ValueError("is not an instant; write it like 2026-12-31T23:00:00Z")
        if found[2] is None:
            raise ValueError(f"has no time zone; write {text}Z for UTC, or the offset, like {text}+01:00")
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError("is not a possible instant") from error

    def show(self, value: Value) -> str:
        return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


@dataclass(frozen=True, slots=True)
class Count(Text):
    """Whole numbers from 0; `5.0` is 5."""

    datatypes = NUMBERS

    def parse(self, text: str) -> Value:
        try:
            number = Decimal(text)
        except InvalidOperation as error:
            raise ValueError("is not a number") from error
        if not number.is_finite() or number < 0 or number.adjusted() > 15 or number != int(number):
            raise ValueError("is not a whole number of uses")
        return int(number)


# What a time constraint says of all instants from now on: can it hold at one of them, does it hold at every one.
STILL_POSSIBLE: Mapping[str, bool | Callable[[Value, Value], bool]] = {
    **{name: ORDER[name] for name in ("lt", "lteq")},
    **dict.fromkeys(("gt", "gteq", "neq"), True),
    "eq": ORDER["lteq"],
}
FOR_EVER: Mapping[str, bool | Callable[[Value, Value], bool]] = {
    **{name: ORDER[name] for name in ("gt", "gteq")},
    **dict.fromkeys(("lt", "lteq", "eq"), False),
    "neq": ORDER["gt"],
}


def comparison(type: Text, operator: str, rights: list[Value]) -> Test:
    """Return what compares a left value with `rights`."""
    if operator in ("isA", "isPartOf"):
        return type.below(rights[0])
    if operator == "isAnyOf":
        return frozenset(rights).__contains__
    if operator == "isNoneOf":
        given = frozenset(rights)
        return lambda left: left not in given
    how, right = ORDER[operator], rights[0]
    return lambda left: how(left, right)


def literals(constraint: Constraint) -> list[tuple[str, str | None]]:
    """Return the right operand as texts with their data types."""
    right = constraint.right
    items = right if isinstance(right, Sequence) and not isinstance(right, str) else [right]
    return [_literal(item, constraint.datatype) for item in items]


def _literal(item: Json, datatype: str | None) -> tuple[str, str | None]:
    if isinstance(item, Mapping):
        if "@id" in item:
            return str(item["@id"]), None
        given = item.get("@type")
        return str(item.get("@value")), str(given) if given is not None else datatype
    return str(item), datatype
