"""Documents of older protocol versions, expanded, as the newest version says the same (DSP-100, DSP-101).

Versions differ in their namespace, and in what is a text and what a name: 2024-1 types few of its terms, so that a pid is a
text there and a name in 2025-1, and peers write either. The newest context decides. One version's namespace never stands
for another's: a name of the newest namespace in an older message has no meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from connector.jsonld import contexts

NEWEST = contexts.NAMESPACE
ODRL, DCAT, DCT = "http://www.w3.org/ns/odrl/2/", "http://www.w3.org/ns/dcat#", "http://purl.org/dc/terms/"
# What stands there when a node does not say it; the newest context knows a node's terms by its type.
TYPES = {
    NEWEST + "offer": ODRL + "Offer",
    NEWEST + "agreement": ODRL + "Agreement",
    NEWEST + "dataAddress": NEWEST + "DataAddress",
    NEWEST + "endpointProperties": NEWEST + "EndpointProperty",
    ODRL + "hasPolicy": ODRL + "Offer",
    DCAT + "dataset": DCAT + "Dataset",
    DCAT + "distribution": DCAT + "Distribution",
    DCAT + "accessService": DCAT + "DataService",
    DCAT + "service": DCAT + "DataService",
}
SLIPS = {ODRL + "operand": ODRL + "operator"}  # so write the examples of 2024-1 themselves; ODRL has no such term
AS_WRITTEN = frozenset({DCT + "format", NEWEST + "endpointType"})  # names that mean nothing but themselves
PREFIXES = {"odrl:": ODRL, "dspace:": NEWEST}  # in texts, which JSON-LD does not expand


def renewed(expanded: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Return the expanded document, written in `namespace`, in the newest namespace and with the newest kinds of values."""
    return [_node(node, "", namespace) for node in expanded]


def _node(node: Any, under: str, namespace: str) -> Any:
    if not isinstance(node, dict) or under == ODRL + "rightOperand":
        return node
    if "@value" in node or node.keys() == {"@id"}:
        return _value(node, under, namespace)
    found: dict[str, Any] = {}
    for name, value in node.items():
        if name == "@type":
            found[name] = [_iri(iri, namespace) for iri in value]
        elif name in ("@list", "@set"):
            found[name] = [_node(item, under, namespace) for item in value]
        elif name.startswith("@"):
            found[name] = value
        else:
            iri = _iri(name, namespace)
            found[iri] = [_node(item, iri, namespace) for item in value]
    if under in TYPES and "@type" not in found and not found.keys() & {"@list", "@set"}:
        found["@type"] = [TYPES[under]]
    if DCAT + "accessService" in found:  # an array in 2024-1, one service in 2025-1
        found[DCAT + "accessService"] = found[DCAT + "accessService"][:1]
    return found


def _value(node: dict[str, Any], under: str, namespace: str) -> dict[str, Any]:
    kind, text = _kinds().get(under), node.get("@value", node.get("@id"))
    if kind is None or not isinstance(text, str):
        return node
    if not kind:
        return {"@value": text}
    return {"@id": _name(text, namespace) if kind == "@vocab" and under not in AS_WRITTEN else text}


def _iri(iri: str, namespace: str) -> str:
    if iri.startswith(namespace):
        return NEWEST + iri.removeprefix(namespace)
    return contexts.MARK + iri if iri.startswith(NEWEST) else SLIPS.get(iri, iri)


def _name(text: str, namespace: str) -> str:
    for prefix, full in PREFIXES.items():
        if text.startswith(prefix):
            return full + text.removeprefix(prefix)
    return _iri(text, namespace)


@cache
def _kinds() -> dict[str, str]:
    """Return how the newest context writes the values of each property: "@id", "@vocab" or "" for texts."""
    kinds: dict[str, str] = {}
    for iri, kind in _terms(contexts.context(contexts.DSP + contexts.PLAIN)):
        kinds[iri] = kind or kinds.get(iri, "")
    return kinds


def _terms(context: contexts.Context) -> Iterator[tuple[str, str]]:
    for term, definition in context.items():
        if isinstance(definition, dict) and "@id" in definition:
            yield definition["@id"], definition.get("@type", "")
            yield from _terms(definition.get("@context", {}))
        elif isinstance(definition, str) and not term.startswith("@"):
            yield definition, ""
