"""The OpenAPI document, made from the same rows as the routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connector.web.management.operation import Operation
from connector.web.management.schemas import SCHEMAS, ref

PHRASES = {
    400: "The request is wrong; one entry per violation",
    401: "No key, or a wrong one",
    403: "Not from this machine, while no key is set",
    404: "No such object",
    409: "Exists already, is in use, or is not in a state for this",
    413: "The body is too large or too deep",
    415: "The body is not JSON",
    502: "The peer failed, refused or did not answer",
    503: "The store cannot be used now",
}
JSON = "application/json"


def document(operations: Iterable[Operation], prefix: str) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(prefix + operation.path, {})[operation.method.lower()] = described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Connector management API",
            "version": "3.1.6",
            "description": "Compatible with the management API v3 of Eclipse Dataspace Components. Bodies are JSON-LD or "
            "plain JSON; a field that nobody reads is named in the Warning header of the answer.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}},
        },
        "security": [{"key": []}, {}],
    }


def described(operation: Operation) -> dict[str, Any]:
    family, _, rest = operation.path.lstrip("/").partition("/")
    name = "-".join(part.strip("{}") for part in (operation.method.lower(), family, *rest.split("/")) if part)
    row: dict[str, Any] = {
        "operationId": name,
        "tags": [family],
        "summary": operation.summary,
        "responses": responses(operation),
    }
    parameters = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
    parameters = parameters if "{id}" in operation.path else []
    parameters += [{"name": n, "in": "query", "required": False, "schema": {"type": "boolean"}} for n in operation.params]
    if parameters:
        row["parameters"] = parameters
    if operation.request is not None:
        required = bool(SCHEMAS[operation.request].get("required"))
        row["requestBody"] = {"required": required, "content": {JSON: {"schema": ref(operation.request)}}}
    return row


def responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if operation.response is None:
        found["204"] = {"description": "Done"}
    else:
        one = ref(operation.response)
        schema = {"type": "array", "items": one} if operation.many else one
        found["200"] = {"description": "The answer", "content": {JSON: {"schema": schema}}}
    reads = {413, 415} if operation.method in ("POST", "PUT") else set()
    errors = {"type": "array", "items": ref("ApiErrorDetail"), "minItems": 1}
    for status in sorted({*operation.errors, 401, 403, 503, *reads, *({400} if reads else ())}):
        found[str(status)] = {"description": PHRASES[status], "content": {JSON: {"schema": errors}}}
    return found
