"""LIKE means the same as the textbook's recursion, in a time that a hostile pattern cannot stretch."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from connector.dsp.criteria import matches
from connector.dsp.offering import Criterion

TEXT = st.text("ab%_.*\n", max_size=8)


def like(text: str, pattern: str) -> bool:
    """Say by definition whether `text` is LIKE `pattern`: `%` any characters, `_` exactly one."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(text[i:], pattern[1:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and like(text[1:], pattern[1:])


@given(text=TEXT, pattern=TEXT)
def test_like_is_what_its_definition_says(text: str, pattern: str) -> None:
    assert matches(lambda _: text, Criterion("x", "like", pattern)) is like(text, pattern)


def test_a_hostile_pattern_takes_no_time() -> None:
    began = time.process_time()
    assert not matches(lambda _: "a" * 5000, Criterion("x", "like", "%a" * 100 + "%b"))
    assert time.process_time() - began < 1
