"""The data endpoint of the public listener: `/data` behind EDR access tokens, and `/data/token` that renews them.

A file goes from the kernel to the socket (`loop.sendfile`), in pieces, so that bytes are counted and a revocation bites
between two; its last piece leaves only if the file is still the one that was begun. An answer that cannot be finished breaks
the connection: a client must never take a part for the whole.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import BinaryIO

import orjson
from aiohttp import web

from connector.errors import ConnectorError, Malformed, TooLarge, Unauthorized, Unavailable
from connector.identity.tokens import AccessTokens
from connector.observe import HEADER
from connector.ports import DataRequest, Identity
from connector.services.access import Access, Pull
from connector.web.errors import status_of

PREFIX = "/data"
PIECE = 4 * 1024 * 1024  # bytes given to the kernel at once
LAST = 64 * 1024  # bytes of a file that are held back until it is known to be unchanged; small files are nothing else
STALLED = 120_000  # milliseconds after which a consumer that takes nothing is gone
UPLOAD = 64 * 1024  # bytes of a request body passed on at once
FORM_AT_MOST = 32 * 1024
FORM = "application/x-www-form-urlencoded"


def routes(access: Access, tokens: AccessTokens, identity: Identity) -> list[web.RouteDef]:
    """Return the routes of the data endpoint."""

    async def token(request: web.Request) -> web.StreamResponse:
        try:
            return await _renew(request, access, tokens, identity)
        except ConnectorError as error:
            return _refused(error)

    async def data(request: web.Request) -> web.StreamResponse:
        sending = _Sending(request)
        try:
            async with access.open(_token(request), _asked(request)) as pull:
                await sending.send(pull)
        except ConnectorError as error:
            if not sending.begun:
                return _refused(error)
        except OSError:  # the consumer has gone, or the disk is broken
            if not sending.begun:
                return _refused(Unavailable("the data cannot be read at the moment"))
        finally:
            sending.break_off_unless_whole()
        return sending.response

    return [
        web.post(f"{PREFIX}/token", token),
        web.route("*", PREFIX, data),
        web.route("*", PREFIX + "/{path:.*}", data),
    ]


class _Sending:
    """One answer on its way."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse()
        self.begun = self.whole = False

    async def send(self, pull: Pull) -> None:
        answer = pull.response
        self.response = web.StreamResponse(status=answer.status, headers={**answer.headers, HEADER: pull.correlation_id})
        if answer.chunks is None and answer.file is None and self._request.method != "HEAD":
            self.response.content_length = 0
        if answer.file is not None:
            await self._send_file(pull, *answer.file)
        else:
            await self._begin()
            async for chunk in pull.chunks():
                await self.response.write(chunk)
        await self.response.write_eof()
        self.whole = True

    async def _begin(self) -> None:
        self.begun = True
        _give_up_when_stalled(self._request)
        await self.response.prepare(self._request)

    async def _send_file(self, pull: Pull, file: BinaryIO, offset: int, count: int) -> None:
        held_back = min(count, LAST)
        end = offset + count
        if count > held_back:
            await self._begin()
            await self._send_pieces(pull, file, offset, end - held_back)
        last = os.pread(file.fileno(), held_back, end - held_back)
        if len(last) < held_back or not pull.response.intact():
            raise Unavailable("the dataset changed while it was sent")
        pull.sent += held_back
        await self._begin()
        await self.response.write(last)

    async def _send_pieces(self, pull: Pull, file: BinaryIO, offset: int, end: int) -> None:
        loop = asyncio.get_running_loop()
        while offset < end:
            transport = self._request.transport
            if transport is None or transport.is_closing():
                raise ConnectionResetError
            size = min(PIECE, end - offset)
            pull.sent += size
            if await loop.sendfile(transport, file, offset, size) < size:
                raise Unavailable("the dataset became shorter while it was sent")
            offset += size

    def break_off_unless_whole(self) -> None:
        """Reset the connection under an answer that is begun and not finished."""
        if self.begun and not self.whole and self._request.transport is not None:
            self._request.transport.abort()


def _give_up_when_stalled(request: web.Request) -> None:
    """Let the kernel reset the connection when nothing was taken for `STALLED` (Linux; elsewhere it decides itself)."""
    sock = request.get_extra_info("socket")
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED)


def _token(request: web.Request) -> str:
    """Return the token of the Authorization header: `Bearer TOKEN`, or raw as EDC's clients send it."""
    written = request.headers.getall("Authorization", [])
    if len(written) != 1:
        raise Unauthorized("send the access token of the EDR in one Authorization header")
    scheme, _, rest = written[0].strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else written[0].strip()


def _asked(request: web.Request) -> DataRequest:
    url = request.rel_url
    body = _body(request) if request.can_read_body else None
    headers = {name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers}
    return DataRequest(request.method, url.raw_path.removeprefix(PREFIX), url.raw_query_string, headers, body)


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_chunked(UPLOAD):
        yield chunk


async def _renew(request: web.Request, access: Access, tokens: AccessTokens, identity: Identity) -> web.Response:
    caller = await identity.verify(request.headers.get("Authorization"))
    if request.content_type != FORM:
        raise Malformed(f"send grant_type=refresh_token and refresh_token as {FORM}")
    if (request.content_length or FORM_AT_MOST + 1) > FORM_AT_MOST:
        raise TooLarge(f"send a Content-Length of at most {FORM_AT_MOST}")
    form = await request.post()
    token = form.get("refresh_token")
    if form.get("grant_type") != "refresh_token" or not isinstance(token, str):
        raise Malformed("the form has to hold grant_type=refresh_token and refresh_token")
    address = await access.renew(tokens.verify_refresh(token), caller)
    answer = {
        "access_token": address.get("authorization"),
        "token_type": "Bearer",
        "expires_in": int(tokens.lifetime.total_seconds()),
        "refresh_token": address.get("refreshToken"),
    }
    return web.Response(body=orjson.dumps(answer), content_type="application/json", headers={"Cache-Control": "no-store"})


def _refused(error: ConnectorError) -> web.Response:
    """Return the error as JSON; a source that does not answer makes this endpoint a bad gateway."""
    status = 502 if isinstance(error, Unavailable) else status_of(error)
    body = orjson.dumps({"code": error.code, "reason": str(error)})
    response = web.Response(status=status, body=body, content_type="application/json")
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return response
