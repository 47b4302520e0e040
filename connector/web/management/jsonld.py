"""EDC bodies in and out: JSON-LD or plain JSON.

Everything inside works on *nodes*: JSON objects whose keys are short names (`counterPartyAddress`) for terms of the EDC
namespace, full IRIs for all others, and `@id`, `@type`. A body whose contexts only name the EDC vocabulary and prefixes
is renamed directly; any other context goes through the JSON-LD processor first, and its expanded form through the same
renaming. Answers are nodes again, written in the dialect of an API version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeAlias

from connector.dsp.offering import EDC
from connector.errors import Malformed
from connector.jsonld.contexts import ODRL_PROFILE, context
from connector.jsonld.document import expand, in_worker
from connector.jsonld.parse import parse, walk
from connector.odrl.model import Json

ODRL = "http://www.w3.org/ns/odrl/2/"
V4_CONTEXT = "https://w3id.org/edc/connector/management/v2"

Node: TypeAlias = dict[str, Json]

# contexts whose terms are exactly what short names mean here anyway
PLAIN_CONTEXTS = frozenset(
    {
        EDC,
        V4_CONTEXT,
        "https://w3id.org/edc/connector/management/v0.0.1",
        "http://www.w3.org/ns/odrl.jsonld",
        "https://www.w3.org/ns/odrl.jsonld",
    }
)
PREFIXES = {
    "edc": EDC,
    "odrl": ODRL,
    "dct": "http://purl.org/dc/terms/",
    "dcterms": "http://purl.org/dc/terms/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
POLICY_TERMS = frozenset({"action", "leftOperand", "operator"})  # their values are terms too
LITERAL_TYPES = frozenset(PREFIXES["xsd"] + name for name in ("string", "integer", "boolean", "double", "decimal"))


class _NeedsProcessor(Exception):
    """A context here can only be understood by a JSON-LD processor."""


# --- reading -------------------------------------------------------------------------------------------------------


def decode(body: bytes) -> Node:
    """Return the JSON object in `body`; an empty body is an empty object. Raises Malformed, TooLarge."""
    document = parse(body) if body.strip() else {}
    if any(isinstance(text, str) and "\0" in text for _, value in walk(document) for text in _texts(value)):
        raise Malformed("text must not hold the character U+0000: no database takes it")
    return document


def _texts(value: Json) -> Iterable[Json]:
    return value if isinstance(value, dict) else [value]


async def read(document: Node) -> Node:
    """Return a body as a node. Raises Malformed, TooLarge."""
    try:
        return _renamed(document, PREFIXES)
    except _NeedsProcessor:
        pass
    expanded = await in_worker(partial(expand, vocabulary=EDC), document)
    if not expanded:
        return {}
    if len(expanded) > 1 or not isinstance(expanded[0], dict):
        raise Malformed("the body must describe one object")
    return _renamed(expanded[0], PREFIXES)


def _renamed(node: Mapping[str, Json], prefixes: Mapping[str, str], within: str = "") -> Node:
    """Return the node; `within` is the name of the outermost field it belongs to."""
    prefixes = _prefixes(node.get("@context"), prefixes)
    result: Node = {}
    for key, value in node.items():
        if key == "@context":
            continue
        name = short(key, prefixes)
        if name in result:
            raise Malformed(f"{name!r} is given twice, in two spellings")
        renamed = _value(value, prefixes, within or name)
        is_term = within == "policy" and name.removeprefix(ODRL) in POLICY_TERMS
        result[name] = _term(renamed, prefixes) if is_term else renamed
    return result


def _value(value: Json, prefixes: Mapping[str, str], within: str) -> Json:
    if isinstance(value, list):
        items = [_value(item, prefixes, within) for item in value]
        literal = len(value) == 1 and isinstance(value[0], dict) and "@value" in value[0]
        return items[0] if literal else items  # `[{"@value": x}]` is how the expanded form writes one literal
    if not isinstance(value, Mapping):
        return value
    if "@value" in value and value.get("@type") in (None, *LITERAL_TYPES) and "@language" not in value:
        return value["@value"]
    if "@list" in value and len(value) == 1:
        return _value(value["@list"], prefixes, within)
    return _renamed(value, prefixes, within)


def _term(value: Json, prefixes: Mapping[str, str]) -> Json:
    """Return a policy term with its prefix written out; ODRL's own and the bare ones stay as they are."""
    if isinstance(value, dict) and isinstance(value.get("@id"), str):
        return {**value, "@id": _term(value["@id"], prefixes)}
    if isinstance(value, str):
        head, colon, tail = value.partition(":")
        if colon and head in prefixes and not tail.startswith("//"):
            return prefixes[head] + tail
    return value


def short(key: str, prefixes: Mapping[str, str] = PREFIXES) -> str:
    """Return the short name of a term of the EDC namespace, the full IRI of any other."""
    head, colon, tail = key.partition(":")
    if colon and head in prefixes and not tail.startswith("//"):
        key = prefixes[head] + tail
    return key.removeprefix(EDC) or key


def iri(name: str) -> str:
    """Return the full IRI of a name in a node: short names are of the EDC namespace."""
    return name if ":" in name or name.startswith("@") else EDC + name


def _prefixes(context: Json, known: Mapping[str, str]) -> Mapping[str, str]:
    """Return the prefixes in force under `context`. Raises _NeedsProcessor where it says more than prefixes."""
    if context is None:
        return known
    found = dict(known)
    for part in context if isinstance(context, list) else [context]:
        if isinstance(part, str) and part in PLAIN_CONTEXTS:
            continue
        if not isinstance(part, dict):
            raise _NeedsProcessor
        for term, meaning in part.items():
            if term == "@vocab" and meaning == EDC:
                continue
            if term.startswith("@") or not isinstance(meaning, str) or not meaning.endswith(("/", "#")):
                raise _NeedsProcessor
            found[term] = meaning
    return found


# --- writing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one version of the API writes its answers, and how it reads.

    `typed`: bodies must fit the schemas of version 4, and policies are written with the bare terms of its context.
    """

    context: Json
    collapse: bool  # whether an array of one element is written as the element (JSON-LD compaction does so)
    typed: bool = False


V3 = Dialect({"@vocab": EDC, "edc": EDC, "odrl": ODRL}, collapse=True)
V4 = Dialect([V4_CONTEXT], collapse=False, typed=True)


def write(node: Mapping[str, Json], dialect: Dialect) -> Node:
    body = {key: _written(value, dialect) for key, value in node.items() if value is not None}
    return {**body, **(_typed(body) if dialect.typed else {}), "@context": dialect.context}


def _typed(body: Mapping[str, Json]) -> Node:
    """Return what version 4 writes in another way."""
    found: Node = {}
    if "policy" in body:
        found["policy"] = _bare(body["policy"])
    if "protocol" in body:
        found["profile"] = body["protocol"]
    if isinstance(callbacks := body.get("callbackAddresses"), list):
        usual: Node = {"@type": "CallbackAddress", "transactional": False, "events": []}
        found["callbackAddresses"] = [usual | one for one in callbacks if isinstance(one, dict)]
    return found


def _bare(value: Json) -> Json:
    """Return a policy without the prefixes and references that version 4's context makes needless."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"@id"}:
        return _known(str(value["@id"]))
    terms = {_known(key): _bare(item) for key, item in value.items() if item != []}  # a list of rules is not empty there
    return terms | ({"@type": _known(str(value["@type"]))} if "@type" in value else {})


def _known(term: str) -> str:
    """Return a term of ODRL without its prefix if the context knows it so; `odrl:purpose` is not among those."""
    bare = term.removeprefix("odrl:")
    return bare if bare in _odrl_terms() else term


@cache
def _odrl_terms() -> frozenset[str]:
    return frozenset(context(ODRL_PROFILE))  # imported by version 4's context


def _written(value: Json, dialect: Dialect) -> Json:
    if isinstance(value, Mapping):
        return {key: _written(item, dialect) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if dialect.collapse and len(value) == 1:
            return _written(value[0], dialect)
        return [_written(item, dialect) for item in value]
    return value
