"""The Dataspace Protocol over HTTPS: one route per version and row of `dsp.binding.ENDPOINTS` (sections 4.3, 6, 8, 10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

import orjson
import structlog
from aiohttp import web

from connector.config import Public
from connector.dsp import codec, dialects
from connector.dsp.binding import ENDPOINTS, WELL_KNOWN, Endpoint
from connector.dsp.dialects import DIALECTS, NEWEST, Dialect
from connector.dsp.messages import Message
from connector.dsp.process import Process
from connector.errors import Conflict, ConnectorError, Denied, Unauthorized
from connector.identity.participant import Participant
from connector.jsonld.document import normalise
from connector.observe import Metrics
from connector.ports import Identity
from connector.services.catalog import Catalogs
from connector.services.negotiations import Negotiations
from connector.services.transfers import Transfers
from connector.web.body import read_json_body
from connector.web.errors import status_of

log = structlog.get_logger()

ROOT = "/dsp"
BASE = ROOT + NEWEST.path
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class DspParts:
    """What the protocol surface needs."""

    identity: Identity
    catalogs: Catalogs
    negotiations: Negotiations
    transfers: Transfers
    public: Public
    metrics: Metrics


def routes(parts: DspParts) -> list[web.RouteDef]:
    versions = [web.get(WELL_KNOWN, _version), web.get(ROOT + WELL_KNOWN, _version_below)]
    return versions + [route for dialect in DIALECTS for route in _spoken(parts, dialect)]


def _spoken(parts: DspParts, dialect: Dialect) -> list[web.RouteDef]:
    """Return the routes of one version: which one a message is in, its path says, and nothing else (DSP-103)."""
    base, negotiations, transfers = ROOT + dialect.path, parts.negotiations.show, parts.transfers.show
    found = [
        web.post(f"{base}/catalog/request", _answering(dialect, "catalog", lambda r: _catalog(parts, dialect, r))),
        web.get(f"{base}/catalog/datasets/{{id}}", _answering(dialect, "catalog", lambda r: _dataset(parts, dialect, r))),
        web.get(
            f"{base}/negotiations/{{pid}}",
            _answering(dialect, "negotiations", lambda r: _show(parts, dialect, r, negotiations)),
        ),
        web.get(
            f"{base}/transfers/{{pid}}", _answering(dialect, "transfers", lambda r: _show(parts, dialect, r, transfers))
        ),
    ]
    return found + [web.post(base + endpoint.path, _taking(parts, dialect, endpoint)) for endpoint in ENDPOINTS]


async def _version(request: web.Request) -> web.Response:
    """Unversioned and unauthenticated (DSP-013); `path` is appended to the URL in front of `/.well-known`."""
    return _json(codec.write_versions(dialects.announced(ROOT)))


async def _version_below(request: web.Request) -> web.Response:
    """The same below `/dsp`, for peers that look in front of the version path (DSP-012 allows a sub-path)."""
    return _json(codec.write_versions(dialects.announced("")))


def _taking(parts: DspParts, dialect: Dialect, endpoint: Endpoint) -> Handler:
    """Return the handler of one endpoint that takes messages."""

    async def handler(request: web.Request) -> web.Response:
        body, kind, pid = b"", "unreadable", request.match_info.get("pid")
        try:
            caller = await parts.identity.verify(request.headers.get("Authorization"))
            body = await read_json_body(request, parts.public.max_body, parts.public.body_timeout)
            document = await normalise(body, codec.wire_types(endpoint.kinds), dialect.namespace)
            message = codec.read_message(document, endpoint.kinds)
            kind = message.kind
            process = await _receive(parts, dialect, endpoint, caller, pid, message)
        except ConnectorError as error:
            parts.metrics.messages.labels("in", kind, "refused").inc()
            return _refusal(dialect, endpoint.family, error, body, pid)
        parts.metrics.messages.labels("in", kind, "taken").inc()
        return _json(dialect.write(codec.write_ack(process)), 201 if endpoint.creates else 200)

    return handler


async def _receive(
    parts: DspParts, dialect: Dialect, endpoint: Endpoint, caller: Participant, pid: str | None, message: Message
) -> Process:
    try:
        if endpoint.family == "negotiations":
            return await parts.negotiations.receive(caller, endpoint, pid, message, dialect.protocol)  # type: ignore[arg-type]
        return await parts.transfers.receive(caller, endpoint, pid, message, dialect.protocol)  # type: ignore[arg-type]
    except ConnectorError as error:
        log.info("message.refused", kind=message.kind, peer=caller.id, pid=pid, code=error.code, error=str(error))
        raise


async def _catalog(parts: DspParts, dialect: Dialect, request: web.Request) -> web.Response:
    caller = await parts.identity.verify(request.headers.get("Authorization"))
    body = await read_json_body(request, parts.public.max_body, parts.public.body_timeout)
    document = await normalise(body, frozenset({"CatalogRequestMessage"}), dialect.namespace)
    asked, token = codec.read_catalog_request(document), request.query.get("page")
    page = await asyncio.to_thread(parts.catalogs.answer, caller, asked, token, dialect)  # 10,000 datasets take their time
    response = _json(page.body)
    for relation, token in (("next", page.next), ("previous", page.previous)):
        if token is not None:
            url = f"{parts.public.url.rstrip('/')}{ROOT}{dialect.path}/catalog/request?page={quote(token)}"
            response.headers.add("Link", f'<{url}>; rel="{relation}"')
    if len(page.body) > 1400:
        response.enable_compression()  # gzip where the caller accepts it (DSP-049)
    return response


async def _dataset(parts: DspParts, dialect: Dialect, request: web.Request) -> web.Response:
    caller = await parts.identity.verify(request.headers.get("Authorization"))
    return _json(parts.catalogs.dataset_for(caller, request.match_info["id"], dialect))


async def _show(
    parts: DspParts, dialect: Dialect, request: web.Request, show: Callable[[Participant, str], Awaitable[Process]]
) -> web.Response:
    caller = await parts.identity.verify(request.headers.get("Authorization"))
    return _json(dialect.write(codec.write_ack(await show(caller, request.match_info["pid"]))))


def _answering(dialect: Dialect, family: str, handler: Handler) -> Handler:
    async def answering(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ConnectorError as error:
            return _refusal(dialect, family, error, b"", request.match_info.get("pid"))

    return answering


def _refusal(dialect: Dialect, family: str, error: ConnectorError, asked: bytes, pid: str | None) -> web.Response:
    """Answer in the protocol's own form: CatalogError, ContractNegotiationError, TransferError (DSP-034, DSP-065).

    The pids are those of the message, however unreadable the rest of it was (DSP-066).
    """
    status = status_of(error)
    if isinstance(error, Conflict | Denied):
        status = 400  # a 409 or 403 invites some peers to try again; the step is final
    named = codec.read_ack(asked)
    body = codec.write_error(family, named.consumer_pid, named.provider_pid or pid, error.code, [str(error)])
    response = _json(dialect.write(body), status)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    if status in (413, 415):
        response.force_close()
    return response


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def plain_error(status: int, code: str, reason: str) -> web.Response:
    """An error outside the protocol: an unknown path, a wrong method."""
    return _json(orjson.dumps({"code": code, "reason": [reason]}), status)
