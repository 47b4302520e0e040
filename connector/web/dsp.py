"""The Dataspace Protocol over HTTPS: one route per row of `dsp.binding.ENDPOINTS` (DSP 2025-1, sections 4.3, 6, 8, 10)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

import orjson
import structlog
from aiohttp import web

from connector.config import Public
from connector.dsp import codec
from connector.dsp.binding import ENDPOINTS, VERSION, WELL_KNOWN, Endpoint
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

BASE = f"/dsp/{VERSION}"
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
    found = [
        web.get(WELL_KNOWN, _version),
        web.get(f"/dsp{WELL_KNOWN}", _version_below),
        web.post(f"{BASE}/catalog/request", _answering("catalog", lambda r: _catalog(parts, r))),
        web.get(f"{BASE}/catalog/datasets/{{id}}", _answering("catalog", lambda r: _dataset(parts, r))),
        web.get(
            f"{BASE}/negotiations/{{pid}}", _answering("negotiations", lambda r: _show(parts, r, parts.negotiations.show))
        ),
        web.get(f"{BASE}/transfers/{{pid}}", _answering("transfers", lambda r: _show(parts, r, parts.transfers.show))),
    ]
    return found + [web.post(BASE + endpoint.path, _taking(parts, endpoint)) for endpoint in ENDPOINTS]


async def _version(request: web.Request) -> web.Response:
    """Unversioned and unauthenticated (DSP-013); `path` is appended to the URL in front of `/.well-known`."""
    return _json(codec.write_version(BASE))


async def _version_below(request: web.Request) -> web.Response:
    """The same below `/dsp`, for peers that look in front of the version path (DSP-012 allows a sub-path)."""
    return _json(codec.write_version(f"/{VERSION}"))


def _taking(parts: DspParts, endpoint: Endpoint) -> Handler:
    """Return the handler of one endpoint that takes messages."""

    async def handler(request: web.Request) -> web.Response:
        body, kind = b"", "unreadable"
        try:
            caller = await parts.identity.verify(request.headers.get("Authorization"))
            body = await read_json_body(request, parts.public.max_body, parts.public.body_timeout)
            document = await normalise(body, codec.wire_types(endpoint.kinds))
            message = codec.read_message(document, endpoint.kinds)
            kind = message.kind
            process = await _receive(parts, endpoint, caller, request.match_info.get("pid"), message)
        except ConnectorError as error:
            parts.metrics.messages.labels("in", kind, "refused").inc()
            return _refusal(endpoint.family, error, body, request.match_info.get("pid"))
        parts.metrics.messages.labels("in", kind, "taken").inc()
        return _json(codec.write_ack(process), 201 if endpoint.creates else 200)

    return handler


async def _receive(parts: DspParts, endpoint: Endpoint, caller: Participant, pid: str | None, message: Message) -> Process:
    try:
        if endpoint.family == "negotiations":
            return await parts.negotiations.receive(caller, endpoint, pid, message)  # type: ignore[arg-type]
        return await parts.transfers.receive(caller, endpoint, pid, message)  # type: ignore[arg-type]
    except ConnectorError as error:
        log.info("message.refused", kind=message.kind, peer=caller.id, pid=pid, code=error.code, error=str(error))
        raise


async def _catalog(parts: DspParts, request: web.Request) -> web.Response:
    caller = await parts.identity.verify(request.headers.get("Authorization"))
    body = await read_json_body(request, parts.public.max_body, parts.public.body_timeout)
    document = await normalise(body, frozenset({"CatalogRequestMessage"}))
    asked, token = codec.read_catalog_request(document), request.query.get("page")
    page = await asyncio.to_thread(parts.catalogs.answer, caller, asked, token)  # ten thousand datasets take their time
    response = _json(page.body)
    for relation, token in (("next", page.next), ("previous", page.previous)):
        if token is not None:
            url = f"{parts.public.url.rstrip('/')}{BASE}/catalog/request?page={quote(token)}"
            response.headers.add("Link", f'<{url}>; rel="{relation}"')
    if len(page.body) > 1400:
        response.enable_compression()  # gzip where the caller accepts it (DSP-049)
    return response


async def _dataset(parts: DspParts, request: web.Request) -> web.Response:
    caller = await parts.identity.verify(request.headers.get("Authorization"))
    return _json(parts.catalogs.dataset_for(caller, request.match_info["id"]))


async def _show(
    parts: DspParts, request: web.Request, show: Callable[[Participant, str], Awaitable[Process]]
) -> web.Response:
    caller = await parts.identity.verify(request.headers.get("Authorization"))
    return _json(codec.write_ack(await show(caller, request.match_info["pid"])))


def _answering(family: str, handler: Handler) -> Handler:
    async def answering(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ConnectorError as error:
            return _refusal(family, error, b"", request.match_info.get("pid"))

    return answering


def _refusal(family: str, error: ConnectorError, asked: bytes, pid: str | None) -> web.Response:
    """Answer in the protocol's own form: CatalogError, ContractNegotiationError, TransferError (DSP-034, DSP-065).

    The pids are those of the message, however unreadable the rest of it was (DSP-066).
    """
    status = status_of(error)
    if isinstance(error, Conflict | Denied):
        status = 400  # a 409 or 403 invites some peers to try again; the step is final
    named = codec.read_ack(asked)
    body = codec.write_error(family, named.consumer_pid, named.provider_pid or pid, error.code, [str(error)])
    response = _json(body, status)
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
