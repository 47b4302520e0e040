"""Policies as EDC's management API writes them: ODRL with the prefix `odrl:`, terms as references."""

from __future__ import annotations

from collections.abc import Mapping

from connector.odrl.model import Json, Policy
from connector.odrl.read import to_json
from connector.web.management.jsonld import ODRL, Node

TERMS = frozenset({"action", "leftOperand", "operator"})
REFERENCES = frozenset({"target"})
RULES = ("permission", "prohibition", "obligation")
PARTS = frozenset({*RULES, "constraint", "duty", "and", "or", "xone", "andSequence"})


def show_policy(policy: Policy) -> Node:
    """Return the policy; all three kinds of rules are there, empty or not."""
    written = _node({**{kind: [] for kind in RULES}, **to_json(policy)})
    return written | {"@type": f"odrl:{policy.kind}"}


def _node(node: Mapping[str, Json]) -> Node:
    return {key if key.startswith("@") or ":" in key else f"odrl:{key}": _value(key, value) for key, value in node.items()}


def _value(key: str, value: Json) -> Json:
    if key in PARTS:
        items = value if isinstance(value, (list, tuple)) else [value]
        return [_node(item) if isinstance(item, Mapping) else item for item in items]
    if key in TERMS and isinstance(value, str):
        return {"@id": _term(value)}
    if key in REFERENCES and isinstance(value, str):
        return {"@id": value}
    return value


def _term(term: str) -> str:
    if term.startswith(ODRL):
        return "odrl:" + term.removeprefix(ODRL)
    return term if ":" in term else f"odrl:{term}"
