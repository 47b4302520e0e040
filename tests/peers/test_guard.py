"""Where a peer can make us call: its callbackAddress is its own choice, the addresses behind our firewall are not for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web

from connector.config import Network
from connector.errors import ConnectorError, Forbidden, Unavailable
from connector.peers.client import Guard, HttpPeers


class Inside:
    """A service on loopback that answers `body` to everything and counts who came."""

    def __init__(self) -> None:
        self.hits, self.port, self.body = 0, 0, b"{}"

    async def answer(self, request: web.Request) -> web.Response:
        self.hits += 1
        return web.Response(body=self.body)


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    service, app = Inside(), web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.port = runner.addresses[0][1]
    yield service
    await runner.cleanup()


async def post(network: Network, url: str) -> object:
    peers = HttpPeers(network, False, timedelta(seconds=2))
    try:
        return await peers.post(url, b"{}", "token", "correlation")
    finally:
        await peers.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "user@127.0.0.1",
        "%31%32%37.0.0.1", "[::1]", "[::ffff:127.0.0.1]",
        "127。0。0。1", "１２７.0.0.1", "①②⑦.0.0.1",  # as a browser reads them: 127.0.0.1
    ],
)  # fmt: skip
async def test_no_spelling_of_an_inner_address_is_called(inside: Inside, host: str) -> None:
    with pytest.raises(ConnectorError):
        await post(Network(), f"http://{host}:{inside.port}/callback")
    assert inside.hits == 0


async def test_what_the_operator_allows_is_called(inside: Inside) -> None:
    for network, host in ((Network(("127.0.0.0/8",)), "127.0.0.1"), (Network(("localhost",)), "localhost")):
        await post(network, f"http://{host}:{inside.port}/callback")
    assert inside.hits == 2


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("2a00:1450:400f:80c::200e", True),
        ("64:ff9b::808:808", True),  # NAT64 of 8.8.8.8
        ("64:ff9b::a00:1", False),  # NAT64 of 10.0.0.1
        ("64:ff9b:1::a00:1", False),  # RFC 8215: a network's own translation
        ("2002:a00:1::", False),  # 6to4 of 10.0.0.1
        ("::10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("fe80::1%eth0", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("8.8.8.8", True),
    ],
)
async def test_an_address_that_leads_inside_is_refused_whatever_carries_it(address: str, allowed: bool) -> None:
    assert Guard(Network(), False).allows("peer.example", address) is allowed


async def test_a_peers_endless_acknowledgement_is_not_gathered(inside: Inside) -> None:
    """64 deliveries at once, each answered with 64 MB, would be 4 GB."""
    inside.body = b" " * 3_000_000
    with pytest.raises(Unavailable, match="more than"):
        await post(Network(("127.0.0.0/8",)), f"http://127.0.0.1:{inside.port}/callback")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127。0。0。1", "[::1]", "2130706433", "[bad"])
async def test_an_address_that_another_program_is_to_call_is_checked_alike(host: str) -> None:
    peers = HttpPeers(Network(), False, timedelta(seconds=2))
    try:
        with pytest.raises(Forbidden):
            await peers.check(f"http://{host}:8081/management")
        await peers.check("https://8.8.8.8/data")
        await peers.check("https://nobody.invalid/data")  # whom the caller may know; here it leads nowhere
    finally:
        await peers.close()
