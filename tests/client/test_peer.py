"""Which version is spoken with a partner: the newest that both speak, said by its version metadata or its address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from connector.client.peer import Peer, address, find
from connector.errors import OperatorError

Host = Callable[[list[dict[str, str]]], Awaitable[str]]


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    """Serve these entries of version metadata; the connector's root address is returned."""
    runners = []

    async def serve(entries: list[dict[str, str]]) -> str:
        async def metadata(request: web.Request) -> web.Response:
            return web.json_response({"protocolVersions": entries})

        app = web.Application()
        app.router.add_get("/protocol/.well-known/dspace-version", metadata)
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/protocol"

    yield serve
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize(
    "announced, path, protocol",
    [
        (["2025-1", "2024/1", "v0.8"], "/2025-1", "dataspace-protocol-http:2025-1"),  # EDC 0.15.1
        (["v0.8", "2024/1"], "/2024/1", "dataspace-protocol-http:2024/1"),
        (["2024-1"], "/2024-1", "dataspace-protocol-http:2024/1"),
        (["v0.8"], "/v0.8", "dataspace-protocol-http"),
    ],
)
async def test_the_newest_common_version_is_spoken(host: Host, announced: list[str], path: str, protocol: str) -> None:
    root = await host([{"version": version, "path": "/" + version} for version in announced])
    found = await find(root, "edc", ())
    assert found.body == {"counterPartyId": "edc", "counterPartyAddress": root + path, "protocol": protocol}


async def test_a_partner_without_a_common_version_is_told_with_what_it_speaks(host: Host) -> None:
    with pytest.raises(OperatorError, match="it offers 2031-1"):
        await address(await host([{"version": "2031-1", "path": "/"}]))


@pytest.mark.parametrize(
    "base, protocol",
    [
        ("https://a.example/dsp/2025-1", "dataspace-protocol-http:2025-1"),
        ("https://a.example/dsp/2024-1", "dataspace-protocol-http:2024/1"),
        ("https://edc.example/protocol/2024/1", "dataspace-protocol-http:2024/1"),
        ("https://a.example/dsp", "dataspace-protocol-http:2025-1"),
    ],
)
def test_the_address_in_the_trust_file_says_the_version(base: str, protocol: str) -> None:
    assert Peer("a", base).body["protocol"] == protocol


async def test_an_address_of_any_version_is_known_for_its_partners() -> None:
    known = Peer("a", "https://a.example/dsp/2025-1")
    assert (await find("https://a.example/dsp/2024-1", None, [known])).id == "a"
