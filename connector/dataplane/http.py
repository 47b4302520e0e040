"""An HTTP service as a source, in EDC's terms: `{"type": "HttpData", "baseUrl": ..., ...}`.

The address says what of the consumer's request goes on: `proxyMethod`, `proxyPath`, `proxyQueryParams`, `proxyBody` ("true"
or "false"). Without them it is a GET or HEAD of `baseUrl` (+ `path`, `queryParams`), and anything more is refused rather
than dropped, because a filter that was ignored would give too much. `methods` narrows what `proxyMethod` lets through,
`method` fixes it. `authKey` and `authCode` are the header that opens the origin, `header:NAME` any other.

Both directions are lists of what passes, never of what does not: the consumer's Authorization stays here, the origin's
credentials, cookies, name and addresses stay there. A status of the origin that speaks of the request (404, 412, 416, ...)
goes on without its body, which may tell of the inside; one that speaks of our credentials, of a redirect, or of itself is
Unavailable. Redirects are not followed: where the data is, the operator has said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from connector.errors import Malformed, NotFound, Unavailable
from connector.ports import DataRequest, DataResponse

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SWITCHES = ("proxyMethod", "proxyPath", "proxyQueryParams", "proxyBody")
KEYS = frozenset(
    {"type", "name", "baseUrl", "path", "queryParams", "method", "methods", "contentType", "mediaType"}
    | {"authKey", "authCode", "secretName", *SWITCHES}
)
CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range")
ONWARD = ("accept", "accept-language", "accept-encoding", *CONDITIONS)
ONWARD_WITH_BODY = ("content-type", "content-length", "content-encoding", "content-language")
BACK = (
    *("Content-Type", "Content-Length", "Content-Range", "Content-Encoding", "Content-Language", "Content-Disposition"),
    *("ETag", "Last-Modified", "Accept-Ranges", "Vary", "Expires", "Retry-After", "Allow"),
)
OUR_FAULT = frozenset({401, 402, 403, 407, 408, 421, 425, 431, 511})
BUFFER = 256 * 1024  # bytes read ahead of a slow consumer
TIMEOUT = ClientTimeout(total=None, sock_connect=10, sock_read=120)


class HttpSource:
    """ports.Source over HTTP services. `close` it with the application."""

    def __init__(self, timeout: ClientTimeout = TIMEOUT) -> None:
        self._timeout = timeout
        self._session: ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def check(self, address: Mapping[str, str]) -> str | None:
        return next(_problems(address), None)

    async def open(self, address: Mapping[str, str], request: DataRequest) -> DataResponse:
        method = _method(address, request)
        if method is None:
            return DataResponse(405, {"Allow": ", ".join(_allowed(address))})
        url, body = _url(address, request), _body(address, request)
        try:
            response = await self._client().request(
                method, url, headers=_headers(address, request, body is not None), data=body, allow_redirects=False
            )
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable("the data source does not answer") from error
        return _answer(response, request.method)

    def _client(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                timeout=self._timeout,
                connector=TCPConnector(limit=0, limit_per_host=256),
                cookie_jar=DummyCookieJar(),  # one consumer's session must not become another's
                auto_decompress=False,
                read_bufsize=BUFFER,
            )
        return self._session


def _problems(address: Mapping[str, str]) -> Iterator[str]:
    base = urlsplit(address.get("baseUrl", ""))
    if base.scheme not in ("http", "https") or not base.hostname:
        yield "an HttpData needs a baseUrl: the http:// or https:// address of the data"
    elif base.username or base.password:
        yield "baseUrl holds a user name or password; use authKey and secretName"
    for name in SWITCHES:
        if address.get(name, "false").lower() not in ("true", "false"):
            yield f'{name} is "true" or "false"'
    for name in address.keys() - KEYS:
        if not name.startswith("header:"):
            yield f"unknown key {name}; known: {', '.join(sorted(KEYS))}, header:NAME"
    for name in (*_listed(address.get("methods", "")), *_listed(address.get("method", ""))):
        if name not in METHODS:
            yield f"{name} is no method that can be offered: {', '.join(METHODS)}"
    if ("authKey" in address) != ("authCode" in address or "secretName" in address):
        yield "authKey (the header) and secretName (the secret that holds its value) go together"


def _on(address: Mapping[str, str], switch: str) -> bool:
    return address.get(switch, "false").lower() == "true"


def _listed(text: str) -> list[str]:
    return [name.strip().upper() for name in text.split(",") if name.strip()]


def _allowed(address: Mapping[str, str]) -> list[str]:
    if _on(address, "proxyMethod"):
        return _listed(address.get("methods", "")) or list(METHODS)
    return list(dict.fromkeys(["GET", *_listed(address.get("method", "HEAD"))]))


def _method(address: Mapping[str, str], request: DataRequest) -> str | None:
    if request.method not in _allowed(address):
        return None
    return request.method if _on(address, "proxyMethod") else address.get("method", request.method).upper()


def _body(address: Mapping[str, str], request: DataRequest) -> AsyncIterator[bytes] | None:
    if request.body is not None and not _on(address, "proxyBody"):
        raise Malformed("this dataset takes no request body; leave it out")
    return request.body


def _url(address: Mapping[str, str], request: DataRequest) -> URL:
    base = urlsplit(address.get("baseUrl", ""))
    path = base.path
    if "path" in address:
        path = path.rstrip("/") + "/" + address["path"].lstrip("/")
    if request.path.strip("/"):
        if not _on(address, "proxyPath"):
            raise NotFound("this dataset is one resource; there is nothing below its address")
        path = path.rstrip("/") + "/" + _safe(request.path.removeprefix("/"))
    if request.query and not _on(address, "proxyQueryParams"):
        raise Malformed("this dataset takes no query; leave it out")
    query = "&".join(filter(None, (base.query, address.get("queryParams", ""), request.query)))
    return URL(f"{base.scheme}://{base.netloc}{path or '/'}{'?' + query if query else ''}", encoded=True)


def _safe(path: str) -> str:
    """Return `path` if, read as any server may read it, it stays below where it begins. Raises NotFound."""
    parts = path.split("/")
    for at, part in enumerate(parts):
        read = part
        while (once := unquote(read, errors="replace")) != read:
            read = once
            _refuse(any(letter in "/\\?#" for letter in read))
        _refuse(any(letter in "\\?#" or not letter.isprintable() or letter == "\ufffd" for letter in read))
        _refuse(read.split(";")[0].strip() in (".", "..") or (not part and at < len(parts) - 1))
    return path


def _refuse(suspicious: bool) -> None:
    if suspicious:
        raise NotFound("this path leaves the dataset, or may be read so")


def _headers(address: Mapping[str, str], request: DataRequest, with_body: bool) -> dict[str, str]:
    names = ONWARD + ONWARD_WITH_BODY if with_body else ONWARD
    headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "hospital-connector"}
    headers |= {name: request.headers[name] for name in names if name in request.headers}
    headers |= {name[7:].lower(): value for name, value in address.items() if name.startswith("header:")}
    if with_body and "contentType" in address:
        headers.setdefault("content-type", address["contentType"])
    if "authKey" in address and "authCode" in address:
        headers[address["authKey"].lower()] = address["authCode"]
    return headers


def _answer(response: ClientResponse, method: str) -> DataResponse:
    status = response.status
    headers = {name: response.headers[name] for name in BACK if name in response.headers}
    if status >= 500 or status in OUR_FAULT or (300 <= status < 400 and status != 304):
        response.close()
        raise Unavailable(f"the data source answered {status}; its operator has to look after it")
    if status >= 300:
        response.close()
        kept = {name: value for name, value in headers.items() if not name.startswith("Content-") or name == "Content-Range"}
        return DataResponse(status, kept)
    if method == "HEAD":
        response.release()
        return DataResponse(status, headers)
    return DataResponse(status, headers, chunks=_chunks(response), close=response.close)


async def _chunks(response: ClientResponse) -> AsyncIterator[bytes]:
    """Yield the origin's body as fast as it is taken; a body that breaks off raises, so that it never seems complete."""
    content: Any = response.content
    try:
        async for chunk in content.iter_any():
            yield chunk
    except (ClientError, TimeoutError, OSError) as error:
        raise Unavailable("the data source broke off") from error
    finally:
        response.close()
