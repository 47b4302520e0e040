"""Version 4 of the schemas: what version 3 reads liberally has to be typed, compact, and with arrays as arrays.

They are derived from `schemas.SCHEMAS`; the tables below say what differs. The check of a body and the OpenAPI document
use the same schemas. Unlike EDC's, they let an empty list of rules pass, as EDC's own server does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from connector.jsonld.shapes import Fault, Shape
from connector.odrl.model import Json
from connector.web.management.errors import ValidationFailure, Violation
from connector.web.management.jsonld import V4_CONTEXT, iri
from connector.web.management.schemas import OBJECT, SCHEMAS, TEXT, Schema, body, ref

# the `@type` of each body; a schema that is not here is our own and stays as it is in version 3
TYPES: Mapping[str, str] = {
    **{name: name for name in ("Asset", "PolicyDefinition", "ContractDefinition", "Secret", "QuerySpec", "Criterion")},
    **{name: name for name in ("CatalogRequest", "DatasetRequest", "ContractRequest", "TransferRequest", "Offer")},
    **{name: name for name in ("TerminateNegotiation", "TerminateTransfer", "SuspendTransfer", "CallbackAddress")},
    **{name + "Update": name for name in ("Asset", "ContractDefinition", "Secret")},
    "PolicyEvaluationPlanRequest": "PolicyEvaluationPlanRequest",
}
MORE = {
    "CatalogRequest": ("counterPartyId",),
    "DatasetRequest": ("counterPartyId",),
    "TransferRequest": ("counterPartyAddress",),
    "CallbackAddress": ("transactional", "events"),
}
FREE = frozenset({"protocol", "reason"})  # mandatory in version 3 only
SPOKEN = frozenset({"CatalogRequest", "DatasetRequest", "ContractRequest", "TransferRequest"})

LOGICAL = ("and", "andSequence", "or", "xone")
OPERATORS = [
    "eq",
    "gt",
    "gteq",
    "lteq",
    "hasPart",
    "isA",
    "isAllOf",
    "isAnyOf",
    "isNoneOf",
    "isPartOf",
    "lt",
    "term-lteq",
    "neq",
]
CONSTRAINTS: Schema = {"type": "array", "items": ref("Constraint")}
RULES: dict[str, Schema] = {
    "profile": {"oneOf": [TEXT, {"type": "array", "items": TEXT}]},
    **{kind: {"type": "array", "items": ref("Rule")} for kind in ("permission", "prohibition", "obligation")},
}
POLICIES: Mapping[str, Schema] = {
    "PolicySet": body("@type", _type={"const": "Set"}, **RULES),
    "Offer": {
        **body("@id @type assigner target", _id=TEXT, _type={"const": "Offer"}, assigner=TEXT, target=TEXT, **RULES),
        "anyOf": [{"required": [kind], "properties": {kind: {"minItems": 1}}} for kind in ("permission", "prohibition")],
    },
    "Rule": body("action", action=TEXT, constraint=CONSTRAINTS),
    "Constraint": {
        "type": "object",
        "properties": {
            "leftOperand": TEXT,
            "operator": {"enum": OPERATORS},
            "rightOperand": {"type": ["string", "object", "array"]},
            **dict.fromkeys(LOGICAL, CONSTRAINTS),
        },
        "oneOf": [*({"required": [name]} for name in LOGICAL), {"required": ["leftOperand", "operator", "rightOperand"]}],
    },
}  # fmt: skip
ROOT: Schema = {
    "required": ["@context"],
    "properties": {"@context": {"type": "array", "items": TEXT, "contains": {"const": V4_CONTEXT}}},
}


@cache
def schemas() -> Mapping[str, Schema]:
    """Return the components of version 4."""
    return {**{name: _typed(name, schema) for name, schema in SCHEMAS.items()}, **POLICIES}


def root(name: str) -> Schema:
    """Return the schema of a body of its own."""
    return {"allOf": [ROOT, ref(name)]} if name in TYPES else ref(name)


def check(name: str, document: Json) -> None:
    """Raise ValidationFailure unless `document` is a body of version 4 that fits the schema `name`."""
    if name in TYPES and (faults := list(_shape(name).faults(document))):
        raise ValidationFailure([_violation(fault) for fault in faults])


@cache
def _shape(name: str) -> Shape:
    return Shape({**root(name), "components": {"schemas": schemas()}})


def _typed(name: str, schema: Schema) -> Schema:
    found: dict[str, Any] = _plain(schema)
    if name not in TYPES:
        return found
    found["properties"]["@type"] = {"const": TYPES[name]}
    found["required"] = [field for field in found.get("required", ()) if field not in FREE]
    found["required"] += ["@type", *MORE.get(name, ())]
    if name == "PolicyDefinition":
        found["properties"]["policy"] = ref("PolicySet")
    if name == "Criterion":
        found["properties"]["operandRight"] = {"type": ["string", "number", "boolean", "object", "array"]}
    if "dataAddress" in found["properties"]:
        found["properties"]["dataAddress"] = OBJECT  # typed like the rest where it is read
    if name in SPOKEN:
        found["properties"]["profile"] = TEXT
        found["oneOf"] = [{"required": [word]} for word in ("protocol", "profile")]
    return found


def _plain(schema: Any) -> Any:
    """Return a copy in which what may be an array or its one element is the array."""
    if isinstance(schema, Mapping):
        options = schema.get("oneOf", ())
        if options and options[0].get("type") == "array" and options[0].get("items") == options[-1]:
            return _plain(options[0])
        return {key: _plain(value) for key, value in schema.items()}
    return [_plain(value) for value in schema] if isinstance(schema, list | tuple) else schema


def _violation(fault: Fault) -> Violation:
    path = "/".join(iri(step) for step in fault.path if isinstance(step, str))
    if fault.missing:
        return Violation(f"mandatory value '{path}' is missing or it is blank", path)
    if not path:
        return Violation("either protocol or profile is mandatory, and not both", iri("protocol"))
    return Violation(fault.words, path, fault.value)
