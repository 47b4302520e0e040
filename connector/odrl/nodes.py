"""JSON objects as a policy's reader meets them: keys in any spelling, wrapped values, and the place of everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from connector.errors import Problem
from connector.odrl import terms
from connector.odrl.model import Json, Place

Path: TypeAlias = tuple[str | int, ...]
Places: TypeAlias = Mapping[Path, tuple[int, int]]  # path in the document -> (line, column) of the value, from 1

MAX_NODES = 10_000  # rules, duties, actions with refinement and constraints of one policy

ANYWHERE = frozenset({"@context", "@type", "@id", "uid", "type"})
# Keys that are not ODRL's own, in each spelling.
ALSO = {
    **dict.fromkeys(("rdf:value", terms.RDF + "value"), "value"),
    **dict.fromkeys(("hdc:since", terms.HDC + "since"), "since"),
}
# Words of ODRL that are understood and refused here, each with what to do.
REFUSED = {
    "refinement": "stands on an action, an asset or a party; write it as a constraint of the rule",
    "relation": "is not supported; write target",
}


@dataclass(slots=True)
class Node:
    """One JSON object with its keys as bare terms: term -> value and path."""

    path: Path
    fields: dict[str, tuple[Json, Path]]

    def __contains__(self, term: str) -> bool:
        return term in self.fields

    def get(self, term: str) -> tuple[Json, Path]:
        return self.fields.get(term, (None, self.path))


@dataclass(slots=True)
class Nodes:
    """Reads objects, lists and texts, and notes what is wrong with them."""

    file: str | None
    places: Places
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def node(self, value: Json, path: Path, known: frozenset[str]) -> Node:
        node = Node(path, {})
        if not isinstance(value, Mapping):
            self.problem(path, "odrl-shape", f"an object is expected here, not {shown(value)}")
            return node
        for key, item in value.items():
            term, at = ALSO.get(key) or terms.bare(key), (*path, key)
            if term in node:
                self.problem(at, "odrl-shape", f'"{term}" is given twice')
            elif term in known or term in ANYWHERE:
                node.fields[term] = (item, at)
            else:
                self.problem(at, "odrl-term", f'"{key}" ' + self.unknown(term, known))
        return node

    def unknown(self, term: str, known: frozenset[str]) -> str:
        if term in REFUSED:
            return REFUSED[term]
        if "permission" in known and term == "constraint":
            return "stands on a rule, not on the policy; move it into each permission and prohibition"
        return "is not known here" + terms.nearest(term, known)

    def items(self, value: Json, path: Path) -> Iterable[tuple[Json, Path]]:
        while isinstance(value, Mapping) and (wrapper := next(iter({"@list", "@set"} & value.keys()), None)):
            value, path = value[wrapper], (*path, wrapper)
        if value is None:
            return []
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [(item, (*path, index)) for index, item in enumerate(value)]
        return [(value, path)]

    def texts(self, value: Json, path: Path) -> list[str]:
        found = []
        for item, at in self.items(value, path):
            word = item.get("@id", item.get("@value", item.get("uid"))) if isinstance(item, Mapping) else item
            if isinstance(word, str) and word:
                found.append(word)
            else:
                self.problem(at, "odrl-shape", f"a name is expected here, not {shown(item)}")
        return found

    def text(self, value: Json, path: Path) -> str | None:
        found = self.texts(value, path)
        if len(found) > 1:
            self.problem(path, "odrl-shape", "one value is expected here, not several")
        return found[0] if found else None

    def count(self, path: Path) -> bool:
        """Count a node; past the limit nothing more is read, and that is said once."""
        self.nodes += 1
        if self.nodes == MAX_NODES + 1:
            self.problem(path, "odrl-size", f"the policy has more than {MAX_NODES} rules and constraints")
        return self.nodes <= MAX_NODES

    def place(self, path: Path) -> Place | None:
        while path and path not in self.places:
            path = path[:-1]
        at = self.places.get(path)
        return Place(self.file, *at) if self.file is not None and at is not None else None

    def problem(self, path: Path, code: str, message: str) -> None:
        place = self.place(path)
        line, column = (place.line, place.column) if place else (None, None)
        self.problems.append(Problem(code, message, self.file, line, column, pointer(path)))


def pointer(path: Path) -> str:
    """Return a path in words, like `permission[0].constraint`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def is_list(value: Json) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def shown(value: Json) -> str:
    return "a list" if is_list(value) else "an object" if isinstance(value, Mapping) else repr(value)
