"""RDF as values: what a file states about each node, in the order and with the place in which it does.

Both syntaxes come to this form (`jsonld.rdf`); a policy's part of it becomes the JSON that `read.policy` takes, a request
and a state are read from it as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from connector.errors import InvalidFiles, Problem
from connector.odrl.model import Json
from connector.odrl.nodes import Path
from connector.odrl.terms import ODRL, RDF

POLICIES = tuple(ODRL + name for name in ("Set", "Offer", "Agreement", "Policy"))
FIRST, REST, NIL, TYPE = RDF + "first", RDF + "rest", RDF + "nil", RDF + "type"
MAX_DEPTH = 100
MAX_TREE = 100_000  # JSON nodes of one policy: a graph that refers to itself many times over would grow without end
# Statements *about* a policy, which say nothing about what it permits.
ANNOTATIONS = (
    "http://purl.org/dc/terms/", "http://purl.org/dc/elements/1.1/", "http://www.w3.org/2000/01/rdf-schema#",
    "http://www.w3.org/2004/02/skos/core#", "http://schema.org/", "https://schema.org/", "http://www.w3.org/ns/prov#",
    "http://xmlns.com/foaf/0.1/", "http://www.w3.org/2006/vcard/ns#", "http://www.w3.org/2002/07/owl#",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Resource:
    """An IRI, or a blank node with a name that begins with `_:`."""

    name: str

    @property
    def blank(self) -> bool:
        return self.name.startswith("_:")


@dataclass(frozen=True, slots=True)
class Literal:
    text: str
    datatype: str | None = None
    language: str | None = None


Term: TypeAlias = Resource | Literal
Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Graph:
    """`about[subject][predicate]` are the objects, `places` where each statement stands: line and column, from 1.

    The place of a node as a whole is under the empty predicate.
    """

    file: str
    about: Mapping[str, Mapping[str, tuple[Term, ...]]]
    places: Mapping[tuple[str, str], Place] = field(default_factory=dict)

    def objects(self, subject: str, predicate: str) -> tuple[Term, ...]:
        """Return the objects of a statement, those of an RDF list one by one."""
        found = self.about.get(subject, {}).get(predicate, ())
        return tuple(item for one in found for item in (self._items(one) if self.is_list(one) else (one,)))

    def names(self, subject: str, predicate: str) -> tuple[str, ...]:
        return tuple(one.name for one in self.objects(subject, predicate) if isinstance(one, Resource))

    def typed(self, *types: str) -> list[str]:
        """Return the nodes that have one of `types`, in the order of the file."""
        return [node for node in self.about if set(types) & set(self.names(node, TYPE))]

    def is_list(self, term: Term) -> bool:
        return isinstance(term, Resource) and (term.name == NIL or FIRST in self.about.get(term.name, {}))

    def _items(self, term: Term) -> Iterator[Term]:
        seen = set[str]()
        while isinstance(term, Resource) and term.name != NIL:
            node = self.about.get(term.name, {})
            if term.name in seen or len(node.get(FIRST, ())) != 1 or len(node.get(REST, ())) != 1:
                raise self.invalid("rdf-list", "this list has no end, or two", term.name, REST)
            seen.add(term.name)
            yield node[FIRST][0]
            term = node[REST][0]

    def place(self, subject: str, predicate: str = "") -> Place | None:
        return self.places.get((subject, predicate)) or self.places.get((subject, ""))

    def invalid(self, code: str, message: str, subject: str = "", predicate: str = "") -> InvalidFiles:
        """Return an error at the statement about `subject`."""
        line, column = self.place(subject, predicate) or (None, None)
        return InvalidFiles((Problem(code, message, self.file, line, column),))


@dataclass(slots=True)
class _Grower:
    graph: Graph
    places: dict[Path, Place] = field(default_factory=dict)
    nodes: int = 0

    def node(self, name: str, path: Path, above: tuple[str, ...]) -> Json:
        self.nodes += 1
        if len(above) > MAX_DEPTH:
            raise self.graph.invalid("odrl-size", f"the policy is nested deeper than {MAX_DEPTH} levels", name)
        if self.nodes > MAX_TREE:
            raise self.graph.invalid("odrl-size", f"the policy has more than {MAX_TREE} parts", above[0])
        place = self.graph.place(name) if above else self.graph.place(name, TYPE)
        if place is not None:
            self.places[path] = place
        uids = self.graph.names(name, ODRL + "uid") if name.startswith("_:") else (name,)
        found: dict[str, Json] = {"@id": uids[0]} if uids else {}
        for predicate, objects in self.graph.about.get(name, {}).items():
            if predicate == TYPE:
                if not above:
                    found["@type"] = [one.name for one in objects if isinstance(one, Resource) and one.name in POLICIES]
            elif predicate != ODRL + "uid" and not predicate.startswith(ANNOTATIONS):
                self.property(found, name, predicate, objects, path, (*above, name))
        return found

    def property(
        self,
        found: dict[str, Json],
        name: str,
        predicate: str,
        objects: tuple[Term, ...],
        path: Path,
        above: tuple[str, ...],
    ) -> None:
        at = (*path, predicate)
        if (place := self.graph.places.get((name, predicate))) is not None:
            self.places[at] = place
        items = self.graph.objects(name, predicate) if any(map(self.graph.is_list, objects)) else objects
        values = [self.term(one, (*at, index), above) for index, one in enumerate(items)]
        found[predicate] = values

    def term(self, term: Term, path: Path, above: tuple[str, ...]) -> Json:
        if isinstance(term, Literal):
            typed: dict[str, Json] = {} if term.datatype is None else {"@type": term.datatype}
            return {"@value": term.text, **typed}
        if term.name in above:
            if path[-2:-1] in ((ODRL + "inheritFrom",), (ODRL + "partOf",)):
                return {"@id": term.name}
            raise self.graph.invalid("odrl-shape", f"{term.name} is a part of itself", term.name)
        if path[-2] in NAMED or not self.graph.about.get(term.name):
            return {"@id": term.name} if not term.blank else {}
        return self.node(term.name, path, above)


# What is only named here, wherever else it is described.
NAMED = frozenset(
    ODRL + name
    for name in (
        "leftOperand", "operator", "rightOperand", "unit", "inheritFrom", "profile", "conflict", "partOf", "source",
        "includedIn", "dataType",
    )
)  # fmt: skip


def tree(graph: Graph, node: str) -> tuple[dict[str, Json], dict[Path, Place]]:
    """Return what `graph` says of the policy `node` as JSON with full IRIs as keys, and the place of each part.

    Raises:
        InvalidFiles: it contains itself.
    """
    grower = _Grower(graph)
    found = grower.node(node, (), ())
    assert isinstance(found, dict)
    said = found.get("@type")
    if isinstance(said, list) and len(said) > 1:  # a Set is also a Policy
        found["@type"] = [kind for kind in said if kind != ODRL + "Policy"]
    return found, grower.places
