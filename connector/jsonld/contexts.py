"""The JSON-LD contexts this connector knows, read from `vocab/contexts/` and never from the network.

Lasting choices: `@import` is resolved here, once (pyld changes an imported context in place and caches it, so what it
answers depends on what it read before: DSP-025). Answers to pyld carry the tag `static`, which lets it keep a processed
context for good. Every context has a *plain* twin without prefixes, used to compact: no value comes back abbreviated.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from connector.assets import shipped
from connector.errors import Malformed

DSP = "https://w3id.org/dspace/2025/1/context.jsonld"
ODRL_PROFILE = "https://w3id.org/dspace/2025/1/odrl-profile.jsonld"
DSP_2024 = "https://w3id.org/dspace/2024/1/context.json"
EDC_DSP = "https://w3id.org/edc/dspace/v0.0.1"
EDC_MANAGEMENT = "https://w3id.org/edc/connector/management/v2"
ODRL = "http://www.w3.org/ns/odrl.jsonld"

Context = dict[str, Any]
PLAIN = "#plain"
NAMESPACE = "https://w3id.org/dspace/2025/1/"  # of the newest version
MARK = "urn:unmapped:"  # in front of what has no meaning under the contexts of a document


def known() -> frozenset[str]:
    """Return the IRIs of all contexts that can be used."""
    return frozenset(_index())


@cache
def context(iri: str) -> Context:
    """Return what `@context` of the document `iri` holds, imports resolved.

    Raises:
        Malformed: the context is not one of ours.
    """
    if iri.endswith(PLAIN):
        return _plain(context(iri.removesuffix(PLAIN)), {})
    return _flat(_document(iri))


def type_iri(name: str) -> str:
    """Return the IRI of a type of the protocol: `Catalog` is DCAT's."""
    iri: str = context(DSP + PLAIN)[name]["@id"]
    return iri


def load(url: str, _options: object = None) -> dict[str, Any]:
    """Answer pyld's document loader."""
    return {
        "contentType": "application/ld+json",
        "contextUrl": None,
        "documentUrl": url,
        "document": {"@context": context(url)},
        "tag": "static",
    }


@cache
def _index() -> Mapping[str, Mapping[str, str]]:
    index: Mapping[str, Mapping[str, str]] = orjson.loads((shipped("vocab") / "contexts" / "index.json").read_bytes())
    return index


def _document(iri: str) -> Context:
    if iri not in _index():
        raise Malformed(f"the context {iri[:200]} is not known here; known are: {', '.join(sorted(_index()))}")
    document = orjson.loads((shipped("vocab") / "contexts" / _index()[iri]["file"]).read_bytes())
    terms: Context = document["@context"]
    return terms


def _flat(terms: Context) -> Context:
    """Put imported terms in the place of `@import`; own terms override imported ones."""
    own = {term: _flat(value) if isinstance(value, dict) else value for term, value in terms.items() if term != "@import"}
    return {**_flat(_document(terms["@import"])), **own} if "@import" in terms else own


def _plain(terms: Context, outer: Mapping[str, str]) -> Context:
    """Write every IRI in full and leave the prefixes out."""
    prefixes = {**outer, **{term: iri for term, iri in terms.items() if isinstance(iri, str) and iri.endswith(("/", "#"))}}
    return {term: _plain_value(value, prefixes) for term, value in terms.items() if term not in prefixes}


def _plain_value(value: Any, prefixes: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: _plain(inner, prefixes) if key == "@context" and isinstance(inner, dict) else _plain_value(inner, prefixes)
            for key, inner in value.items()
        }
    if isinstance(value, str) and not value.startswith("@"):
        prefix, colon, local = value.partition(":")
        return prefixes[prefix] + local if colon and prefix in prefixes else value
    return value
