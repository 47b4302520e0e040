"""JSON of the management API and of catalogues as plain values: unprefixed keys, lists where there may be several.

Our own connector writes the compact form; EDC and others write `odrl:permission` or full IRIs for the same. Only known
vocabularies lose their prefix, so a foreign term stays what it is.
"""

from __future__ import annotations

from connector.odrl.model import Json

_PREFIXES = (
    "edc:",
    "odrl:",
    "dcat:",
    "dct:",
    "dcterms:",
    "dspace:",
    "https://w3id.org/edc/v0.0.1/ns/",
    "http://www.w3.org/ns/odrl/2/",
    "http://www.w3.org/ns/dcat#",
    "http://purl.org/dc/terms/",
    "https://w3id.org/dspace/2025/1/",
)


def bare(term: str) -> str:
    """Return a term without the prefix of a vocabulary that every connector knows."""
    return next((term[len(p) :] for p in _PREFIXES if term.startswith(p) and len(term) > len(p)), term)


def plain(value: Json) -> Json:
    """Return `value` with bare keys, and without `@context`."""
    if isinstance(value, dict):
        return {bare(key): plain(item) for key, item in value.items() if key != "@context"}
    return [plain(item) for item in value] if isinstance(value, list) else value


def listed(value: Json) -> list[Json]:
    """Return `value` as a list: JSON-LD writes one element without its brackets, and none by leaving it out."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def objects(value: Json) -> list[dict[str, Json]]:
    """Return the objects in `value`."""
    return [item for item in listed(value) if isinstance(item, dict)]


def text(value: Json) -> str:
    """Return the words of a value: a literal, a language-tagged text, a node's id, or several of them."""
    if isinstance(value, dict):
        inner = value.get("@value", value.get("@id", value.get("name")))
        return text(inner) if inner is not None else ""
    if isinstance(value, list):
        return ", ".join(filter(None, map(text, value)))
    return "" if value is None else str(value)


def short(iri: str) -> str:
    """Return the last part of an IRI or CURIE: what a person calls it."""
    return iri.rstrip("/").replace("#", "/").rsplit("/", 1)[-1].rsplit(":", 1)[-1] or iri
