"""The routes of the management API: each row of the families' tables, under each version that it is served as."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta

import orjson
import structlog
from aiohttp import web

from connector.errors import ConnectorError, NotFound, UnsupportedMedia
from connector.identity.issuers import Caller
from connector.odrl.model import Json
from connector.web.body import read_json_body
from connector.web.management import (
    agreements,
    assets,
    catalog,
    dataplanes,
    definitions,
    edrs,
    events,
    federation,
    negotiations,
    openapi,
    partners,
    policies,
    secrets,
    transfers,
    typed,
)
from connector.web.management.auth import Gate
from connector.web.management.errors import body_of, detail, status_of
from connector.web.management.fields import Fields
from connector.web.management.jsonld import V3, V4, Dialect, Node, decode, read, write
from connector.web.management.operation import Answer, AsIs, Call, Operation, Parts

log = structlog.get_logger()

BASE = "/management"
SLOWEST = timedelta(seconds=15)  # a body that takes longer is refused
NAMED = 10  # fields named in a Warning header

OPERATIONS: tuple[Operation, ...] = (
    *assets.OPERATIONS,
    *policies.OPERATIONS,
    *definitions.OPERATIONS,
    *catalog.OPERATIONS,
    *federation.OPERATIONS,
    *negotiations.OPERATIONS,
    *agreements.OPERATIONS,
    *transfers.OPERATIONS,
    *edrs.OPERATIONS,
    *dataplanes.OPERATIONS,
    *secrets.OPERATIONS,
    *partners.OPERATIONS,
)
# EDC's federated catalogue has a version of its own; "v4beta" is what EDC 0.14 and 0.15 call version 4
VERSIONS: Mapping[str, Dialect] = {"v3": V3, "v4": V4, "v4beta": V4, "v1alpha": V3}

Handler = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]
Guarded = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(parts: Parts) -> list[web.RouteDef]:
    """Return every route below `/management`."""
    found = []
    for version, dialect in VERSIONS.items():
        prefix = f"{BASE}/{version}"
        found.append(web.get(f"{prefix}/openapi.json", _guarded(parts, _document(version)), allow_head=False))
        if parts.notifications is not None:
            stream = events.stream(parts.notifications)
            found.append(web.get(prefix + events.PATH, _guarded(parts, stream), allow_head=False))
        for operation in served(version):
            handler = _guarded(parts, _handler(parts, operation, dialect))
            found.append(web.route(operation.method, prefix + operation.path, handler))
    return [*found, web.route("*", BASE + "/{rest:.*}", _guarded(parts, _unknown))]


def served(version: str) -> list[Operation]:
    """Return the operations that a version has."""
    every = version in ("v3", "v4", "v4beta")
    return [operation for operation in OPERATIONS if version in operation.only or (every and not operation.only)]


def _handler(parts: Parts, operation: Operation, dialect: Dialect) -> Handler:
    async def handler(request: web.Request, caller: Caller) -> web.StreamResponse:
        content = await _body(request, parts.settings.max_body)
        document = decode(content)
        if dialect.typed and operation.request and content.strip():
            typed.check(operation.request, document)
        body = Fields(await read(document))
        call = Call(body, request.match_info.get("id", ""), request.query, dialect.typed, caller)
        answer = await operation.handler(parts, call)
        ignored = list(body.unread())
        return _answered(answer, dialect, ignored)

    return handler


async def _body(request: web.Request, limit: int) -> bytes:
    if not request.can_read_body:  # clients name a type of what they do not send, too
        return b""
    body = await read_json_body(request, limit, SLOWEST)
    # A page in a browser can send text without a type to any address, but not JSON: so what has no type is not taken.
    if body and "Content-Type" not in request.headers:
        raise UnsupportedMedia("the Content-Type is missing: send application/json")
    if body and (request.charset or "utf-8").lower().replace("_", "-") not in ("utf-8", "utf8"):
        raise UnsupportedMedia("JSON is sent in UTF-8")
    return body


def _answered(answer: Answer, dialect: Dialect, ignored: Iterable[str]) -> web.Response:
    names = sorted(ignored)
    if names:
        log.warning("management.ignored", fields=names[:NAMED])
    headers = {"Warning": f'299 - "ignored: {_ascii(", ".join(names[:NAMED]))}"'} if names else {}
    if answer is None:
        return web.Response(status=204, headers=headers)
    written = [_written(one, dialect) for one in answer] if isinstance(answer, list) else _written(answer, dialect)
    return _json(written, 200, headers)


def _written(answer: Node | AsIs, dialect: Dialect) -> Mapping[str, Json]:
    return answer.document if isinstance(answer, AsIs) else write(answer, dialect)


def _guarded(parts: Parts, handler: Handler) -> Guarded:
    """Let in who may come in, and answer every error raised on purpose in EDC's form."""
    gate = Gate(parts.settings.api_key, parts.callers)

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request, await gate.admit(request.headers))
        except ConnectorError as error:
            status, _ = status_of(error)
            return _json(body_of(error), status, {})

    return guarded


def _document(version: str) -> Handler:
    body = orjson.dumps(openapi.document(served(version), f"{BASE}/{version}", typed=VERSIONS[version].typed))

    async def document(request: web.Request, caller: Caller) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return document


async def _unknown(request: web.Request, caller: Caller) -> web.StreamResponse:
    allowed = sorted({row.method for version in VERSIONS for row in served(version) if _serves(version, row, request.path)})
    if allowed:
        words = f"{request.method} is not possible here: use {' or '.join(allowed)}"
        return _json([detail(words, "MethodNotAllowed")], 405, {"Allow": ", ".join(allowed)})
    raise NotFound(f"there is nothing at {request.path[:200]}: {BASE}/v3/openapi.json lists what there is")


def _serves(version: str, operation: Operation, path: str) -> bool:
    pattern = re.escape(operation.path).replace(r"\{id\}", "[^/]+")
    return re.fullmatch(f"{BASE}/{version}{pattern}", path) is not None


def _json(document: object, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, headers=headers, content_type="application/json")


def _ascii(text: str) -> str:
    return re.sub(r"[^ -~]|[\"\\]", "?", text)[:1000]
