"""A document of DSP 2025-1 in the words of 2024-1 and 0.8: prefixed names, arrays, what was mandatory then (ref/dsp.md 5).

The structure is walked by the names that the protocol gives; what a dataset says of itself, right operands and reasons
stay values. Whatever the older schemas ask for is there, though not all of their slips: `odrl:term-lteq` is no operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connector.odrl import terms
from connector.odrl.model import Json

Node = Mapping[str, Any]

ODRL, EDC = "http://www.w3.org/ns/odrl/2/", "https://w3id.org/edc/v0.0.1/ns/"
NAMESPACES = {"dct": "http://purl.org/dc/terms/", "dcat": "http://www.w3.org/ns/dcat#", "odrl": ODRL}
# For a version without a published context: what 2024-1 says of the names that we write as texts.
INLINE: Mapping[str, Json] = NAMESPACES | {
    f"odrl:{name}": {"@type": "@id"} for name in ("action", "assignee", "assigner", "leftOperand", "operator", "target")
}
DSPACE = frozenset(
    {"consumerPid", "providerPid", "callbackAddress", "agreementId", "code", "endpoint", "endpointType", "name", "value"}
    | {"participantId", "timestamp"}
)
TYPES = {
    **dict.fromkeys(("Offer", "Agreement"), "odrl"),
    **dict.fromkeys(("Catalog", "Dataset", "DataService", "Distribution"), "dcat"),
}
ODRL_TEXTS = frozenset({"target", "assigner", "assignee", "unit"})
RULES = frozenset({"permission", "prohibition", "obligation", "duty", "constraint", "and", "or", "xone", "andSequence"})
BARE = terms.OPERATORS | {"use"}
DCAT_NODES = frozenset({"dataset", "service", "catalog", "distribution", "accessService", "servesDataset"})
CALLED_BACK = frozenset({"ContractRequestMessage", "ContractOfferMessage", "ContractAgreementMessage"})


def reworded(document: Node, *, address: str, provider: str) -> dict[str, Any]:
    """Return the document without its `@context`. `address` is our base in the older version."""
    return _Writer(address, provider).node({name: value for name, value in document.items() if name != "@context"})


class _Writer:
    def __init__(self, address: str, provider: str) -> None:
        self._address, self._provider = address, provider

    def node(self, node: Node) -> dict[str, Any]:
        kind, found = node.get("@type"), {}
        for name, value in node.items():
            key, said = self.member(name, value)
            found[key] = said
        if kind in CALLED_BACK:  # mandatory in 2024-1 even where nothing begins
            found.setdefault("dspace:callbackAddress", self._address)
        if kind == "Offer" and self._provider:
            found.setdefault("odrl:assigner", self._provider)
        if kind == "DataService" and "dcat:endpointURL" in found:
            found |= {"@id": f"{self._address}#service", "dcat:endpointURL": self._address}
        return found

    def member(self, name: str, value: Any) -> tuple[str, Any]:
        """Return one member's name and value in the older words."""
        if name in DSPACE:
            return f"dspace:{name}", value
        if name in ODRL_TEXTS:
            return f"odrl:{name}", value
        if name in RULES:
            return f"odrl:{name}", [self.node(each) for each in value]
        if name in DCAT_NODES:
            return f"dcat:{name}", [self.node(each) for each in (value if isinstance(value, list) else [value])]
        rule = SPECIAL.get(name)
        return rule(self, value) if rule else _described(name, value)

    def inner(self, key: str) -> Callable[[Any], tuple[str, Any]]:
        return lambda value: (key, [self.node(each) for each in value] if isinstance(value, list) else self.node(value))


Special = Callable[[_Writer, Any], tuple[str, Any]]


def _name(key: str) -> Special:
    """A name that the newest context knows bare; what stands in full is shortened where ODRL has it."""

    def said(_: _Writer, value: Any) -> tuple[str, Any]:
        local = value.removeprefix(ODRL)
        return key, f"odrl:{local}" if value in BARE or (value.startswith(ODRL) and local.isalnum()) else value

    return said


def _event(_: _Writer, value: Any) -> tuple[str, Any]:
    """A name, not a text, although the schema of 2024-1 has a text: its context gives `dspace:` in texts no meaning, and
    EDC refuses what it cannot expand."""
    return "dspace:eventType", {"@id": f"dspace:{value}"}


def _nodes(key: str) -> Special:
    return lambda writer, value: writer.inner(key)(value)


def _kept(key: str) -> Special:
    return lambda _, value: (key, value)


def _references(key: str) -> Special:
    return lambda _, value: (key, [{"@id": each} for each in (value if isinstance(value, list) else [value])])


def _filter(_: _Writer, value: Any) -> tuple[str, Any]:
    """A QuerySpec is EDC's, and 2024-1 has no place for its context: its names are written in full."""
    return "dspace:filter", [_in_full(each) for each in value]


def _in_full(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_full(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name if name.startswith("@") else EDC + name: EDC + inner if name == "@type" else _in_full(inner)
        for name, inner in value.items()
    }


SPECIAL: Mapping[str, Special] = {
    "@type": lambda _, value: ("@type", f"{TYPES.get(value, 'dspace')}:{value}"),
    "@id": _kept("@id"),
    "state": lambda _, value: ("dspace:state", f"dspace:{value}"),
    "eventType": _event,
    "reason": _kept("dspace:reason"),
    "offer": _nodes("dspace:offer"),
    "agreement": _nodes("dspace:agreement"),
    "dataAddress": _nodes("dspace:dataAddress"),
    "endpointProperties": _nodes("dspace:endpointProperties"),
    "filter": _filter,
    "format": _kept("dct:format"),
    "hasPolicy": _nodes("odrl:hasPolicy"),
    "endpointURL": _kept("dcat:endpointURL"),
    "endpointDescription": _kept("dcat:endpointDescription"),
    "action": _name("odrl:action"),
    "leftOperand": _name("odrl:leftOperand"),
    "operator": _name("odrl:operator"),
    "rightOperand": _kept("odrl:rightOperand"),
    "dataType": _kept("odrl:datatype"),
    "profile": _references("odrl:profile"),
}


def _described(name: str, value: Any) -> tuple[str, Any]:
    """What a dataset says of itself: in 2024-1's own form where it has one, else under the name in full.

    The context of 2024-1 gives types and languages to prefixed names; a name in full keeps its value as it is.
    """
    if name == "dct:title" and isinstance(value, str):
        return name, value
    if name == "dcat:keyword" and (words := _texts(value)) is not None:
        return name, words
    if name == "dct:description" and (words := _texts(value)) is not None:
        return name, [{"@value": text, "@language": "und"} for text in words]
    prefix, _, local = name.partition(":")
    return NAMESPACES.get(prefix, f"{prefix}:") + local if local else name, value


def _texts(value: Any) -> list[str] | None:
    found = value if isinstance(value, list) else [value]
    return found if all(isinstance(each, str) for each in found) else None
