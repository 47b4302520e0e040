"""A Query in SQL.

Equality on a column of texts and ranges of instants are left to the database and its indices. Every other condition is
decided by `dsp.criteria` itself, as a function that SQLite calls with the record, so that a stored record and one in memory
can never answer differently, and no operand ever becomes SQL text. Instants compare as epoch milliseconds, as the
management API shows them; a text on the other side is read as ISO 8601.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec

from connector.dsp import criteria
from connector.dsp.offering import EDC, Criterion
from connector.errors import Malformed
from connector.odrl.model import Json
from connector.store.records import encode, to_micros

MAX_FILTERS = 100
MAX_VALUES = 1000
MAX_ROWS = 2**63 - 1
INSTANTS = frozenset({"created_at", "updated_at", "deadline", "signed_at"})
BAGS = {"assets": ("properties", "private_properties")}  # maps whose keys are operands by themselves
PATH = re.compile(r"(?:'[^']*'|[^.']+)(?:\.(?:'[^']*'|[^.']+))*")
QUOTED = re.compile(r"'([^']*)'")
KEY = re.compile(r"'([^']*)'|([^.']+)")

RANGES = {
    "<": "{column} < ?", "<=": "{column} < ?", ">": "{column} >= ?", ">=": "{column} >= ?",
    "=": "{column} >= ? AND {column} < ?",
}  # fmt: skip

Record = Mapping[str, Any]


class Sql(NamedTuple):
    text: str
    values: tuple[Any, ...] = ()


def install(connection: sqlite3.Connection) -> None:
    """Give `connection` the functions that `where` and `order` call."""
    connection.create_function("satisfies", 3, _satisfies, deterministic=True)
    connection.create_function("sort_key", 3, _sort_key, deterministic=True)


def where(table: str, columns: frozenset[str], filters: tuple[Criterion, ...]) -> Sql:
    """Return the condition for all of `filters`. Raises Malformed for an operator or operand that is not one."""
    if len(filters) > MAX_FILTERS:
        raise Malformed(f"a query has at most {MAX_FILTERS} filters")
    parts: list[Sql] = []
    rest: list[Criterion] = []
    for criterion in filters:
        criteria.predicate(criterion)
        keys(criterion.left)
        column = _column(criterion.left)
        indexed = _indexed(column, criterion) if column in columns else None
        parts.append(indexed) if indexed else rest.append(_with_instants(criterion))
    if rest:
        parts.append(Sql("satisfies(?, record, ?)", (table, encode([(c.left, c.operator, c.right) for c in rest]))))
    return Sql(" AND ".join(part.text for part in parts) or "1", tuple(value for part in parts for value in part.values))


def order(table: str, columns: frozenset[str], default: str, sort: str | None, *, descending: bool) -> Sql:
    """Return the terms of ORDER BY: `sort`, or the record's age, and the id between equals."""
    way = "DESC" if descending else "ASC"
    path = default if sort is None else sort
    keys(path)
    if (column := _column(path)) in columns:
        return Sql(f"{column} {way}, id {way}")
    return Sql(f"sort_key(?, record, ?) {way}, id {way}", (table, path))


def keys(path: str) -> tuple[str, ...]:
    """Return the keys of a dotted path; a key with dots stands in single quotes, a bare IRI is one key."""
    if ":" in path.partition("'")[0]:
        return (path,)
    if not PATH.fullmatch(path):
        raise Malformed(f"{path!r} is not an operand; write a field, a dotted path, or 'an IRI in single quotes'")
    return tuple(quoted or bare for quoted, bare in KEY.findall(path))


def _column(left: str) -> str:
    quoted = QUOTED.fullmatch(left)
    name = quoted[1] if quoted else left
    return "id" if name in ("@id", EDC + "id") else name


def _indexed(column: str, criterion: Criterion) -> Sql | None:
    """Return SQL for what an index can decide, None for the rest."""
    return _range(column, criterion) if column in INSTANTS else _equality(column, criterion)


def _range(column: str, criterion: Criterion) -> Sql | None:
    """Return SQL for a comparison with whole milliseconds, each of which holds a thousand stored microseconds."""
    right = _milliseconds(criteria.plain(criterion.right)) if criterion.operator in RANGES else None
    if isinstance(right, bool) or not isinstance(right, int) or abs(right) > MAX_ROWS // 2000:
        return None
    begin, end = right * 1000, (right + 1) * 1000
    values = {"<": (begin,), "<=": (end,), ">": (end,), ">=": (begin,), "=": (begin, end)}[criterion.operator]
    return Sql(RANGES[criterion.operator].format(column=column), values)


def _equality(column: str, criterion: Criterion) -> Sql | None:
    """Return SQL for `=` and `in` on a column of texts."""
    if criterion.operator not in ("=", "in"):
        return None
    right = criteria.plain(criterion.right)
    values = right if criterion.operator == "in" and isinstance(right, Sequence) else [right]
    if len(values) > MAX_VALUES or not all(isinstance(value, str) for value in values):
        return None
    return Sql(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def _with_instants(criterion: Criterion) -> Criterion:
    if criterion.left not in INSTANTS:
        return criterion
    right = criteria.plain(criterion.right)
    if isinstance(right, Sequence) and not isinstance(right, str):
        return replace(criterion, right=[_milliseconds(part) for part in right])
    return replace(criterion, right=_milliseconds(right))


def _milliseconds(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
        return to_micros(moment) // 1000
    except (ValueError, TypeError) as error:
        raise Malformed(f"{value!r} is not an instant with a time zone, such as 2025-01-31T12:00:00Z") from error


# --- called by SQLite --------------------------------------------------------------------------------------------------


def _satisfies(table: str, record: str, filters: str) -> bool:
    return _predicate(table, filters)(msgspec.json.decode(record))


def _sort_key(table: str, record: str, path: str) -> float | str | None:
    """Return what sorts in SQLite as `criteria.order` sorts in Python."""
    rank, number, text = criteria.order(_value(table, msgspec.json.decode(record), path))
    if rank == 0:
        return float("-inf") if number else None
    return float(number) if rank == 1 else text


@lru_cache(maxsize=256)
def _predicate(table: str, filters: str) -> Callable[[Record], bool]:
    predicates = [criteria.predicate(Criterion(*parts)) for parts in msgspec.json.decode(filters)]
    return lambda record: all(holds(partial(_value, table, record)) for holds in predicates)


def _value(table: str, record: Record, left: str) -> Json:
    if _column(left) == "id":
        return str(record["id"])
    path = _keys(left)
    if len(path) == 1 or path[0] not in record:
        for bag in BAGS.get(table, ()):
            if (found := _walk(record[bag], path)) is not None:
                return found
    found = _walk(record, path)
    return _milliseconds(found) if left in INSTANTS else found


_keys = lru_cache(maxsize=256)(keys)


def _walk(value: Any, path: tuple[str, ...]) -> Json:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value  # type: ignore[no-any-return]
