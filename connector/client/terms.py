"""An offer's or agreement's terms in plain sentences, from its JSON as it was on the wire."""

from __future__ import annotations

from connector.client.wire import bare, listed, objects, plain, short, text
from connector.odrl.model import Json

_OPERATORS = {
    "eq": "is",
    "neq": "is not",
    "lt": "is before",
    "lteq": "is at most",
    "gt": "is after",
    "gteq": "is at least",
    "isAnyOf": "is any of",
    "isNoneOf": "is none of",
    "isPartOf": "is within",
    "isA": "is a",
}
_LOGICAL = {"and": " and ", "or": " or ", "andSequence": " and then ", "xone": " or else "}


def constraint(document: dict[str, Json]) -> str:
    """Return one constraint, simple or composed, in words."""
    for key, word in _LOGICAL.items():
        if key in document:
            parts = document[key]
            inner = parts.get("@list") if isinstance(parts, dict) and "@list" in parts else parts
            return "(" + word.join(map(constraint, objects(inner))) + ")"
    left = short(bare(text(document.get("leftOperand"))))
    operator = short(bare(text(document.get("operator"))))
    right = [text(value) if left == "dateTime" else short(text(value)) for value in listed(document.get("rightOperand"))]
    match left, operator:
        case "count", "lteq" | "lt":
            return f"used {'at most' if operator == 'lteq' else 'fewer than'} {', '.join(right)} times"
        case "dateTime", "lt" | "lteq":
            return f"until {', '.join(right)}"
        case "dateTime", "gt" | "gteq":
            return f"from {', '.join(right)}"
        case "spatial", "isA" | "isPartOf" | "isAnyOf":
            return f"in {' or '.join(right)}"
    return f"{left} {_OPERATORS.get(operator, operator)} {', '.join(right)}"


def _rule(verb: str, rule: dict[str, Json]) -> str:
    actions = ", ".join(short(bare(text(action))) for action in listed(rule.get("action"))) or "use"
    only = "; ".join(map(constraint, objects(rule.get("constraint"))))
    return f"{verb} {actions}" + (f", if {only}" if only else "")


def terms(policy: Json) -> list[str]:
    """Return what the policy permits and forbids, a sentence each."""
    (document,) = objects(plain(policy)) or [{}]
    return [_rule("may", rule) for rule in objects(document.get("permission"))] + [
        _rule("must not", rule) for rule in objects(document.get("prohibition"))
    ]


def duties(policy: Json) -> list[str]:
    """Return what the one who uses the data must do, a sentence each."""
    (document,) = objects(plain(policy)) or [{}]
    inner = [duty for rule in objects(document.get("permission")) for duty in objects(rule.get("duty"))]
    return [_rule("must", duty) for duty in [*objects(document.get("obligation")), *objects(document.get("duty")), *inner]]
