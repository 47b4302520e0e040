"""Policies written to keep us busy: a partner's offer of a megabyte is read, compared and refused soon."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from connector.odrl.canonical import canonical
from connector.odrl.model import Json
from connector.odrl.read import policy


def offer(**rule: Json) -> dict[str, Json]:
    return {"@type": "Offer", "@id": "urn:o", "target": "ds", "permission": [{"action": "use", **rule}]}


def constraints(count: int, right: Callable[[int], Json], left: str = "purpose") -> list[Json]:
    return [{"leftOperand": left, "operator": "eq", "rightOperand": right(n)} for n in range(count)]


HOSTILE = {
    "actions for assignees": offer(action=["use"] * 20_000, assignee=[f"urn:{n}" for n in range(20_000)]),
    "purposes like those we know": offer(constraint=constraints(9_000, lambda n: f"dpv:Scientific{n}")),
    "operands like those we know": offer(constraint=constraints(9_000, str, left="purpos")),
    "long words": offer(constraint=constraints(100, lambda n: "dpv:" + "Scientific" * 900)),
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_policy_is_read_and_compared_soon_and_refused(document: Json) -> None:
    began = time.process_time()
    read = policy(document)
    canonical(read)
    assert time.process_time() - began < 4  # well below a second here; unbounded it was a minute, or all of the memory
    assert read.problems
    assert len(read.rules) <= 10_001
