"""A dataset's own properties as they stand in a DSP catalogue, beside what the protocol says of it.

Names are full IRIs, or prefixed where the DSP context has the prefix, so that they mean the same under that context alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from connector.dsp.offering import EDC
from connector.odrl.model import Json

DCT, DCAT, ODRL = "http://purl.org/dc/terms/", "http://www.w3.org/ns/dcat#", "http://www.w3.org/ns/odrl/2/"
PREFIXES = {"dct": DCT, "dcat": DCAT, "odrl": ODRL}  # of those that the DSP context has
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
XSD_INTEGER = "http://www.w3.org/2001/XMLSchema#integer"
# The protocol's own words: a property of that name would add policies or services to what a reader sees.
RESERVED = frozenset(
    {RDF_TYPE, EDC + "id", ODRL + "hasPolicy", ODRL + "permission", ODRL + "prohibition", ODRL + "obligation"}
    | {DCAT + name for name in ("distribution", "accessService", "endpointURL", "dataset", "service", "catalog")}
)
KEYWORDS = frozenset({"@id", "@type", "@value", "@language", "@list"})  # what the value of a property may hold


def described(properties: Mapping[str, Json]) -> dict[str, Json]:
    """Return `properties` without what has no value and what only the protocol may say."""
    found: dict[str, Json] = {}
    for name, value in properties.items():
        if name.startswith("@") or (iri := _iri(name)) in RESERVED:
            continue
        if (shown := _value(value)) is not None:
            found[_compact(iri)] = shown
    return found


def _iri(name: str) -> str:
    prefix, colon, rest = name.partition(":")
    if not colon:
        return EDC + name  # a name without a vocabulary is EDC's, as in its management API
    return PREFIXES[prefix] + rest if prefix in PREFIXES else name


def _compact(iri: str) -> str:
    for prefix, namespace in PREFIXES.items():
        if iri.startswith(namespace) and re.fullmatch(r"[A-Za-z][\w-]*", rest := iri.removeprefix(namespace)):
            return f"{prefix}:{rest}"
    return iri


def _value(value: Json) -> Json:
    if isinstance(value, Mapping):
        keywords = {key: part for key, part in value.items() if key in KEYWORDS and part is not None}
        return {**keywords, **described(value)} or None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [shown for part in value if (shown := _value(part)) is not None] or None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:  # more than JSON readers agree on
        return {"@value": str(value), "@type": XSD_INTEGER}
    return value
