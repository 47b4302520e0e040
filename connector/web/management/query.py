"""QuerySpec: reading it, and answering it.

A query speaks of records as the API shows them, so every shown field can be filtered and sorted by. What a store can do
exactly (equality of stored text) is done there; only when something is left does the rest happen here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from connector.dsp import criteria
from connector.dsp.offering import Criterion
from connector.errors import Malformed
from connector.odrl.model import Json
from connector.ports import Query, Table
from connector.web.management.fields import Fields
from connector.web.management.jsonld import Node, short

R = TypeVar("R")
ORDERS = ("ASC", "DESC")
MOST = 100  # criteria of one query


# --- reading -------------------------------------------------------------------------------------------------------


def read(fields: Fields) -> Query:
    """Return the query. Violations are noted in `fields`."""
    offset = fields.integer("offset", 0, 0, "greater than or equal to zero")
    limit = fields.integer("limit", 50, 1, "greater than zero")
    sort = fields.text("sortField")
    order = fields.text("sortOrder") or "ASC"
    if order.upper() not in ORDERS:
        fields.wrong("sortOrder", f"optional value '{fields.at('sortOrder')}' must be one of ASC, DESC", order)
    filters = tuple(criterion(item) for item in fields.objects("filterExpression"))
    if len(filters) > MOST:
        fields.wrong("filterExpression", f"optional value '{fields.at('filterExpression')}' has more than {MOST} criteria")
    return Query(filters, sort and unquoted(sort), order.upper() == "DESC", offset, limit)


def criterion(fields: Fields) -> Criterion:
    left = unquoted(fields.mandatory("operandLeft"))
    operator = fields.mandatory("operator").strip().lower()
    fields.raw("operandRight")
    right = fields.node.get("operandRight")
    if right is None:
        fields.wrong("operandRight", f"mandatory value '{fields.at('operandRight')}' is missing or it is blank")
    elif operator in ("in", "not in") and not isinstance(right, list):
        right = [right]  # JSON-LD writes an array of one as its element
    found = Criterion(left, operator, right)
    try:
        if left and operator and right is not None:
            criteria.predicate(found)
    except Malformed as error:
        fields.wrong("operator", str(error), operator)
    return found


def unquoted(path: str) -> str:
    return path[1:-1] if len(path) > 1 and path[0] == path[-1] == "'" else path


def wire(query: Query, given: Collection[str]) -> Node:
    """Return the query as a peer is sent it: with an offset and a limit only where they were `given`."""
    spec: Node = {"@type": "QuerySpec"}
    pages: Node = {"offset": query.offset, "limit": query.limit}
    spec |= {name: value for name, value in pages.items() if name in given}
    if query.sort:
        spec |= {"sortField": query.sort, "sortOrder": ORDERS[query.descending]}
    return spec | {"filterExpression": [written(c) for c in query.filters]}


def written(c: Criterion) -> Node:
    return {"@type": "Criterion", "operandLeft": c.left, "operator": c.operator, "operandRight": c.right}


# --- answering -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Columns:
    """What a table can decide itself.

    `text` maps shown names to the record's, `times` those that are epoch milliseconds, `sort` those that also sort alike.
    `numbers` are EDC's numbers of states.
    `newest` is the record's field that orders the answer when the query does not.
    """

    text: Mapping[str, str]
    times: Mapping[str, str] = field(default_factory=dict)
    sort: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    newest: str | None = None


def answer(table: Table[R], query: Query, columns: Columns, show: Callable[[R], Node]) -> list[Node]:
    """Return the page of `table` that `query` asks for, as shown. To be run in a store's transaction."""
    pushed: list[Criterion] = []
    rest: list[Criterion] = []
    for c in (named(c, columns.numbers) for c in query.filters):
        column = _stored(c, columns)
        rest.append(c) if column is None else pushed.append(replace(c, left=column))
    sort = columns.sort.get(name_of(query.sort)) if query.sort else columns.newest
    descending = query.descending if query.sort else True
    stored = Query(tuple(pushed), sort, descending, query.offset, query.limit)
    if not rest and (sort or not query.sort):
        return [show(record) for record in table.query(stored)]
    records = table.query(replace(stored, offset=0, limit=None))
    return select(map(show, records), replace(query, filters=tuple(rest)))


def _stored(c: Criterion, columns: Columns) -> str | None:
    """Return the record's field if the table decides `c` exactly as it would be decided on what is shown."""
    values = c.right if isinstance(c.right, list) else [c.right]
    if c.operator in ("=", "in") and all(isinstance(value, str) for value in values):
        return columns.text.get(c.left)
    compares = c.operator in ("=", "<", "<=", ">", ">=") and type(c.right) is int
    return columns.times.get(c.left) if compares else None


def name_of(path: str) -> str:
    """Return the name under which an answer shows what a query calls `path`."""
    name = short(path)
    return "@id" if name == "id" else name


def named(c: Criterion, numbers: Mapping[str, int]) -> Criterion:
    """Return the criterion with a short left operand; for states, EDC's numbers become names."""
    left = name_of(c.left)
    if left != "state" or not numbers:
        return replace(c, left=left)
    values = c.right if isinstance(c.right, list) else [c.right]
    if not any(isinstance(value, (int, float)) for value in values):
        return replace(c, left=left)
    if c.operator in ("<", "<=", ">", ">="):
        test = criteria.predicate(c)
        return Criterion(left, "in", [name for name, number in numbers.items() if test(always(number))])
    names = {number: name for name, number in numbers.items()}
    found: list[Json] = [names.get(int(v), str(v)) if isinstance(v, (int, float)) else v for v in values]
    return Criterion(left, c.operator, found if isinstance(c.right, list) else found[0])


def select(nodes: Iterable[Node], query: Query) -> list[Node]:
    """Return the page of shown nodes that `query` asks for."""
    tests = [criteria.predicate(named(c, {})) for c in query.filters]
    found = [node for node in nodes if all(test(partial(at, node)) for test in tests)]
    if query.sort:
        path = name_of(query.sort)
        found.sort(key=lambda node: criteria.order(at(node, path)), reverse=query.descending)
    return paged(found, query)


def paged(found: Sequence[R], query: Query) -> list[R]:
    end = None if query.limit is None else query.offset + query.limit
    return list(found[query.offset : end])


def at(value: Json, path: str) -> Json:
    """Return what a dotted path leads to; a path through an array leads to the array of what it leads to."""
    if isinstance(value, (list, tuple)):
        return [found for item in value if (found := at(item, path)) is not None]
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    head, dot, tail = path.partition(".")
    return at(value[head], tail) if dot and head in value else None


def always(value: Json) -> criteria.Lookup:
    return lambda _: value
