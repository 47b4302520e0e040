"""Whatever is sent, the answer is a 4xx with EDC's array of errors, never a 500 (product.md section 10)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import FormData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from connector.config import Management
from connector.dsp.offering import EDC
from connector.web.management.auth import is_loopback
from connector.web.management.routes import served
from tests.web.management_rig import Rig, asset, rig

WITH_BODY = [operation for operation in served("v3") if operation.method in ("POST", "PUT")]
PATHS = [(operation.method, operation.path.replace("{id}", "open-use")) for operation in WITH_BODY]
FIELDS = [
    "@id", "@type", "@context", "@graph", "@value", "properties", "privateProperties", "dataAddress", "type", "baseUrl",
    "policy", "permission", "constraint", "accessPolicyId", "contractPolicyId", "assetsSelector", "operandLeft", "operator",
    "operandRight", "filterExpression", "offset", "limit", "sortField", "sortOrder", "querySpec", "protocol",
    "counterPartyAddress", "counterPartyId", "assigner", "target", "callbackAddresses", "uri", "contractId", "transferType",
    "reason", "value", "policyScope", "edc:type", EDC + "type", "odrl:permission", "purpose", "dct:title",
]  # fmt: skip
WORDS = st.sampled_from(
    ["dataspace-protocol-http:2025-1", "http://127.0.0.1:1/dsp", "=", "in", "like", "%", "use", "Offer", "HttpData", "state",
     "open-use", "HttpData-PULL", "", " ", "\u0000", "x" * 300, "\ud7ff", "a/b", EDC]
)  # fmt: skip
LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WORDS, st.text(max_size=9)
)
JSON = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=25,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("api")) as made:
        yield made


def in_form(status: int, answer: Any) -> bool:
    """Whether an error has EDC's form, and a good answer is none."""
    if status < 400:
        return status in (200, 204)
    return (
        status in (400, 404, 409, 413, 415, 502)
        and isinstance(answer, list)
        and len(answer) > 0
        and all(error.keys() == {"message", "type", "path", "invalidValue"} and error["message"] for error in answer)
    )


@pytest.mark.asyncio(loop_scope="module")
@given(target=st.sampled_from(PATHS), body=BODIES)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_object_is_taken_or_refused_in_form(
    shared_api: Rig, target: tuple[str, str], body: dict[str, Any]
) -> None:
    try:
        data = orjson.dumps(body)
    except (TypeError, orjson.JSONEncodeError):
        return  # integers that JSON of 64 bits cannot hold
    status, answer = await shared_api.call(*target, data=data)
    assert in_form(status, answer), (target, status, answer)


@pytest.mark.asyncio(loop_scope="module")
@given(target=st.sampled_from(PATHS), body=st.binary(max_size=200) | JSON.map(lambda value: repr(value).encode("utf-16")))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_bytes_are_taken_or_refused_in_form(shared_api: Rig, target: tuple[str, str], body: bytes) -> None:
    status, answer = await shared_api.call(*target, data=body)
    assert in_form(status, answer), (target, status, answer)


@pytest.mark.parametrize(
    "body, status, kind",
    [
        (b"{", 400, "InvalidRequest"),
        (b"[]", 400, "InvalidRequest"),
        (b"5", 400, "InvalidRequest"),
        (b'{"a": NaN}', 400, "InvalidRequest"),
        (b'{"a": "\xff\xfe"}', 400, "InvalidRequest"),
        (b'{"a": "\\ud800"}', 400, "InvalidRequest"),
        (b'{"a": "\\u0000"}', 400, "InvalidRequest"),
        (b'{"a": 1, "a": 2}', 400, "InvalidRequest"),
        (b'{"name": 1, "edc:name": 2}', 400, "InvalidRequest"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, 413, "RequestTooLarge"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "InvalidRequest"),
        (b'{"@context": "http://nowhere.example/context", "a": 1}', 400, "InvalidRequest"),
        (b'{"@context": 5, "a": 1}', 400, "InvalidRequest"),
    ],
)
async def test_what_is_no_usable_json_is_refused(api: Rig, body: bytes, status: int, kind: str) -> None:
    for path in ("/assets", "/contractnegotiations/request", "/secrets"):
        found, errors = await api.call("POST", path, data=body)
        assert (found, errors[0]["type"]) == (status, kind), path


async def test_ten_megabytes_are_too_large(api: Rig) -> None:
    body = orjson.dumps(asset("big", name="x" * 10_000_000))
    status, errors = await api.call("POST", "/assets", data=BytesIO(body))
    assert (status, errors[0]["type"]) == (413, "RequestTooLarge")


async def test_a_bomb_is_measured_after_decompression(api: Rig) -> None:
    packed = zlib.compress(b" " * 50_000_000)
    status, errors = await api.call("POST", "/assets", data=packed, headers={"Content-Encoding": "deflate"})
    assert (status, errors[0]["type"]) == (413, "RequestTooLarge")


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"])
async def test_what_is_not_declared_as_json_is_refused(api: Rig, media: str) -> None:
    status, errors = await api.call("POST", "/assets", data=b"{}", headers={"Content-Type": media})
    assert (status, errors[0]["type"]) == (415, "UnsupportedMediaType")


async def test_json_without_a_declared_type_is_refused(api: Rig) -> None:
    """A page in a browser can send such a body to any address without being asked."""
    async with api.client.post("/management/v3/assets", data=b"{}", skip_auto_headers=["Content-Type"]) as answer:
        assert answer.status == 415


async def test_json_in_another_charset_is_refused(api: Rig) -> None:
    status, _ = await api.call("POST", "/assets", data=b"{}", headers={"Content-Type": "application/json; charset=utf-16"})
    assert status == 415
    status, _ = await api.call(
        "POST", "/assets/request", data=b"{}", headers={"Content-Type": "application/ld+json; charset=UTF-8"}
    )
    assert status == 200


async def test_a_form_is_not_taken(api: Rig) -> None:
    form = FormData({"a": "b"})
    async with api.client.post("/management/v3/assets", data=form) as answer:
        assert answer.status == 415


async def test_an_unknown_path_and_a_wrong_method_are_answered_in_form(api: Rig) -> None:
    status, errors = await api.call("GET", "/nothing")
    assert (status, errors[0]["type"]) == (404, "ObjectNotFound")
    status, errors = await api.call("PATCH", "/assets/lung")
    assert (status, errors[0]["type"]) == (405, "MethodNotAllowed")
    assert api.answered.headers["Allow"] == "DELETE, GET"


@pytest.mark.parametrize("id", ["a%2Fb", "a%20b", "%C3%A4", "a%25b", "urn:uuid:x", "a?b", "..%2F..", "%00", "%FF"])
async def test_any_id_in_a_path_is_looked_up_and_not_found(api: Rig, id: str) -> None:
    url = URL(f"/management/v3/assets/{id}", encoded=True)
    async with api.client.get(url) as answer:
        assert answer.status == 404


async def test_an_id_with_a_slash_is_found_when_it_is_escaped(api: Rig) -> None:
    await api.ok("POST", "/assets", asset("a/b c%d"))
    async with api.client.get(URL("/management/v3/assets/a%2Fb%20c%25d", encoded=True)) as answer:
        assert (await answer.json())["@id"] == "a/b c%d"


# --- who may call ----------------------------------------------------------------------------------------------------

KEYED = Management(api_key="correct horse")


async def test_a_key_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    async with rig(tmp_path, KEYED) as api:
        for headers, words in (
            ({}, "x-api-key not found"),
            ({"x-api-key": ""}, "not found"),
            ({"X-API-Key": "x"}, "not the key"),
        ):
            status, errors = await api.call("GET", "/assets/filed", headers=headers)
            assert (status, errors[0]["type"]) == (401, "AuthenticationFailed")
            assert words in errors[0]["message"]
            assert "correct horse" not in errors[0]["message"]
        for method, path in (("GET", "/openapi.json"), ("GET", "/nothing"), ("POST", "/assets")):
            assert (await api.call(method, path))[0] == 401
        assert (await api.call("GET", "/assets/filed", headers={"X-Api-Key": "correct horse"}))[0] == 200
        named = {"X-Api-Key": "correct horse", "Host": "connector.hospital.example"}
        assert (await api.call("GET", "/assets/filed", headers=named))[0] == 200


async def test_without_a_key_any_key_is_accepted(api: Rig) -> None:
    """management-api.md: client 0.9.5 sends X-Api-Key always, empty when unset."""
    for key in ("", "whatever"):
        assert (await api.call("GET", "/assets/filed", headers={"X-Api-Key": key}))[0] == 200


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:8081"}, {"Host": "10.0.0.1"}]
)
async def test_without_a_key_a_rebound_name_is_refused(api: Rig, headers: dict[str, str]) -> None:
    status, errors = await api.call("GET", "/assets/filed", headers=headers)
    assert (status, errors[0]["type"]) == (403, "NotAuthorized")


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example:8081", "null"])
async def test_without_a_key_a_page_from_elsewhere_is_refused(api: Rig, origin: str) -> None:
    assert (await api.call("POST", "/assets/request", headers={"Origin": origin}))[0] == 403
    assert (await api.call("POST", "/assets/request", headers={"Origin": "http://localhost:5173"}))[0] == 200


def test_loopback_is_read_from_the_host_and_nothing_else() -> None:
    for url in ("//localhost", "//localhost:81", "//127.0.0.1:81", "//127.9.9.9", "//[::1]:81", "//dev.localhost"):
        assert is_loopback(url), url
    for url in ("", "//", "//evil", "//localhost.evil", "//evil@evil", "//127.0.0.1.evil", "//[::2]", "//[x", "//0.0.0.0"):
        assert not is_loopback(url), url
