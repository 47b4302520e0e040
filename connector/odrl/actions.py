"""Which action is part of which, and when a duty is due: the facts of `vocab/terms/actions.json` (odrl.md 12, 19)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from connector.assets import shipped
from connector.odrl.model import Link
from connector.odrl.terms import ACTIONS, expand


class Due(StrEnum):
    """When a duty of a permission has to be done: before the use, in the same step, or some time after it."""

    BEFORE = "before"
    WITH = "with"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Actions:
    """`above` has for each action those it is included in, transitively and itself first."""

    above: Mapping[str, tuple[str, ...]]
    same: Mapping[str, str]
    due: Mapping[str, Due]

    def resolve(self, word: str) -> str:
        """Return the action that `word` means, whatever its spelling; a deprecated one as its exact match."""
        iri = expand(word, ACTIONS)
        return self.same.get(iri, iri)

    def wider(self, action: str, included: Iterable[Link] = ()) -> frozenset[str]:
        """Return the actions whose rules speak of `action` too; `included` is what a policy itself hangs where."""
        found, todo = {action}, [action]
        own: dict[str, list[str]] = {}
        for link in included:
            own.setdefault(link.part, []).append(link.whole)
        while todo:
            one = todo.pop()
            for above in (*self.above.get(one, ()), *own.get(one, ())):
                if above not in found:
                    found.add(above)
                    todo.append(above)
        return frozenset(found)


@cache
def actions() -> Actions:
    facts = json.loads((shipped("vocab") / "terms" / "actions.json").read_text("utf-8"))

    def iri(curie: str) -> str:
        prefix, _, name = curie.partition(":")
        return str(facts["prefixes"][prefix] + name)

    parent = {iri(narrow): iri(wide) for wide, below in facts["included_in"].items() for narrow in below}
    above: dict[str, tuple[str, ...]] = {}
    for action in {*parent, *parent.values(), *map(iri, facts["alone"])}:
        chain = [action]
        while chain[-1] in parent:
            chain.append(parent[chain[-1]])
        above[action] = tuple(chain)
    same = {iri(old): iri(new) for old, new in facts["exact_match"].items()}
    due = {iri(name): Due(when) for when, names in facts["due"].items() for name in names}
    return Actions(above, same, due)
