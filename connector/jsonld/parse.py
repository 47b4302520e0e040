"""Bytes to bounded JSON: whatever is hostile about the text itself ends here, as Malformed or TooLarge.

RFC 8259 leaves open what duplicate names and endless numbers mean; here they are errors, because two readers of one
contract must not see two contracts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from connector.errors import Malformed, TooLarge
from connector.odrl.model import Json

MAX_DEPTH = 64
MAX_NODES = 50_000


def parse(body: bytes, *, max_nodes: int = MAX_NODES) -> dict[str, Json]:
    """Return the JSON object in `body`, with its numbers, nesting and names within bounds.

    Raises:
        Malformed: not one JSON object in UTF-8 (NaN, infinities and lone surrogates included), or a name given twice.
        TooLarge: nested deeper than 64, or more values than `max_nodes`.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}" if body.strip() else "the body is empty") from None
    if not isinstance(document, dict):
        raise Malformed(
            f"the body must be a JSON object, not {'an array' if isinstance(document, list) else 'a bare value'}"
        )
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH or len(body) > max_nodes:
        _measure(document, max_nodes)
    # orjson lets the last of two equal names win and rounds long integers; the standard library can be asked.
    json.loads(body, object_pairs_hook=_no_name_twice, parse_int=_short_integer)
    return document


def walk(document: Any) -> Iterator[tuple[int, Any]]:
    """Yield every value with its depth, without recursion."""
    stack = [(1, document)]
    while stack:
        depth, value = stack.pop()
        yield depth, value
        if isinstance(value, dict):
            stack.extend((depth + 1, inner) for inner in value.values())
        elif isinstance(value, list):
            stack.extend((depth + 1, inner) for inner in value)


def _measure(document: Any, max_nodes: int) -> None:
    for count, (depth, value) in enumerate(walk(document), 1):
        if depth > MAX_DEPTH and isinstance(value, dict | list):
            raise TooLarge(f"the body is nested deeper than {MAX_DEPTH}")
        if count > max_nodes:
            raise TooLarge(f"the body has more than {max_nodes} values")


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"{twice[:100]!r} is given twice in one object")
    return found


def _short_integer(digits: str) -> int:
    if len(digits) > 19:
        raise Malformed("the body holds an integer of more than 19 digits")
    return int(digits)
