"""The routes of the management API: each row of the families' tables, under each version that it is served as."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta

import orjson
import structlog
from aiohttp import web

from connector.errors import ConnectorError, NotFound, UnsupportedMedia
from connector.web.body import read_json_body
from connector.web.management import (
    agreements,
    assets,
    catalog,
    definitions,
    edrs,
    negotiations,
    openapi,
    partners,
    policies,
    secrets,
    transfers,
)
from connector.web.management.auth import authenticate
from connector.web.management.errors import body_of, detail, status_of
from connector.web.management.fields import Fields
from connector.web.management.jsonld import V3, Dialect, read, write
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
    *negotiations.OPERATIONS,
    *agreements.OPERATIONS,
    *transfers.OPERATIONS,
    *edrs.OPERATIONS,
    *secrets.OPERATIONS,
    *partners.OPERATIONS,
)
VERSIONS: Mapping[str, Dialect] = {"v3": V3}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(parts: Parts) -> list[web.RouteDef]:
    """Return every route below `/management`."""
    found = []
    for version, dialect in VERSIONS.items():
        prefix = f"{BASE}/{version}"
        found.append(web.get(f"{prefix}/openapi.json", _guarded(parts, _document(prefix)), allow_head=False))
        for operation in OPERATIONS:
            handler = _guarded(parts, _handler(parts, operation, dialect))
            found.append(web.route(operation.method, prefix + operation.path, handler))
    return [*found, web.route("*", BASE + "/{rest:.*}", _guarded(parts, _unknown))]


def _handler(parts: Parts, operation: Operation, dialect: Dialect) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        body = Fields(await read(await _body(request, parts.settings.max_body)))
        call = Call(body, request.match_info.get("id", ""), request.query)
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
    if isinstance(answer, AsIs):
        return _json(answer.document, 200, headers)
    written = [write(node, dialect) for node in answer] if isinstance(answer, list) else write(answer, dialect)
    return _json(written, 200, headers)


def _guarded(parts: Parts, handler: Handler) -> Handler:
    """Let in who may come in, and answer every error raised on purpose in EDC's form."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            authenticate(request.headers, parts.settings.api_key)
            return await handler(request)
        except ConnectorError as error:
            status, _ = status_of(error)
            return _json(body_of(error), status, {})

    return guarded


def _document(prefix: str) -> Handler:
    body = orjson.dumps(openapi.document(OPERATIONS, prefix))

    async def document(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    return document


async def _unknown(request: web.Request) -> web.StreamResponse:
    allowed = sorted({operation.method for operation in OPERATIONS if _serves(operation, request.path)})
    if allowed:
        words = f"{request.method} is not possible here: use {' or '.join(allowed)}"
        return _json([detail(words, "MethodNotAllowed")], 405, {"Allow": ", ".join(allowed)})
    raise NotFound(f"there is nothing at {request.path[:200]}: {BASE}/v3/openapi.json lists what there is")


def _serves(operation: Operation, path: str) -> bool:
    pattern = re.escape(operation.path).replace(r"\{id\}", "[^/]+")
    return any(re.fullmatch(f"{BASE}/{version}{pattern}", path) for version in VERSIONS)


def _json(document: object, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, headers=headers, content_type="application/json")


def _ascii(text: str) -> str:
    return re.sub(r"[^ -~]|[\"\\]", "?", text)[:1000]
