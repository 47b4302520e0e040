"""JSON Schema checks by our own shapes in `vocab/schemas/`, and what is wrong in words that name the field.

Each shape has two uses. The *gate* is closed: it lets only the canonical compact form through, in which plain JSON and
JSON-LD say the same (DSP-002). After JSON-LD processing the same shape is used *open*: rules of the gate
(`additionalProperties`, `gate-*`) are left out, since unknown properties are no fault (DSP-006).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema_rs
import orjson
from jsonschema_rs import ValidationError, ValidationErrorKind

from connector.assets import shipped
from connector.errors import Malformed

SCHEMA = "dspace-2025-1.json"
AT_MOST = 3  # faults told at once
FORMS = {
    "callbackAddress": "an http or https URL",
    "endpointURL": "an http or https URL",
    "timestamp": "an xsd:dateTime such as 2026-11-23T08:00:00Z",
    "path": "an absolute path",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a document, and whether it is only that a member is missing there."""

    path: tuple[str | int, ...]
    words: str
    value: Any
    missing: bool


class Shape:
    """A JSON Schema of somebody's own."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._validator = jsonschema_rs.Draft202012Validator(dict(schema), offline=True)

    def faults(self, document: Any) -> Iterator[Fault]:
        for error in self._validator.iter_errors(document):
            path, value = tuple(error.instance_path), error.instance
            match error.kind:
                case ValidationErrorKind.Required(name):
                    yield Fault((*path, name), _words(error), None, True)
                case _:
                    yield Fault(path, _words(error), value, False)


def passes_gate(name: str, document: Any) -> bool:
    """Say whether `document` is in the canonical form of shape `name`."""
    return _validator(name, True).is_valid(document)


def check(name: str, document: Any) -> None:
    """Raise Malformed, naming the fields, unless `document` has the open shape `name`."""
    validator = _validator(name, False)
    if not validator.is_valid(document):
        words = dict.fromkeys(_words(error) for error in validator.iter_errors(document))
        raise Malformed("; ".join(list(words)[:AT_MOST]))


@cache
def _definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = orjson.loads((shipped("vocab") / "schemas" / SCHEMA).read_bytes())["$defs"]
    return definitions


@cache
def _validator(name: str, closed: bool) -> jsonschema_rs.Validator:
    definitions = _definitions() if closed else _opened(_definitions())
    return jsonschema_rs.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}, offline=True)


def _opened(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: True if key.startswith("gate-") else _opened(value)
            for key, value in schema.items()
            if key != "additionalProperties"
        }
    return [_opened(value) for value in schema] if isinstance(schema, list) else schema


def _words(error: ValidationError) -> str:
    where = _path(error.instance_path)
    match error.kind:
        case ValidationErrorKind.Required(name):
            return f"{_path([*error.instance_path, name])} is missing"
        case ValidationErrorKind.Type(types):
            return f"{where} must be {_any_of(types)}, not {_kind(error.instance)}"
        case ValidationErrorKind.Constant(value):
            return f"{where} must be {value!r}"
        case ValidationErrorKind.Enum(options):
            return f"{where} must be one of {', '.join(map(str, options))}"
        case ValidationErrorKind.Pattern(_):
            return f"{where} must be {FORMS.get(str(error.instance_path[-1]), 'in another form')}"
        case ValidationErrorKind.FalseSchema():
            return f"{where} must not be given here"
        case ValidationErrorKind.MinItems(_) | ValidationErrorKind.MinLength(_):
            return f"{where} must not be empty"
        case ValidationErrorKind.PropertyNames(inner):
            return f"{_path([*error.instance_path, str(inner.instance)[:100]])} is not known here"
        case ValidationErrorKind.OneOfMultipleValid(_) | ValidationErrorKind.OneOfNotValid(_):
            return f"{where} must have exactly one of and, or, xone, andSequence"
        case kind:
            return f"{where} breaks the rule {kind.name} ({kind.value})"


def _path(path: list[str | int]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the message"


def _any_of(types: list[str]) -> str:
    articles = {"array": "an array", "object": "an object", "integer": "an integer"}
    return " or ".join(articles.get(name, f"a {name}") for name in types)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
