"""The words of a dataset file: prefixes of HealthDCAT-AP release 8 and short names, and the full IRIs they stand for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

DCT, DCAT = "http://purl.org/dc/terms/", "http://www.w3.org/ns/dcat#"

PREFIXES: Mapping[str, str] = {
    "adms": "http://www.w3.org/ns/adms#",
    "csvw": "http://www.w3.org/ns/csvw#",
    "cv": "http://data.europa.eu/m8g/",
    "dcat": DCAT,
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": DCT,
    "dcterms": DCT,
    "dpv": "https://w3id.org/dpv#",
    "dqv": "http://www.w3.org/ns/dqv#",
    "edc": "https://w3id.org/edc/v0.0.1/ns/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geodcatap": "http://data.europa.eu/930/",
    "healthdcatap": "http://healthdataportal.eu/ns/health#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "https://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

# Schemes of IRIs that are written out; anything else before a colon has to be a prefix.
SCHEMES = ("http", "https", "urn", "did", "mailto", "tag", "ftp", "tel", "_")

# Short names; `source` and `policies` are this connector's own.
TERMS: Mapping[str, str] = {
    **{name: DCT + name for name in ("title", "description", "publisher", "creator", "issued", "modified", "identifier")},
    **{name: DCT + name for name in ("language", "license", "accessRights", "rights", "spatial", "temporal", "type")},
    **{name: DCT + name for name in ("conformsTo", "provenance", "accrualPeriodicity", "hasVersion", "isVersionOf")},
    **{name: DCAT + name for name in ("keyword", "theme", "contactPoint", "landingPage", "version", "distribution")},
}


class UnknownWord(ValueError):
    """The text says what to write instead."""


def expand(word: str, prefixes: Mapping[str, str] = PREFIXES) -> str:
    """Return the full IRI of a term, a prefixed name or an IRI. Raises UnknownWord."""
    prefix, colon, rest = word.partition(":")
    if not colon:
        if word in TERMS:
            return TERMS[word]
        near = difflib.get_close_matches(word, [*TERMS, "source", "policies"], 1, 0.7)
        hint = f"did you mean {near[0]}?" if near else f"write it with its prefix, such as dct:{word}"
        raise UnknownWord(f"{word!r} is not a word of dataset files; {hint}")
    if prefix in prefixes:
        return prefixes[prefix] + rest
    if prefix in SCHEMES or rest.startswith("//"):
        return word
    near = difflib.get_close_matches(prefix, list(prefixes), 1, 0.5)
    hint = f"did you mean {near[0]}:{rest}?" if near else f'name it in "@context": {{"{prefix}": "https://..."}}'
    raise UnknownWord(f"the prefix {prefix!r} is not known; {hint}")
