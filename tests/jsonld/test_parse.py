"""Hostile text: whatever comes in as a body, the answer is Malformed or TooLarge, soon."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import Malformed, TooLarge
from connector.jsonld.parse import MAX_DEPTH, parse

REFUSED = {
    "nothing": b"",
    "white space": b" \n",
    "half an object": b'{"a":',
    "two objects": b"{}{}",
    "an array": b"[{}]",
    "a string": b'"x"',
    "a number": b"5",
    "null": b"null",
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":1e999}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "bytes that are not UTF-8": b'{"a":"\xff"}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a name given twice": b'{"offer":1,"offer":2}',
    "a name given twice, once escaped, deep inside": b'{"a":[{"x":{"offer":1,"\\u006fffer":2}}]}',
    "an endless integer": b'{"a":' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_a_body_that_is_not_one_clear_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body)


@pytest.mark.parametrize("opening, closing", [(b'{"a":', b"}"), (b"[", b"]")], ids=["objects", "arrays"])
def test_nesting_is_taken_to_its_limit_and_no_deeper(opening: bytes, closing: bytes) -> None:
    def nested(depth: int) -> bytes:
        return b'{"x":' + opening * depth + b"1" + closing * depth + b"}"

    parse(nested(MAX_DEPTH - 1))
    for depth in (MAX_DEPTH, 500):
        with pytest.raises(TooLarge, match="deeper"):
            parse(nested(depth))
    with pytest.raises((Malformed, TooLarge)):
        parse(nested(100_000))


def test_a_body_with_too_many_values_is_too_large() -> None:
    with pytest.raises(TooLarge, match="values"):
        parse(b'{"a":[' + b"1," * 60_000 + b"1]}")


def test_many_brackets_inside_a_text_are_no_nesting() -> None:
    assert parse(b'{"a":"' + b"[{" * 1000 + b'"}') == {"a": "[{" * 1000}


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with suppress(Malformed, TooLarge):
        assert isinstance(parse(body), dict)
