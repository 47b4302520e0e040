"""HTTP services as sources: what passes in each direction, what does not, and how an origin's trouble looks from outside."""

import asyncio
import posixpath
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from aiohttp import ClientTimeout, web
from hypothesis import given
from hypothesis import strategies as st

from connector.dataplane.http import HttpSource, _safe
from connector.errors import Malformed, NotFound, Unavailable
from connector.ports import DataRequest, DataResponse

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ALL = {"proxyMethod": "true", "proxyPath": "true", "proxyQueryParams": "true", "proxyBody": "true"}


@asynccontextmanager
async def origin(handler: Handler) -> AsyncIterator[str]:
    """A data source of the hospital's: whatever is asked goes to `handler`."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


@pytest.fixture
async def source() -> AsyncIterator[HttpSource]:
    source = HttpSource(ClientTimeout(total=None, sock_connect=2, sock_read=2))
    yield source
    await source.close()


def asked(
    method: str = "GET", path: str = "", query: str = "", body: AsyncIterator[bytes] | None = None, **headers: str
) -> DataRequest:
    return DataRequest(method, path, query, {name.replace("_", "-"): value for name, value in headers.items()}, body)


async def whole(response: DataResponse) -> bytes:
    return b"".join([chunk async for chunk in response.chunks]) if response.chunks else b""


async def echo(request: web.Request) -> web.Response:
    """Say what arrived."""
    said = {
        "method": request.method,
        "url": str(request.rel_url.raw_path_qs),
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "body": (await request.content.read()).decode(),
    }
    return web.json_response(
        said, headers={"X-Inside": "yes", "Set-Cookie": "a=b", "Location": "http://inside", "Server": "secret/1"}
    )


async def said(response: DataResponse) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(await whole(response))
    return found


# --- what passes ---------------------------------------------------------------------------------------------------------


async def test_without_proxy_rights_it_is_a_get_of_the_one_address(source: HttpSource) -> None:
    async with origin(echo) as url:
        found = await said(
            await source.open({"baseUrl": url + "/fhir", "path": "Patient", "queryParams": "_count=10"}, asked())
        )
    assert (found["method"], found["url"]) == ("GET", "/fhir/Patient?_count=10")


async def test_method_path_query_and_body_pass_where_the_dataset_allows_it(source: HttpSource) -> None:
    """anchors.md section 2, 6: the proxy that ignores the method."""

    async def body() -> AsyncIterator[bytes]:
        yield b"hel"
        yield b"lo"

    async with origin(echo) as url:
        request = asked("POST", "/a%20b/c", "x=%2F&y", body(), content_type="text/plain")
        found = await said(await source.open({"baseUrl": url + "/api/", **ALL}, request))
    assert (found["method"], found["url"], found["body"]) == ("POST", "/api/a%20b/c?x=%2F&y", "hello")
    assert found["headers"]["content-type"] == "text/plain"  # type: ignore[index]


async def nothing() -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.parametrize(
    "switch, how, error",
    [
        ("proxyPath", {"path": "/x"}, NotFound),
        ("proxyQueryParams", {"query": "x=1"}, Malformed),
        ("proxyBody", {"method": "POST", "body": nothing()}, Malformed),
    ],
)
async def test_what_the_dataset_does_not_allow_is_refused_and_not_dropped(
    source: HttpSource, switch: str, how: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await source.open({"baseUrl": "http://127.0.0.1:1", **ALL, switch: "false"}, asked(**how))


async def test_a_method_that_is_not_offered_is_named_with_those_that_are(source: HttpSource) -> None:
    response = await source.open({"baseUrl": "http://127.0.0.1:1"}, asked("DELETE"))
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    response = await source.open({"baseUrl": "http://127.0.0.1:1", **ALL, "methods": "get,post"}, asked("DELETE"))
    assert (response.status, response.headers["Allow"]) == (405, "GET, POST")
    response = await source.open({"baseUrl": "http://127.0.0.1:1", **ALL}, asked("TRACE"))
    assert response.status == 405


async def test_a_fixed_method_is_what_the_origin_sees(source: HttpSource) -> None:
    async with origin(echo) as url:
        found = await said(await source.open({"baseUrl": url, "method": "POST"}, asked("GET")))
    assert found["method"] == "POST"


async def test_the_origin_sees_its_own_credentials_and_never_the_consumers(source: HttpSource) -> None:
    async with origin(echo) as url:
        address = {"baseUrl": url, "authKey": "X-Api-Key", "authCode": "inside-secret", "header:X-Tenant": "7"}
        request = asked(
            authorization="Bearer theirs", cookie="c=d", x_api_key="forged", x_forwarded_for="1.2.3.4", accept="text/csv"
        )
        response = await source.open(address, request)
        headers = (await said(response))["headers"]
    assert isinstance(headers, Mapping)
    assert headers["x-api-key"] == "inside-secret"
    assert headers["x-tenant"] == "7"
    assert headers["accept"] == "text/csv"
    assert not headers.keys() & {"authorization", "cookie", "x-forwarded-for"}
    assert "inside-secret" not in str(response.headers)


async def test_the_consumer_sees_nothing_of_the_inside(source: HttpSource) -> None:
    async with origin(echo) as url:
        response = await source.open({"baseUrl": url}, asked())
        await whole(response)
    assert {name.lower() for name in response.headers} <= {"content-type", "content-length"}


async def test_one_consumers_cookie_does_not_become_anothers(source: HttpSource) -> None:
    async with origin(echo) as url:
        await whole(await source.open({"baseUrl": url}, asked()))
        headers = (await said(await source.open({"baseUrl": url}, asked())))["headers"]
    assert "cookie" not in str(headers)


async def test_ranges_tags_and_compression_pass_through(source: HttpSource) -> None:
    async def ranged(request: web.Request) -> web.Response:
        assert request.headers["Range"] == "bytes=2-3"
        assert request.headers["If-Range"] == '"v1"'
        return web.Response(
            status=206, body=b"cd", headers={"Content-Range": "bytes 2-3/6", "ETag": '"v1"', "Content-Encoding": "zstd"}
        )

    async with origin(ranged) as url:
        response = await source.open({"baseUrl": url}, asked(range="bytes=2-3", if_range='"v1"', accept_encoding="zstd"))
        assert await whole(response) == b"cd"
    assert response.status == 206
    assert response.headers["Content-Range"] == "bytes 2-3/6"
    assert response.headers["ETag"] == '"v1"'
    assert response.headers["Content-Encoding"] == "zstd"


async def test_head_tells_the_size_and_sends_nothing(source: HttpSource) -> None:
    async with origin(echo) as url:
        response = await source.open({"baseUrl": url}, asked("HEAD"))
    assert int(response.headers["Content-Length"]) > 0
    assert response.chunks is None


# --- what does not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/..", "/../admin", "/a/../../admin", "/a/..", "/./a", "/..\\admin", "//evil.example/x", "/a//b",
        "/%2e%2e/admin", "/%2E%2e/admin", "/.%2e/admin", "/..%2fadmin", "/a%2f..%2fadmin", "/..%5cadmin",
        "/%252e%252e/admin", "/%25252e%25252e/admin", "/%c0%ae%c0%ae/admin", "/..;/admin", "/..;x=1/admin",
        "/%2e%2e%3b/admin", "/a%00b", "/a%0d%0aHost:x", "/ ../x", "/a%3fb", "/a%23b",
    ],
)  # fmt: skip
async def test_no_path_leaves_the_dataset_however_it_is_spelled(source: HttpSource, path: str) -> None:
    with pytest.raises(NotFound, match="leaves the dataset"):
        await source.open({"baseUrl": "http://127.0.0.1:1/api", **ALL}, asked(path=path))


SEGMENTS = st.sampled_from(
    ["..", ".", "", "a", "%2e", "%2E%2e", "%252e.", "%2f", "%5c", "\\", ";", "..;", "%00", "\u00e6", "%c3%a6"]
)


@given(st.lists(st.lists(SEGMENTS, max_size=3).map("".join), min_size=1, max_size=5).map("/".join))
def test_a_path_that_passes_stays_below_however_often_it_is_decoded(path: str) -> None:
    try:
        read = _safe(path)
    except NotFound:
        return
    for _ in range(5):
        base = posixpath.normpath("/base/" + read)
        assert base == "/base" or base.startswith("/base/")
        read = unquote(read)


@pytest.mark.parametrize("path", ["/Patient/1", "/a%20b", "/a.b/..c", "/S%C3%B8ren/", "/100%25", "/"])
async def test_ordinary_paths_pass_as_they_are(source: HttpSource, path: str) -> None:
    async with origin(echo) as url:
        found = await said(await source.open({"baseUrl": url + "/api", **ALL}, asked(path=path)))
    assert found["url"] == "/api" + (path if path != "/" else "")


async def test_a_redirect_is_not_followed_and_not_shown(source: HttpSource) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})

    async with origin(away) as url:
        with pytest.raises(Unavailable, match="302") as error:
            await source.open({"baseUrl": url}, asked())
    assert "169.254" not in str(error.value)


# --- trouble -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 401, 403, 407])
async def test_the_origins_trouble_and_our_bad_credentials_are_unavailable_without_details(
    source: HttpSource, status: int
) -> None:
    async def trouble(request: web.Request) -> web.Response:
        return web.Response(status=status, text="Traceback: password=hunter2 at db.inside")

    async with origin(trouble) as url:
        with pytest.raises(Unavailable) as error:
            await source.open({"baseUrl": url}, asked())
    assert "hunter2" not in str(error.value)
    assert url not in str(error.value)


@pytest.mark.parametrize("status", [304, 400, 404, 409, 412, 416, 422, 429])
async def test_a_status_that_speaks_of_the_request_passes_without_its_body(source: HttpSource, status: int) -> None:
    async def refusal(request: web.Request) -> web.Response:
        return web.Response(status=status, body=None if status == 304 else b"inside", headers={"ETag": '"v1"'})

    async with origin(refusal) as url:
        response = await source.open({"baseUrl": url}, asked())
    assert (response.status, response.chunks, response.headers["ETag"]) == (status, None, '"v1"')
    assert "Content-Length" not in response.headers


async def test_an_origin_that_refuses_or_is_silent_is_unavailable(source: HttpSource) -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Unavailable):
        await source.open({"baseUrl": "http://127.0.0.1:1"}, asked())
    impatient = HttpSource(ClientTimeout(total=None, sock_read=0.05))
    async with origin(silent) as url:
        with pytest.raises(Unavailable):
            await impatient.open({"baseUrl": url}, asked())
        await impatient.close()


@pytest.mark.parametrize("sized", [True, False], ids=["with Content-Length", "chunked"])
async def test_an_origin_that_dies_midway_is_never_a_short_success(source: HttpSource, sized: bool) -> None:
    async def dies(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"} if sized else {})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport
        request.transport.close()
        return response

    async with origin(dies) as url:
        response = await source.open({"baseUrl": url}, asked())
        with pytest.raises(Unavailable, match="broke off"):
            await whole(response)


async def test_200_mb_pass_in_constant_memory_however_slow_the_consumer_is(source: HttpSource) -> None:
    """anchors.md section 2, 5. The origin is asked for no more than the consumer takes."""
    size, piece = 200 * 1024 * 1024, b"x" * 1024 * 1024
    offered = 0

    async def much(request: web.Request) -> web.StreamResponse:
        nonlocal offered
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        await response.prepare(request)
        for _ in range(size // len(piece)):
            await response.write(piece)
            offered += len(piece)
        return response

    async with origin(much) as url:
        response = await source.open({"baseUrl": url}, asked())
        assert response.chunks is not None
        tracemalloc.start()
        taken = len(await anext(response.chunks))
        await asyncio.sleep(0.05)
        assert offered < 32 * 1024 * 1024, "the origin ran ahead of a consumer that does not read"
        async for chunk in response.chunks:
            taken += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert taken == size
    assert peak < 16 * 1024 * 1024


# --- the address ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address, words",
    [
        ({}, "needs a baseUrl"),
        ({"baseUrl": "ftp://x"}, "needs a baseUrl"),
        ({"baseUrl": "http://u:p@x"}, "user name"),
        ({"baseUrl": "http://x", "proxyPath": "yes"}, "proxyPath is"),
        ({"baseUrl": "http://x", "proxypath": "true"}, "unknown key proxypath"),
        ({"baseUrl": "http://x", "methods": "GET,CONNECT"}, "CONNECT"),
        ({"baseUrl": "http://x", "authKey": "X"}, "go together"),
        ({"baseUrl": "http://x", "type": "HttpData", "authKey": "X", "secretName": "s", "header:A": "b", **ALL}, None),
    ],
)
async def test_a_wrong_address_is_told_with_what_to_write(
    source: HttpSource, address: Mapping[str, str], words: str | None
) -> None:
    found = await source.check(address)
    assert found is None if words is None else words in (found or "")
