"""The data endpoint: what an EDR opens, for how often and how long, and how a pull ends."""

import asyncio
import errno
import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import ClientError, ClientPayloadError, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from connector.dsp.messages import Kind
from connector.dsp.transfer import State
from connector.ports import AuditRecord
from tests.web.rig import AARHUS, Rig, at_most, limit, rig

T = TypeVar("T")
BIG = 64 * 1024 * 1024


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Rig]:
    (tmp_path / "lung.csv").write_bytes(b"id,age\n1,63\n")
    async with rig(tmp_path, {"type": "File", "path": "lung.csv"}) as provider:
        yield provider


async def pull(provider: Rig, token: str, method: str = "GET", path: str = "", **headers: str) -> tuple[int, bytes]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with provider.client.request(method, provider.url + path, headers={"Authorization": token, **sent}) as answer:
        return answer.status, await answer.read()


async def settled(provider: Rig, accesses: int = 1) -> list[AuditRecord]:
    """Return the ends of accesses once there are so many: an end commits after the connection broke."""
    async with asyncio.timeout(5):
        while len(found := await provider.audit("access.ended")) < accesses:
            await asyncio.sleep(0)
    return found


async def until(look: Callable[[], T]) -> T:
    async with asyncio.timeout(5):
        while not (found := look()):
            await asyncio.sleep(0)
    return found


@asynccontextmanager
async def service(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A data source of the hospital's."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def slow(folder: Path) -> AsyncIterator[tuple[Rig, asyncio.Event]]:
    """A provider in front of a source that begins and never ends; the event says that it has begun."""
    begun = asyncio.Event()

    async def never_ends(request: web.Request) -> web.StreamResponse:
        await (response := web.StreamResponse()).prepare(request)
        await response.write(b"first")
        begun.set()
        await asyncio.Event().wait()
        return response

    async with service(never_ends) as url, rig(folder, {"type": "HttpData", "baseUrl": url}) as provider:
        yield provider, begun


# --- tokens --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer "])
async def test_the_token_may_come_raw_as_edc_sends_it_or_as_a_bearer_token(provider: Rig, scheme: str) -> None:
    """peers/edc/README.md, "Pull"."""
    await provider.agreed()
    assert await pull(provider, scheme + await provider.token()) == (200, b"id,age\n1,63\n")


async def test_the_answer_carries_the_exchanges_correlation_id_and_the_audit_what_left(provider: Rig) -> None:
    await provider.agreed()
    async with provider.client.get(provider.url, headers={"Authorization": await provider.token()}) as answer:
        assert answer.headers["X-Correlation-Id"] == "corr-1"
        await answer.read()
    (granted,) = await provider.audit("access.granted")
    (ended,) = await settled(provider)
    assert granted.peer == AARHUS
    assert granted.correlation_id == ended.correlation_id == "corr-1"
    assert ended.detail == {"bytes": 12, "status": 200, "complete": True}


@pytest.mark.parametrize("token", ["", "Bearer", "not-a-token", "e30.e30.AA"])
async def test_no_token_or_nonsense_is_401_and_says_why(provider: Rig, token: str) -> None:
    await provider.agreed()
    async with provider.client.get(provider.url, headers={"Authorization": token}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await answer.json()).keys() == {"code", "reason"}


async def test_a_refresh_token_opens_no_data(provider: Rig) -> None:
    await provider.agreed()
    assert (await pull(provider, (await provider.edr()).get("refreshToken") or ""))[0] == 401


async def test_an_expired_token_is_401(provider: Rig) -> None:
    await provider.agreed()
    token = await provider.token()
    assert (await pull(provider, token))[0] == 200
    provider.clock.now += timedelta(minutes=11)
    assert (await pull(provider, token))[0] == 401


# --- state ---------------------------------------------------------------------------------------------------------------


async def test_a_suspended_transfer_is_closed_and_its_tokens_stay_dead_after_it_resumes(provider: Rig) -> None:
    """DSP-092."""
    await provider.agreed()
    old = await provider.token()
    await provider.suspend()
    assert (await pull(provider, old))[0] == 403
    await provider.change_transfer(lambda t: replace(t, state=State.STARTED))
    assert (await pull(provider, old))[0] == 403
    assert (await pull(provider, await provider.token()))[0] == 200
    assert len(await provider.audit("access.denied")) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"state": State.TERMINATED},
        {"state": State.COMPLETED},
        {"state": State.REQUESTED},
        {"pending": Kind.SUSPEND},
        {"pending": Kind.COMPLETE},
        {"peer": "aalborg"},
        {"agreement_id": "urn:uuid:other"},
    ],
    ids=str,
)
async def test_only_a_started_transfer_of_this_consumer_under_this_agreement_is_open(
    provider: Rig, change: dict[str, object]
) -> None:
    await provider.agreed()
    token = await provider.token()
    await provider.change_transfer(lambda t: replace(t, **change))  # type: ignore[arg-type]
    assert (await pull(provider, token))[0] == 403


@pytest.mark.parametrize(
    "change",
    [
        {"ended": "withdrawn"},
        {"in_force": False},
        {"policy_hash": "sha256:0"},
        {"consumer": "aalborg"},
        {"provider": "else"},
    ],
    ids=str,
)
async def test_only_an_agreement_in_force_opens_data(provider: Rig, change: dict[str, object]) -> None:
    await provider.agreed()
    token = await provider.token()
    await provider.change_agreement(lambda a: replace(a, **change))  # type: ignore[arg-type]
    assert (await pull(provider, token))[0] == 403


async def test_a_dataset_that_is_gone_is_404_and_a_missing_secret_502(provider: Rig) -> None:
    await provider.agreed(at_most(1))
    asset = provider.assets.pop("lung")
    assert (await pull(provider, await provider.token()))[0] == 404
    provider.assets["lung"] = replace(asset, data_address={"type": "HttpData", "baseUrl": "http://x", "secretName": "s"})
    assert (await pull(provider, await provider.token()))[0] == 502
    assert await provider.uses() == 0


# --- policy --------------------------------------------------------------------------------------------------------------


async def test_64_pulls_at_once_under_a_count_of_10_give_10(provider: Rig) -> None:
    """odrl.md 37."""
    await provider.agreed(at_most(10))
    token = await provider.token()
    answers = await asyncio.gather(*(pull(provider, token) for _ in range(64)))
    assert sorted(status for status, _ in answers) == [200] * 10 + [403] * 54
    assert await provider.uses() == 10
    assert len(await provider.audit("access.granted")) == 10
    await settled(provider, 10)
    assert await until(lambda: provider.exhausted) == ["urn:uuid:t"]


async def test_what_sends_no_data_is_no_use(provider: Rig) -> None:
    await provider.agreed(at_most(1))
    token = await provider.token()
    async with provider.client.head(provider.url, headers={"Authorization": token}) as head:
        tag = head.headers["ETag"]
        assert (head.status, head.headers["Content-Length"]) == (200, "12")
    assert (await pull(provider, token, if_none_match=tag))[0] == 304
    assert (await pull(provider, token, if_match='"other"'))[0] == 412
    assert (await pull(provider, token, range="bytes=12-"))[0] == 416
    assert (await pull(provider, token, path="/below"))[0] == 404
    assert (await pull(provider, token, path="?a=b"))[0] == 400
    assert (await pull(provider, token, "DELETE"))[0] == 405
    assert await provider.uses() == 0
    assert provider.exhausted == []
    assert (await pull(provider, token, range="bytes=0-1")) == (206, b"id")
    assert (await pull(provider, token, range="bytes=2-"))[0] == 403
    assert await provider.uses() == 1


async def test_the_policys_end_of_time_closes_the_door_and_cuts_a_running_pull(tmp_path: Path) -> None:
    """odrl.md 40, Connector 5377: expiry is checked at use, and while a use lasts."""
    async with slow(tmp_path) as (provider, begun):
        end = provider.clock.now + timedelta(milliseconds=300)
        at = {"@value": end.isoformat().replace("+00:00", "Z"), "@type": "http://www.w3.org/2001/XMLSchema#dateTime"}
        await provider.agreed(limit("dateTime", "lt", at))
        running = asyncio.create_task(pull(provider, await provider.token()))
        await begun.wait()
        with pytest.raises(ClientPayloadError):
            await asyncio.wait_for(running, 5)
        provider.clock.now = end
        status, body = await pull(provider, await provider.token())
        assert (status, json.loads(body)["code"]) == (403, "denied")


async def test_the_consumer_gets_a_coarse_reason_and_the_audit_the_whole(provider: Rig) -> None:
    """odrl.md 35."""
    await provider.agreed(
        limit("purpose", "eq", {"@id": "https://w3id.org/dpv#ScientificResearch"}), purpose="https://w3id.org/dpv#Marketing"
    )
    status, body = await pull(provider, await provider.token())
    assert (status, json.loads(body)["code"]) == (403, "denied")
    (denied,) = await provider.audit("access.denied")
    assert "Marketing" in str(denied.detail["why"])
    assert "Marketing" not in body.decode()


# --- running -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def big(tmp_path: Path) -> AsyncIterator[Rig]:
    with (tmp_path / "big.bin").open("wb") as file:
        for number in range(BIG // 1024 // 1024):
            file.write(bytes([number]) * 1024 * 1024)
    async with rig(tmp_path, {"type": "File", "path": "big.bin"}) as provider:
        await provider.agreed(at_most(100))
        yield provider


async def test_a_big_file_arrives_whole_and_in_order(big: Rig) -> None:
    async with big.client.get(big.url, headers={"Authorization": await big.token()}) as answer:
        at = 0
        async for chunk in answer.content.iter_any():
            assert chunk[0] == at // (1024 * 1024)
            assert chunk[-1] == (at + len(chunk) - 1) // (1024 * 1024)
            at += len(chunk)
    assert at == BIG
    (ended,) = await settled(big)
    assert ended.detail["bytes"] == BIG


@pytest.mark.parametrize("accept", ["identity", "gzip"])
async def test_a_revocation_cuts_a_running_pull_within_milliseconds(big: Rig, accept: str, tmp_path: Path) -> None:
    """DSP-092, odrl.md 40: by the kernel or in chunks, the client sees a broken transfer and never a short success."""
    big.assets["lung"] = replace(
        big.assets["lung"], data_address={"type": "File", "path": "big.bin", "mediaType": "text/plain"}
    )
    loop = asyncio.get_running_loop()
    async with big.client.get(big.url, headers={"Authorization": await big.token(), "Accept-Encoding": accept}) as answer:
        await answer.content.readany()
        await big.suspend()
        began = loop.time()
        big.access.revoke("urn:uuid:t")
        (ended,) = await settled(big)  # although nobody reads what is on its way
        assert loop.time() - began < 1
        with pytest.raises(ClientError):
            await answer.read()
    assert ended.detail["complete"] is False
    assert await big.uses() == 1


async def test_a_consumer_that_leaves_has_used_what_it_took(big: Rig) -> None:
    async with big.client.get(big.url, headers={"Authorization": await big.token()}) as answer:
        await answer.content.readany()
        answer.close()
    (ended,) = await settled(big)
    assert ended.detail["complete"] is False
    assert await big.uses() == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux gives up on a stalled reader")
async def test_a_consumer_that_stops_reading_is_given_up(big: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.web.data.STALLED", 300)
    async with big.client.get(big.url, headers={"Authorization": await big.token()}) as answer:
        await answer.content.readany()
        (ended,) = await settled(big)
        assert ended.detail["complete"] is False
        answer.close()


async def test_a_revocation_of_one_transfer_leaves_others_alone(big: Rig) -> None:
    async with big.client.get(big.url, headers={"Authorization": await big.token()}) as answer:
        await answer.content.readany()
        big.access.revoke("urn:uuid:other")
        assert len(await answer.read()) > 0
    (ended,) = await settled(big)
    assert ended.detail["complete"] is True


@pytest.mark.parametrize("change", ["append", "truncate"])
async def test_a_file_that_changes_while_it_is_sent_breaks_off(big: Rig, tmp_path: Path, change: str) -> None:
    async with big.client.get(big.url, headers={"Authorization": await big.token()}) as answer:
        await answer.content.readany()
        with (tmp_path / "big.bin").open("r+b") as file:
            file.truncate(BIG + 1 if change == "append" else BIG // 2)
        with pytest.raises(ClientError):
            await answer.read()
    (ended,) = await settled(big)
    assert ended.detail["complete"] is False


async def test_a_broken_disk_is_502_and_never_an_empty_success(provider: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    await provider.agreed(at_most(1))
    token = await provider.token()
    with monkeypatch.context() as patch:
        patch.setattr("connector.web.data.os.pread", broken)
        assert (await pull(provider, token))[0] == 502
    assert await provider.uses() == 0
    assert (await pull(provider, token))[0] == 200


async def test_a_compressed_pull_is_whole_gzip(provider: Rig, tmp_path: Path) -> None:
    (tmp_path / "lung.csv").write_bytes(text := b"1,63\n" * 500_000)
    await provider.agreed()
    status, body = await pull(provider, await provider.token(), accept_encoding="gzip")
    assert (status, gzip.decompress(body)) == (200, text)


async def test_an_origin_that_dies_midway_is_a_broken_transfer_and_before_that_no_use(tmp_path: Path) -> None:
    dies_after = 0

    async def dies(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        if dies_after:
            await response.prepare(request)
            await response.write(b"x" * dies_after)
        assert request.transport
        request.transport.close()
        return response

    async with (
        service(dies) as url,
        rig(tmp_path, {"type": "HttpData", "baseUrl": url}) as provider,
    ):
        await provider.agreed(at_most(5))
        token = await provider.token()
        status, _ = await pull(provider, token, "GET")
        assert (status, await provider.uses()) == (502, 0)
        dies_after = 10
        with pytest.raises(ClientPayloadError):
            await pull(provider, token)
        await settled(provider, 2)
        assert await provider.uses() == 1


async def test_a_secret_opens_the_origin_and_is_seen_by_nobody_else(tmp_path: Path) -> None:
    seen: list[str] = []

    async def guarded(request: web.Request) -> web.Response:
        seen.append(request.headers.get("X-Api-Key", ""))
        return web.Response(text="data")

    async with service(guarded) as url:
        address = {"type": "HttpData", "baseUrl": url, "authKey": "X-Api-Key", "secretName": "warehouse"}
        async with rig(tmp_path, address) as provider:
            await provider.agreed()
            await provider.store.transact(lambda tx: tx.secrets.put("warehouse", "s3cret"))
            assert await pull(provider, await provider.token()) == (200, b"data")
            records = await provider.store.read(lambda tx: tx.audit.since(0, 100))
    assert seen == ["s3cret"]
    assert "s3cret" not in str(records)


async def test_path_query_method_and_body_reach_a_service_that_takes_them(tmp_path: Path) -> None:
    """anchors.md section 2, 6."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.method} {request.rel_url.raw_path_qs} {await request.text()}")

    switches = dict.fromkeys(("proxyMethod", "proxyPath", "proxyQueryParams", "proxyBody"), "true")
    async with service(echo) as url, rig(tmp_path, {"type": "HttpData", "baseUrl": url + "/fhir", **switches}) as provider:
        await provider.agreed()
        headers = {"Authorization": await provider.token()}
        async with provider.client.post(
            URL(provider.url + "/Patient/_search?a=%2F", encoded=True), data=b"x" * 300_000, headers=headers
        ) as answer:
            assert await answer.text() == "POST /fhir/Patient/_search?a=%2F " + "x" * 300_000


async def test_over_tls_a_file_arrives_whole_too(tmp_path: Path) -> None:
    """The kernel cannot encrypt what it sends, so the loop reads and writes instead."""
    (tmp_path / "lung.bin").write_bytes(content := bytes(range(256)) * 4_096)
    server, client = certified(tmp_path)
    async with rig(tmp_path, {"type": "File", "path": "lung.bin"}, tls=server) as provider:
        await provider.agreed()
        headers = {"Authorization": await provider.token()}
        async with provider.client.get(provider.url, headers=headers, ssl=client) as answer:
            assert await answer.read() == content


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return TLS contexts of a server on 127.0.0.1 and of a client that trusts it."""
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


# --- refresh -------------------------------------------------------------------------------------------------------------


async def renew(provider: Rig, refresh_token: str | None, caller: str = AARHUS) -> tuple[int, dict[str, object]]:
    form = {"grant_type": "refresh_token"} | ({"refresh_token": refresh_token} if refresh_token else {})
    headers = {"Authorization": json.dumps({"region": "eu", "clientId": caller, "audience": "odense"})}
    async with provider.client.post(provider.url + "/token", data=form, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_token_is_renewed_by_the_consumer_it_was_made_for(provider: Rig) -> None:
    """anchors.md section 2, 15; the form of RFC 6749, section 6."""
    await provider.agreed()
    refresh_token = (await provider.edr()).get("refreshToken")
    provider.clock.now += timedelta(hours=1)
    status, answer = await renew(provider, refresh_token)
    assert (status, answer["token_type"], answer["expires_in"]) == (200, "Bearer", 600)
    assert (await pull(provider, str(answer["access_token"])))[0] == 200
    assert (await renew(provider, str(answer["refresh_token"])))[0] == 200
    assert len(await provider.audit("token.renewed")) == 2


async def test_a_stolen_refresh_token_renews_nothing(provider: Rig) -> None:
    await provider.agreed()
    refresh_token = (await provider.edr()).get("refreshToken")
    assert (await renew(provider, refresh_token, caller="thief"))[0] == 403


async def test_a_refresh_token_dies_with_its_epoch_and_its_agreement(provider: Rig) -> None:
    await provider.agreed()
    refresh_token = (await provider.edr()).get("refreshToken")
    await provider.suspend()
    assert (await renew(provider, refresh_token))[0] == 403
    await provider.change_transfer(lambda t: replace(t, state=State.STARTED))
    assert (await renew(provider, refresh_token))[0] == 403
    fresh = (await provider.edr()).get("refreshToken")
    await provider.change_agreement(lambda a: replace(a, ended="withdrawn"))
    assert (await renew(provider, fresh))[0] == 403


async def test_bad_renewals_are_4xx(provider: Rig) -> None:
    await provider.agreed()
    assert (await renew(provider, None))[0] == 400
    assert (await renew(provider, "nonsense"))[0] == 401
    assert (await renew(provider, await provider.token()))[0] == 401
    assert (await renew(provider, "x" * 100_000))[0] == 413
    async with provider.client.post(provider.url + "/token", json={}) as answer:
        assert answer.status == 401
