"""The OpenAPI document, made from the same rows as the routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connector.web.management import typed as version4
from connector.web.management.jsonld import V4_CONTEXT
from connector.web.management.operation import Operation
from connector.web.management.schemas import SCHEMAS, ref

PHRASES = {
    400: "The request is wrong; one entry per violation",
    401: "No key or token, or a wrong one",
    403: "Not from this machine, while neither key nor tokens are set up",
    404: "No such object",
    409: "Exists already, is in use, or is not in a state for this",
    413: "The body is too large or too deep",
    415: "The body is not JSON",
    502: "The peer failed, refused or did not answer",
    503: "The store cannot be used now",
}
JSON = "application/json"
VERSION3 = (
    "Compatible with the management API v3 of Eclipse Dataspace Components. Bodies are JSON-LD or plain JSON; a field that "
    "nobody reads is named in the Warning header of the answer. "
)
VERSION4 = (
    "Compatible with the management API v4 of Eclipse Dataspace Components. Bodies are compact JSON-LD under "
    f"{V4_CONTEXT}, typed at the root and in nested objects. "
)
QUERIES = (
    "Queries: a page has 50 entries unless `limit` says otherwise, which has no upper bound; at most 100 criteria, all of "
    "which must hold. `operandLeft` and `sortField` are any field of the answer, dotted into nested objects, with or "
    "without the EDC namespace; for assets they are `id` or a property's full IRI. A value that is not there satisfies "
    "nothing, not even `!=`. `like` is case-sensitive, `ilike` is not, `%` is any text and `_` one character; `contains` "
    "is for lists. Texts are compared with texts and numbers with numbers. `=` and `in` on ids, parties, assets and "
    "contracts use an index, and so do `createdAt` and `stateTimestamp` with a whole number; any other condition reads the "
    "whole collection. Without `sortField` the newest come first. "
    "Secrets cannot be searched. A body has at most 4,000,000 bytes ([management] max_body) and arrives within 15 seconds."
)


def document(operations: Iterable[Operation], prefix: str, *, typed: bool = False) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(prefix + operation.path, {})[operation.method.lower()] = described(operation, typed)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Connector management API",
            "version": "4.1.0" if typed else "3.1.6",
            "description": (VERSION4 if typed else VERSION3) + QUERIES,
        },
        "paths": paths,
        "components": {
            "schemas": version4.schemas() if typed else SCHEMAS,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
        "security": [{"key": []}, {"token": []}, {}],
    }


def described(operation: Operation, typed: bool = False) -> dict[str, Any]:
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
        schema = version4.root(operation.request) if typed else ref(operation.request)
        row["requestBody"] = {"required": required, "content": {JSON: {"schema": schema}}}
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
