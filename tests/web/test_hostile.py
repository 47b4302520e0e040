"""Bad input on every route of both listeners, over real sockets: a 4xx in the protocol's form, never a 500, memory bounded.

Issue 3 ("must be shown"), DSP-034, DSP-050, DSP-064, DSP-065, DSP-082; product.md section 10. What only the management API
can get wrong is in test_management_hostile.py.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from connector.app import Connector, build
from connector.dsp.binding import ENDPOINTS
from connector.web.management.routes import served
from tests.pair.conftest import publish, settings

DSP = "/dsp/2025-1"
CONTEXT = ["https://w3id.org/dspace/2025/1/context.jsonld"]
ERRORS = {"catalog": "CatalogError", "negotiations": "ContractNegotiationError", "transfers": "TransferError"}
MIB = 1024 * 1024

TAKING = [("catalog", "/catalog/request"), *((e.family, e.path.replace("{pid}", "urn:uuid:nobody")) for e in ENDPOINTS)]
SHOWING = [("catalog", "/catalog/datasets/x"), ("negotiations", "/negotiations/x"), ("transfers", "/transfers/x")]
PRIVATE = sorted({(o.method, "/management/v3" + o.path.replace("{id}", "x")) for o in served("v3") if o.method != "GET"})

NONSENSE = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"12",
    "not a number": b'{"@type": NaN}',
    "an empty object": b"{}",
    "cut off": b'{"@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@type": "Contr',
    "no UTF-8": b'{"@type": "\xff\xfe\xc3("}',
    "UTF-16": '{"@type": "ContractRequestMessage"}'.encode("utf-16"),
    "half a surrogate pair": rb'{"@type": "\ud800"}',
    "a NUL": rb'{"@type": "Contract\u0000RequestMessage"}',
    "lists in lists": b"[" * 100_000 + b"]" * 100_000,
    "objects in objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "depth in a good place": b'{"@context":' + b"[" * 5_000 + b"]" * 5_000 + b',"@type":"ContractRequestMessage"}',
    "a number of many digits": b'{"@type": ' + b"9" * 10_000 + b"}",
    "a key twice": b'{"@type": "ContractRequestMessage", "@type": "CatalogRequestMessage"}',
    "a foreign context": b'{"@context": "http://169.254.169.254/latest", "@type": "ContractRequestMessage"}',
    "a context in itself": b'{"@context": {"@context": {"@import": "file:///etc/passwd"}}, "@type": "ContractRequest"}',
    "a term for everything": b'{"@context": {"@vocab": "urn:x:", "@base": "http://["}, "@type": "ContractRequestMessage"}',
    "another message": json.dumps({"@context": CONTEXT, "@type": "ContractNegotiation", "state": "FINALIZED"}).encode(),
    "10 MB": b'{"@type": "' + b"x" * (10 * MIB) + b'"}',
}


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[Connector]:
    made = settings(root, "odense")
    publish(root, "trial", "open")
    async with build(replace(made, public=replace(made.public, body_timeout=timedelta(seconds=0.3)))) as connector:
        yield connector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connector(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Connector]:
    async with running(tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), auto_decompress=True) as session:
        yield session


pytestmark = pytest.mark.asyncio(loop_scope="module")


def token(participant: str) -> dict[str, str]:
    said = {"region": "eu", "clientId": participant, "audience": "odense"}
    return {"Authorization": json.dumps(said), "Content-Type": "application/json"}


async def ask(
    http: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str], data: Any = None
) -> tuple[int, Any, str]:
    data = io.BytesIO(data) if isinstance(data, bytes) else data
    async with http.request(method, url, data=data, headers=headers, skip_auto_headers=("Content-Type",)) as answer:
        text = await answer.text()
    assert "Traceback" not in text
    assert ".py" not in text
    return answer.status, json.loads(text) if answer.content_type == "application/json" else None, text


def refused(status: int, answer: Any, family: str) -> bool:
    """Whether this is a 4xx in the protocol's form (DSP-034, DSP-065, DSP-082)."""
    return (
        400 <= status < 500
        and answer["@type"] == ERRORS[family]
        and answer["@context"] == CONTEXT
        and bool(answer["reason"])
    )


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_is_refused_by_every_protocol_route(
    connector: Connector, http: aiohttp.ClientSession, body: bytes
) -> None:
    for family, path in TAKING:
        status, answer, text = await ask(http, "POST", connector.public_url + DSP + path, token("mallory"), body)
        assert refused(status, answer, family), (path, status, text[:300])


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_never_breaks_the_management_api(
    connector: Connector, http: aiohttp.ClientSession, body: bytes
) -> None:
    for method, path in PRIVATE:
        status, answer, text = await ask(
            http, method, connector.management_url + path, {"Content-Type": "application/json"}, body
        )
        assert status < 500, (method, path, text[:300])
        assert status < 300 or isinstance(answer, list), (method, path, text[:300])


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/html"}, {"Content-Type": "multipart/form-data; boundary=x"}, {"Content-Type": "///"}],
    ids=str,
)
async def test_another_content_type_is_refused(
    connector: Connector, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    for family, path in TAKING:
        status, answer, text = await ask(
            http, "POST", connector.public_url + DSP + path, token("mallory") | headers, b"<html>"
        )
        assert refused(status, answer, family), (path, status, text)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "nonsense"])
async def test_a_body_that_does_not_decompress_is_refused(
    connector: Connector, http: aiohttp.ClientSession, coding: str
) -> None:
    """Read from the socket: aiohttp's client would not send such a thing."""
    for family, path in TAKING:
        said = await raw(connector.public_url + DSP + path, b"not compressed", **{"Content-Encoding": coding})
        assert re.match(rb"HTTP/1.[01] 4\d\d ", said), (path, said)
        assert family in path or family == "catalog"


async def test_a_small_body_that_unpacks_to_much_is_refused_without_unpacking_it(
    connector: Connector, http: aiohttp.ClientSession
) -> None:
    bomb = gzip.compress(b" " * (200 * MIB), 9)
    before = peak()
    for _, path in TAKING[:3]:
        said = await raw(connector.public_url + DSP + path, bomb, **{"Content-Encoding": "gzip"})
        assert re.match(rb"HTTP/1.[01] 4\d\d ", said), (path, said[:300])
    assert peak() - before < 64


async def test_bodies_without_end_do_not_fill_the_memory(connector: Connector, http: aiohttp.ClientSession) -> None:
    """Twenty at once, 10 MB each, without a Content-Length."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield SPACES

    async def send(path: str) -> int:
        try:
            return (await ask(http, "POST", connector.public_url + DSP + path, token("mallory"), endless()))[0]
        except (aiohttp.ClientError, ConnectionError):
            return 413  # it hung up before we had sent everything

    before = peak()
    for _, path in TAKING[:3]:
        assert set(await asyncio.gather(*(send(path) for _ in range(20)))) == {413}
    assert peak() - before < 64


SPACES = b" " * (64 * 1024)


async def test_a_slow_body_is_not_waited_for(connector: Connector) -> None:
    for family, path in TAKING[:3]:
        said = await raw(connector.public_url + DSP + path, b'{"@type":', **{"Content-Length": "1000"})
        assert b" 413 " in said.split(b"\r\n")[0], said
        assert ERRORS[family].encode() in said


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x.y.z", "Basic eDp5", "{}", '{"clientId": 3}', "[" * 5000])
async def test_whoever_does_not_say_who_they_are_is_answered_401(
    connector: Connector, http: aiohttp.ClientSession, authorization: str
) -> None:
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    routes = [("POST", family, path) for family, path in TAKING] + [("GET", family, path) for family, path in SHOWING]
    for method, family, path in routes:
        status, answer, text = await ask(http, method, connector.public_url + DSP + path, headers, b"{}")
        assert status == 401, (path, text)
        assert refused(status, answer, family), (path, text)


# --- good messages made bad -----------------------------------------------------------------------------------------------

OFFER = {"@type": "Offer", "@id": "urn:x", "target": "trial", "permission": [{"action": "use", "constraint": [
    {"leftOperand": "purpose", "operator": "eq", "rightOperand": "x"}]}]}  # fmt: skip
PIDS = {"consumerPid": "urn:uuid:c", "providerPid": "urn:uuid:p"}
AGREEMENT = OFFER | {"@type": "Agreement", "assigner": "odense", "assignee": "mallory", "timestamp": "2026-11-23T00:00:00Z"}
CALLBACK = {"callbackAddress": "http://127.0.0.1:9/dsp"}
ADDRESS = {"@type": "DataAddress", "endpointType": "x", "endpointProperties": [
    {"@type": "EndpointProperty", "name": "n", "value": "v"}]}  # fmt: skip
GOOD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "/catalog/request": ("catalog", "CatalogRequestMessage", {"filter": [{"@type": "QuerySpec", "offset": 0, "limit": 1}]}),
    "/negotiations/request": ("negotiations", "ContractRequestMessage", {"consumerPid": "c", "offer": OFFER, **CALLBACK}),
    "/negotiations/offers": ("negotiations", "ContractOfferMessage", {"providerPid": "p", "offer": OFFER, **CALLBACK}),
    "/negotiations/x/request": ("negotiations", "ContractRequestMessage", {**PIDS, "offer": OFFER}),
    "/negotiations/x/agreement": ("negotiations", "ContractAgreementMessage", {**PIDS, "agreement": AGREEMENT}),
    "/negotiations/x/agreement/verification": ("negotiations", "ContractAgreementVerificationMessage", PIDS),
    "/negotiations/x/events": ("negotiations", "ContractNegotiationEventMessage", {**PIDS, "eventType": "ACCEPTED"}),
    "/negotiations/x/termination": ("negotiations", "ContractNegotiationTerminationMessage", {**PIDS, "reason": ["r"]}),
    "/transfers/request": (
        "transfers",
        "TransferRequestMessage",
        {"consumerPid": "c", "agreementId": "a", "format": "HttpData-PULL", "dataAddress": ADDRESS, **CALLBACK},
    ),
    "/transfers/x/start": ("transfers", "TransferStartMessage", {**PIDS, "dataAddress": ADDRESS}),
    "/transfers/x/completion": ("transfers", "TransferCompletionMessage", PIDS),
    "/transfers/x/suspension": ("transfers", "TransferSuspensionMessage", {**PIDS, "code": "c", "reason": ["r"]}),
    "/transfers/x/termination": ("transfers", "TransferTerminationMessage", {**PIDS, "code": "c"}),
}
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 2**70, "", "\u0000", "x" * 5000, "../../etc/passwd", "http://[", [], [None], [[[]]], {},
    {"@id": 3}, {"@value": {}}, {"@type": ["@id"]}, {"@list": [{"@set": [1]}]},
)  # fmt: skip


def spoiled(value: Any) -> Iterator[Any]:
    """Every way to put one odd value into one place, or to leave one member out."""
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for odd in ODD:
                yield value | {key: odd}
            for part in spoiled(value[key]):
                yield value | {key: part}
    elif isinstance(value, list):
        for n, part in enumerate(value):
            for worse in spoiled(part):
                yield [*value[:n], worse, *value[n + 1 :]]


@pytest.mark.parametrize("path", GOOD)
async def test_a_message_with_one_odd_value_is_taken_or_refused_in_form(
    connector: Connector, http: aiohttp.ClientSession, path: str
) -> None:
    family, kind, content = GOOD[path]
    good = {"@context": CONTEXT, "@type": kind, "@id": "urn:uuid:m", **content}
    for message in spoiled(good):
        body = json.dumps(message).encode()
        status, answer, text = await ask(http, "POST", connector.public_url + DSP + path, token("mallory"), body)
        assert status < 300 or refused(status, answer, family), (status, message, text[:300])


async def test_other_peoples_processes_look_like_none(connector: Connector, http: aiohttp.ClientSession) -> None:
    """DSP-064, DSP-082: whoever is not the counter-party is told 404, whether the process exists or not."""
    dataset = json.loads((await ask(http, "GET", f"{connector.public_url}{DSP}/catalog/datasets/trial", token("aarhus")))[2])
    offer = dataset["hasPolicy"][0] | {"target": "trial"}
    begin = {"@context": CONTEXT, "@type": "ContractRequestMessage", "consumerPid": "urn:uuid:c", "offer": offer, **CALLBACK}
    url = connector.public_url + DSP
    status, begun, text = await ask(http, "POST", f"{url}/negotiations/request", token("aarhus"), json.dumps(begin).encode())
    assert status == 201, text
    pid = begun["providerPid"]
    assert (await ask(http, "GET", f"{url}/negotiations/{pid}", token("aarhus")))[0] == 200
    for path, (family, kind, content) in GOOD.items():
        if "/negotiations/x" not in path:
            continue
        message = {"@context": CONTEXT, "@type": kind, **content, "consumerPid": "urn:uuid:c", "providerPid": pid}
        for place in (pid, "urn:uuid:nobody"):
            status, answer, text = await ask(
                http, "POST", url + path.replace("/x/", f"/{place}/"), token("mallory"), json.dumps(message).encode()
            )
            assert status == 404, (path, text)
            assert refused(status, answer, family)
    assert (await ask(http, "GET", f"{url}/negotiations/{pid}", token("mallory")))[0] == 404


@pytest.mark.parametrize(
    "path",
    ["/", "/nowhere", DSP, DSP + "/negotiations/%00", DSP + "/transfers/%ff%fe", DSP + "/catalog/datasets/..%2f..%2fetc",
     "/data", "/data/../..", "/data/%2e%2e/x", "/data/token", "/management/v3/assets", DSP + "/negotiations/" + "x" * 7000],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
async def test_strange_paths_and_methods_of_the_public_listener_are_the_callers_fault(
    connector: Connector, http: aiohttp.ClientSession, method: str, path: str
) -> None:
    status, _, text = await ask(http, method, connector.public_url + path, token("mallory"))
    assert 400 <= status < 500, (status, text)


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
     b"POST /dsp/2025-1/catalog/request HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
     b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ids=["bytes", "version", "header", "length", "smuggling"],
)  # fmt: skip
async def test_what_is_not_http_is_refused_without_a_trace(connector: Connector, request_bytes: bytes) -> None:
    said = await raw(connector.public_url, request=request_bytes)
    assert re.match(rb"HTTP/1.[01] 4\d\d ", said) or not said
    assert b"Traceback" not in said


async def test_it_still_answers_after_all_of_this(connector: Connector, http: aiohttp.ClientSession) -> None:
    body = json.dumps({"@context": CONTEXT, "@type": "CatalogRequestMessage"}).encode()
    status, answer, _ = await ask(http, "POST", f"{connector.public_url}{DSP}/catalog/request", token("aarhus"), body)
    assert (status, answer["dataset"][0]["@id"]) == (200, "trial")


# --- tools ----------------------------------------------------------------------------------------------------------------


async def raw(url: str, body: bytes = b"", *, request: bytes | None = None, **headers: str) -> bytes:
    """Send bytes as they are; return the answer, as far as it comes."""
    parts = urlsplit(url)
    if request is None:
        fields = {
            "Host": parts.netloc,
            "Content-Length": str(len(body)),
            "Connection": "close",
            **token("mallory"),
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        request = f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    said = b""
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            await writer.drain()
            while not whole(said) and (part := await reader.read(1 << 16)):
                said += part
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return said


def whole(said: bytes) -> bool:
    head, ended, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(ended) and length is not None and len(body) >= int(length[1])


def peak() -> float:
    """Return the largest resident size this process has had, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
