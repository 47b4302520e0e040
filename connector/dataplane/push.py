"""An HTTP endpoint as the place that data is pushed to, in EDC's terms: `{"type": "HttpData", "baseUrl": ..., ...}`.

One request, POST or the `method` asked (PUT, PATCH), to `baseUrl` (+ `path`, `queryParams`), streamed with the source's own
pace and the destination's. `authKey` and `authCode` are the header that opens it, `authorization` (with `authType`) the
Authorization header of DSP-086, `header:NAME` any other. The address is the consumer's word: it is called only where the
guard of `peers` lets us go, redirects are not followed, and nothing it answers is shown.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver
from yarl import URL

from connector.errors import Forbidden, NotTaken, Unavailable

METHODS = ("POST", "PUT", "PATCH")
DESCRIBING = ("Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Content-Disposition", "ETag")
FRAMING = frozenset({"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect"})
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # of a header, RFC 9110
VALUE = re.compile(r"[\x20-\x7e\x80-\uffff]*")
AGAIN = frozenset({408, 425, 429})
STALLED = 120.0  # seconds in which a destination has to take something, or to answer
LATE = 5.0  # seconds for our own side to notice that everything was sent


class HttpSink:
    """ports.Sink over HTTP. `allowed` raises Forbidden for a URL, `resolver` for a name, that we do not call."""

    def __init__(self, resolver: AbstractResolver, allowed: Callable[[URL], None], stalled: float = STALLED) -> None:
        self._resolver, self._allowed, self._stalled = resolver, allowed, stalled
        self._session: ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def check(self, address: Mapping[str, str]) -> str | None:
        if wrong := next(_problems(address), None):
            return wrong
        try:
            self._allowed(_url(address))
        except ValueError:
            return "baseUrl is no URL"
        except Forbidden as error:
            return str(error)
        return None

    async def push(self, address: Mapping[str, str], headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        if wrong := self.check(address):
            raise NotTaken(f"the destination cannot be used: {wrong}")
        method, url = address.get("method", "POST").upper(), _url(address)
        sending = _Sending(chunks, self._stalled)
        try:
            async with (
                asyncio.timeout(self._stalled) as sending.limit,
                self._client().request(
                    method, url, headers=_headers(address, headers), data=sending.body(), allow_redirects=False
                ) as answer,
            ):
                await self._judge(answer.status, sending)
        except TimeoutError as error:
            raise Unavailable(f"the destination {url.host} did not go on for {self._stalled:g} s") from error
        except (Forbidden, ClientError, OSError, ValueError) as error:
            cause = error if isinstance(error, Forbidden) else error.__cause__
            if isinstance(cause, Forbidden):
                raise NotTaken(f"the destination cannot be used: {cause}") from error
            raise Unavailable(f"the destination {url.host} cannot be reached, or broke off") from error

    async def _judge(self, status: int, sending: _Sending) -> None:
        if status in AGAIN or status >= 500:
            raise Unavailable(f"the destination answered {status}")
        if status >= 300:
            raise NotTaken(f"the destination answered {status}; ask again with an address that takes the data")
        try:
            async with asyncio.timeout(LATE):
                await sending.whole.wait()
        except TimeoutError as error:
            raise Unavailable(f"the destination answered {status} before it had everything") from error

    def _client(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                timeout=ClientTimeout(total=None, sock_connect=10),
                # A connection that was answered early has half a body in it: none is used twice.
                connector=TCPConnector(limit=0, resolver=self._resolver, force_close=True),
                cookie_jar=DummyCookieJar(),
            )
        return self._session


class _Sending:
    """The body on its way: each piece taken puts `limit` off; `whole` is set when the last one was."""

    def __init__(self, chunks: AsyncIterator[bytes], stalled: float) -> None:
        self._chunks, self._stalled = chunks, stalled
        self.limit: asyncio.Timeout | None = None
        self.whole = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            yield chunk
            if self.limit is not None and not self.limit.expired():
                self.limit.reschedule(asyncio.get_running_loop().time() + self._stalled)
        self.whole.set()


def _problems(address: Mapping[str, str]) -> Iterator[str]:
    try:
        base = urlsplit(address.get("baseUrl", ""))
        known = base.scheme in ("http", "https") and bool(base.hostname) and (base.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        yield "write a baseUrl: the http:// or https:// address that takes the data"
        return
    if base.username or base.password:
        yield "baseUrl holds a user name or password; use authKey and authCode"
    if (method := address.get("method", "POST")).upper() not in METHODS:
        yield f"method {method[:20]} brings no data: use {', '.join(METHODS)}"
    if "secretName" in address or any(name.startswith("oauth2:") for name in address):
        yield "secretName and oauth2 name what only your side can read; send authKey and authCode"
    if ("authKey" in address) != ("authCode" in address):
        yield "authKey (the header) and authCode (its value) go together"
    for name, value in _opening(address):
        if not NAME.fullmatch(name) or name.lower() in FRAMING or not VALUE.fullmatch(value):
            yield f"the header {name[:100]!r} cannot be sent"


def _opening(address: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the headers that the address asks for."""
    yield from ((name[7:], value) for name, value in address.items() if name.startswith("header:"))
    if "authorization" in address:
        bearer = address.get("authType", "").lower() == "bearer"
        yield "Authorization", f"Bearer {address['authorization']}" if bearer else address["authorization"]
    if "authKey" in address and "authCode" in address:
        yield address["authKey"], address["authCode"]


def _headers(address: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, str]:
    sent = {"User-Agent": "hospital-connector"} | {name: headers[name] for name in DESCRIBING if name in headers}
    if "contentType" in address:
        sent["Content-Type"] = address["contentType"]
    return sent | dict(_opening(address))


def _url(address: Mapping[str, str]) -> URL:
    base = urlsplit(address["baseUrl"])
    path = base.path
    if "path" in address:
        path = path.rstrip("/") + "/" + address["path"].lstrip("/")
    query = "&".join(filter(None, (base.query, address.get("queryParams", ""))))
    return URL(f"{base.scheme}://{base.netloc}{path or '/'}{'?' + query if query else ''}")
