"""Criteria and queries on records: what EDC calls Criterion and QuerySpec, evaluated in one place.

Used by asset selectors, by the filter of a catalog request (DSP 2025-1, 6.2.1) and by the management API; a store that
evaluates them in SQL gives the same answers. A value that is not there satisfies nothing, not even `!=`, as NULL in SQL.
Texts compare with texts and numbers with numbers; anything else is not comparable and satisfies nothing but `!=`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import Any

from connector.dsp.offering import EDC, Asset, Criterion
from connector.errors import Malformed
from connector.odrl.model import Json

Lookup = Callable[[str], Json]  # left operand -> the record's value, None where it has none
Predicate = Callable[[Lookup], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """A QuerySpec. `limit` None is no limit. Field names are those of the record (dotted paths into nested values)."""

    filters: tuple[Criterion, ...] = ()
    sort: str | None = None
    descending: bool = False
    offset: int = 0
    limit: int | None = 50


def matches(lookup: Lookup, criterion: Criterion) -> bool:
    """Return whether a record satisfies `criterion`. Raises Malformed as `predicate` does."""
    return predicate(criterion)(lookup)


def check(criterion: Criterion) -> None:
    """Raise Malformed where `criterion` cannot be evaluated on any record."""
    predicate(criterion)


def predicate(criterion: Criterion) -> Predicate:
    """Return what says whether a record satisfies `criterion`.

    Raises:
        Malformed: the operator is not known, or takes another type of right operand.
    """
    test, left, right = _test(criterion), criterion.left, plain(criterion.right)

    def satisfied(lookup: Lookup) -> bool:
        value = lookup(left)
        return value is not None and test(plain(value), right)

    return satisfied


def plain(value: Json) -> Json:
    """Return a JSON-LD value object's value and a reference's id, in lists too; anything else as it is."""
    if isinstance(value, Mapping):
        return plain(value["@value"]) if "@value" in value else value.get("@id", value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return value


def asset_lookup(asset: Asset, *, private: bool = False) -> Lookup:
    """Return the lookup of an asset's properties by full IRI, quoted or not, or its `id`.

    Private properties count only where `private` says that the question comes from this side's operator.
    """

    def lookup(left: str) -> Json:
        name = left[1:-1] if len(left) > 1 and left[0] == left[-1] == "'" else left
        if name in ("id", "@id", EDC + "id"):
            return asset.id
        value = asset.properties.get(name)
        return asset.private_properties.get(name) if value is None and private else value

    return lookup


def order(value: Json) -> tuple[int, float, str]:
    """Return a sort key under which any two values compare: none first, then numbers, then texts."""
    bare = plain(value)
    if isinstance(bare, bool) or bare is None:
        return (0, float(bare or 0), "")
    return (1, bare, "") if isinstance(bare, int | float) else (2, 0.0, str(bare))


# --- operators -------------------------------------------------------------------------------------------------------

Test = Callable[[Any, Any], bool]


def _equal(left: Json, right: Json) -> bool:
    return isinstance(left, bool) is isinstance(right, bool) and left == right


def _in(left: Json, right: Sequence[Json]) -> bool:
    return any(_equal(left, one) for one in right)


def _contains(left: Json, right: Json) -> bool:
    return isinstance(left, list) and _in(right, left)


def _ordered(compare: Callable[[Any, Any], bool]) -> Test:
    def test(left: Json, right: Json) -> bool:
        for kind in (str, (int, float)):
            if isinstance(left, kind) and isinstance(right, kind) and not isinstance(left, bool):
                return compare(left, right)
        return False

    return test


def _like(flags: int) -> Test:
    return lambda left, right: isinstance(left, str) and _pattern(right, flags).fullmatch(left) is not None


@lru_cache(maxsize=256)
def _pattern(like: str, flags: int) -> re.Pattern[str]:
    """Return LIKE as an expression that never goes back: a hostile pattern must not take more time than its text is long.

    What stands between two `%` has a fixed length, so its first place is as good as any later one: atomic groups.
    """
    first, *rest = ("".join("." if char == "_" else re.escape(char) for char in part) for part in like.split("%"))
    between = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(first + between + (".*" + rest[-1] if rest else ""), flags | re.DOTALL)


OPERATORS: Mapping[str, Test] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "in": _in,
    "not in": lambda left, right: not _in(left, right),
    "like": _like(0),
    "ilike": _like(re.IGNORECASE),
    "contains": _contains,
    "<": _ordered(lt),
    "<=": _ordered(le),
    ">": _ordered(gt),
    ">=": _ordered(ge),
}


def _test(criterion: Criterion) -> Test:
    test = OPERATORS.get(criterion.operator)
    if test is None:
        raise Malformed(f"operator {criterion.operator!r} is not known; use one of {', '.join(OPERATORS)}")
    if criterion.operator in ("in", "not in") and (
        isinstance(criterion.right, str) or not isinstance(criterion.right, Sequence)
    ):
        raise Malformed(f"operator {criterion.operator!r} needs a list as operandRight")
    if criterion.operator in ("like", "ilike") and not isinstance(plain(criterion.right), str):
        raise Malformed(f"operator {criterion.operator!r} needs a text as operandRight")
    return test
