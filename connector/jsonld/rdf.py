"""Turtle and JSON-LD files -> `odrl.graph`, and back: nothing is fetched, every statement keeps its line.

rdflib reads and writes Turtle, pyld expands JSON-LD; both are imported when a file of theirs is met. JSON-LD has no places
of its own: before expansion each object is marked with its place by `@index`, which expansion carries along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.errors import ConnectorError, InvalidFiles, Problem
from connector.jsonld import document
from connector.odrl.graph import FIRST, NIL, REST, TYPE, Graph, Literal, Place, Resource, Term
from connector.odrl.model import Json
from connector.odrl.nodes import Path
from connector.odrl.terms import XSD

TURTLE, JSON = (".ttl", ".n3", ".nt", ".turtle"), (".jsonld", ".json")
ODRL_CONTEXT = "http://www.w3.org/ns/odrl.jsonld"
MAX_NODES = 200_000
Locate = Callable[[], Mapping[Path, Place]]
Parsed = tuple[Json, Locate]


@dataclass(slots=True)
class _Maker:
    """Collects statements in the order in which they are made, each once."""

    file: str
    about: dict[str, dict[str, dict[Term, None]]] = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    blanks: int = 0

    def add(self, subject: str, predicate: str, object: Term, place: Place | None) -> None:
        self.about.setdefault(subject, {}).setdefault(predicate, {}).setdefault(object)
        if place is not None:
            self.places.setdefault((subject, ""), place)
            self.places.setdefault((subject, predicate), place)

    def blank(self) -> str:
        self.blanks += 1
        return f"_:b{self.blanks}"

    def graph(self) -> Graph:
        about = {node: {name: tuple(objects) for name, objects in facts.items()} for node, facts in self.about.items()}
        return Graph(self.file, about, self.places)


def is_turtle(file: str, data: bytes) -> bool:
    """Return whether a file is Turtle: its name says so, else its content."""
    if file.endswith(TURTLE) or file.endswith(JSON):
        return file.endswith(TURTLE)
    return data.lstrip()[:1] not in (b"{", b"[")


def from_turtle(data: bytes, file: str) -> Graph:
    """Raises InvalidFiles, with the line."""
    from rdflib import Graph as Store
    from rdflib.plugins.parsers.notation3 import BadSyntax, RDFSink, SinkParser
    from rdflib.term import BNode, URIRef
    from rdflib.term import Literal as Lexical

    maker, blanks = _Maker(file), dict[str, str]()

    class Sink(RDFSink):
        """Keeps literals as they are written, and where each statement ends."""

        parser: Any = None

        def newLiteral(self, s: str, dt: Any, lang: Any) -> Any:
            return Lexical(s, datatype=dt, lang=None if dt else lang, normalize=False)

        def makeStatement(self, quadruple: Any, why: Any = None) -> None:
            formula, predicate, subject, object = quadruple
            s, p, o = (self.normalise(formula, part) for part in (subject, predicate, object))
            maker.add(term(s).name, str(p), term(o), (self.parser.lines + 1, 1))

    def term(node: Any) -> Any:
        if isinstance(node, Lexical):
            return Literal(str(node), str(node.datatype) if node.datatype else None, node.language)
        if isinstance(node, BNode):
            return Resource(blanks.setdefault(str(node), f"_:b{len(blanks) + 1}"))
        assert isinstance(node, URIRef)
        return Resource(str(node))

    sink = Sink(Store())
    sink.parser = SinkParser(sink, baseURI="urn:base:", turtle=True)
    try:
        sink.parser.startDoc()
        sink.parser.feed(data.decode())
        sink.parser.endDoc()
    except BadSyntax as error:
        raise _invalid("turtle-syntax", str(error._why), file, error.lines + 1) from error
    except UnicodeDecodeError as error:
        raise _invalid(
            "file-encoding", "is not UTF-8; save it as UTF-8", file, data[: error.start].count(b"\n") + 1
        ) from error
    except RecursionError as error:
        raise _invalid("file-depth", "is nested too deep", file, sink.parser.lines + 1) from error
    except Exception as error:  # rdflib raises anything at all for what it does not foresee
        message = f"cannot be read as Turtle: {type(error).__name__}"
        raise _invalid("turtle-syntax", message, file, sink.parser.lines + 1) from error
    return maker.graph()


def from_jsonld(value: Json, file: str, places: Mapping[Path, Place]) -> Graph:
    """Return the graph of a JSON-LD document; one without `@context` is read with ODRL's.

    Raises:
        InvalidFiles: it is no JSON-LD, or asks for a context that does not come with the connector.
    """
    marked = _marked(value, (), places)
    if isinstance(marked, dict) and "@context" not in marked:
        marked["@context"] = ODRL_CONTEXT
    try:
        expanded = document.expand(marked, vocabulary="urn:unmapped:", max_nodes=MAX_NODES)
    except ConnectorError as error:
        raise _invalid("jsonld", str(error), file, 1) from error
    maker = _Maker(file)
    for node in expanded:
        _node(maker, node)
    return maker.graph()


def _marked(value: Json, path: Path, places: Mapping[Path, Place]) -> Json:
    if isinstance(value, Mapping):
        marked = {
            name: inner if name == "@context" else _marked(inner, (*path, name), places) for name, inner in value.items()
        }
        at = places.get(path)
        return marked if at is None or "@index" in value or not value else marked | {"@index": f"{at[0]}:{at[1]}"}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_marked(inner, (*path, index), places) for index, inner in enumerate(value)]
    return value


def _place(node: Mapping[str, Any]) -> Place | None:
    line, _, column = str(node.get("@index", "")).partition(":")
    return (int(line), int(column)) if line.isdigit() and column.isdigit() else None


def _node(maker: _Maker, node: Mapping[str, Any]) -> str:
    name, place = str(node.get("@id") or maker.blank()), _place(node)
    if place is not None:
        maker.places.setdefault((name, ""), place)
    for predicate, values in node.items():
        if predicate == "@type":
            for kind in values:
                maker.add(name, TYPE, Resource(str(kind)), place)
        elif predicate in ("@graph", "@included"):
            for inner in values:
                _node(maker, inner)
        elif predicate == "@reverse":
            for inverse, inners in values.items():
                for inner in inners:
                    maker.add(_node(maker, inner), inverse, Resource(name), _place(inner) or place)
        elif not predicate.startswith("@"):
            for value in values:
                maker.add(name, predicate, _term(maker, value), _place(value) or place)
    return name


def _term(maker: _Maker, value: Mapping[str, Any]) -> Term:
    if "@value" in value:
        return _literal(value["@value"], value.get("@type"), value.get("@language"))
    if "@list" not in value:
        return Resource(_node(maker, value))
    items = [_term(maker, item) for item in value["@list"]]
    rest = NIL
    for item in reversed(items):
        here = maker.blank()
        maker.add(here, FIRST, item, _place(value))
        maker.add(here, REST, Resource(rest), _place(value))
        rest = here
    return Resource(rest)


def _literal(value: Any, datatype: str | None, language: str | None) -> Literal:
    if isinstance(value, bool):
        return Literal(str(value).lower(), datatype or XSD + "boolean")
    if isinstance(value, int):
        return Literal(str(value), datatype or XSD + "integer")
    if isinstance(value, float):
        return Literal(repr(value), datatype or XSD + "double")
    return Literal(str(value), datatype, language)


def to_turtle(statements: Iterable[tuple[str, str, Term]], prefixes: Mapping[str, str]) -> str:
    """Return statements as Turtle; the same statements give the same text."""
    from rdflib import Graph as Store
    from rdflib.term import Literal as Lexical
    from rdflib.term import URIRef

    store = Store(bind_namespaces="none")
    for prefix, namespace in prefixes.items():
        store.bind(prefix, namespace)
    for subject, predicate, term in statements:
        if isinstance(term, Resource):
            object: Any = URIRef(term.name)
        else:
            datatype = URIRef(term.datatype) if term.datatype else None
            object = Lexical(term.text, datatype=datatype, lang=term.language, normalize=False)
        store.add((URIRef(subject), URIRef(predicate), object))
    return str(store.serialize(format="turtle"))


def _invalid(code: str, message: str, file: str, line: int) -> InvalidFiles:
    return InvalidFiles((Problem(code, message, file, line, 1),))


__all__ = ["from_jsonld", "from_turtle", "is_turtle", "to_turtle"]
