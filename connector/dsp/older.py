"""A document of DSP 2025-1 in the words of 2024-1 and 0.8: prefixed names, arrays, what was mandatory then (ref/dsp.md 5).

The structure is walked by the names that the protocol gives; what a dataset says of itself, right operands and reasons stay
values, and of a policy nothing is left out. What the older schemas ask for is there, but for their slips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connector.odrl import terms
from connector.odrl.model import Json

Node = Mapping[str, Any]

ODRL, EDC = "http://www.w3.org/ns/odrl/2/", "https://w3id.org/edc/v0.0.1/ns/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"  # has no prefix in the context of 2024-1
NAMESPACES = {"dct": "http://purl.org/dc/terms/", "dcat": "http://www.w3.org/ns/dcat#", "odrl": ODRL}
# For a version without a published context: what 2024-1 says of the names that we write as texts.
INLINE: Mapping[str, Json] = NAMESPACES | {
    f"odrl:{name}": {"@type": "@id"} for name in ("action", "assignee", "assigner", "leftOperand", "operator", "target")
}
TEXTS = frozenset(
    {"consumerPid", "providerPid", "callbackAddress", "agreementId", "code", "reason", "endpoint", "endpointType", "name"}
    | {"value", "participantId"}
)
DCAT_TYPES = frozenset({"Catalog", "Dataset", "DataService", "Distribution"})
DCAT_LISTS = frozenset({"dataset", "service", "catalog", "distribution", "accessService", "servesDataset"})
DCAT_TEXTS = frozenset({"endpointURL", "endpointDescription"})
CALLED_BACK = frozenset({"ContractRequestMessage", "ContractOfferMessage", "ContractAgreementMessage"})
BARE = terms.OPERATORS | {"use"}  # what the context of 2025-1 knows without a prefix


def reworded(document: Node, *, address: str, provider: str) -> dict[str, Any]:
    """Return the document without its `@context`. `address` is our base in the older version."""
    return _Writer(address, provider).node({name: value for name, value in document.items() if name != "@context"})


class _Writer:
    def __init__(self, address: str, provider: str) -> None:
        self._address, self._provider = address, provider

    def node(self, node: Node) -> dict[str, Any]:
        kind, found = node.get("@type"), dict(self.member(*member) for member in node.items())
        if kind in CALLED_BACK:  # mandatory in 2024-1 even where nothing begins
            found.setdefault("dspace:callbackAddress", self._address)
        if kind == "DataService" and "dcat:endpointURL" in found:
            found |= {"@id": f"{self._address}#service", "dcat:endpointURL": self._address}
        return found

    def member(self, name: str, value: Any) -> tuple[str, Any]:
        """Return one member's name and value in the older words."""
        if name in TEXTS:
            return f"dspace:{name}", value
        if name in DCAT_LISTS:
            return f"dcat:{name}", [self.node(each) for each in _as_list(value)]
        if name in DCAT_TEXTS:
            return f"dcat:{name}", value
        special = SPECIAL.get(name)
        return special(self, value) if special else _described(name, value)

    def policy(self, policy: Node) -> dict[str, Any]:
        said: dict[str, Any] = _odrl(policy, "")
        if policy.get("@type") == "Offer" and self._provider:
            said.setdefault("odrl:assigner", self._provider)
        return said


def _odrl(value: Any, under: str) -> Any:
    """Write a part of a policy. Terms that this module does not know get the prefix too: none may vanish on the way."""
    if isinstance(value, list):
        return [_odrl(each, under) for each in value]
    if isinstance(value, Mapping):
        return {_odrl_name(name): _odrl_value(name, inner) for name, inner in value.items()}
    return value


def _odrl_name(name: str) -> str:
    if name.startswith("@"):
        return name
    prefix, colon, local = name.partition(":")
    if colon:
        return RDF + local if prefix == "rdf" else name
    return {"timestamp": "dspace:timestamp", "dataType": "odrl:datatype"}.get(name, f"odrl:{name}")


def _odrl_value(name: str, value: Any) -> Any:
    if name == "rightOperand":
        return value
    if name == "@type" and isinstance(value, str):
        return value if ":" in value else f"odrl:{value}"
    if name in ("action", "leftOperand", "operator") and isinstance(value, str):
        local = value.removeprefix(ODRL)
        return f"odrl:{local}" if value in BARE or (value.startswith(ODRL) and local.isalnum()) else value
    if name == "profile":
        return [{"@id": each} for each in _as_list(value)]
    said = _odrl(value, name)
    return said[0] if name == "duty" and len(said) == 1 else said  # 2024-1 has one duty, not a list


Special = Callable[[_Writer, Any], tuple[str, Any]]


def _event(_: _Writer, value: Any) -> tuple[str, Any]:
    """A name, not a text, although the schema of 2024-1 has a text: its context gives `dspace:` in texts no meaning, and
    EDC refuses what it cannot expand."""
    return "dspace:eventType", {"@id": f"dspace:{value}"}


def _filter(_: _Writer, value: Any) -> tuple[str, Any]:
    """A QuerySpec is EDC's, and 2024-1 has no place for its context: its names are written in full."""
    return "dspace:filter", _in_full(value)


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
    "@id": lambda _, value: ("@id", value),
    "@type": lambda _, value: ("@type", f"{'dcat' if value in DCAT_TYPES else 'dspace'}:{value}"),
    "state": lambda _, value: ("dspace:state", f"dspace:{value}"),
    "eventType": _event,
    "offer": lambda writer, value: ("dspace:offer", writer.policy(value)),
    "agreement": lambda writer, value: ("dspace:agreement", writer.policy(value)),
    "hasPolicy": lambda writer, value: ("odrl:hasPolicy", [writer.policy(each) for each in _as_list(value)]),
    "dataAddress": lambda writer, value: ("dspace:dataAddress", writer.node(value)),
    "endpointProperties": lambda writer, value: ("dspace:endpointProperties", [writer.node(each) for each in value]),
    "format": lambda _, value: ("dct:format", value),
    "filter": _filter,
}


def _described(name: str, value: Any) -> tuple[str, Any]:
    """What a dataset says of itself: in 2024-1's own form where it has one, else under the name in full.

    The context of 2024-1 gives types and languages to prefixed names; a name in full keeps its value as it is.
    """
    words = [each for each in _as_list(value) if isinstance(each, str)]
    if len(words) == len(_as_list(value)):
        if name == "dct:title" and len(words) == 1:
            return name, words[0]
        if name == "dcat:keyword":
            return name, words
        if name == "dct:description":
            return name, [{"@value": text, "@language": "und"} for text in words]
    prefix, _, local = name.partition(":")
    return NAMESPACES.get(prefix, f"{prefix}:") + local if local else name, value


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
