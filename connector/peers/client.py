"""HTTP to peers: one shared session, bounded answers, no redirects, and only to addresses the operator allows.

Private, loopback and link-local addresses are refused unless development mode or `[network] allow` says otherwise: a
peer's callback address must not reach inside the hospital. The check is made on the resolved address that the connection
then uses, so a name that changes its address between check and use (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from datetime import timedelta

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from connector.config import Network
from connector.errors import Forbidden, Unavailable
from connector.observe import HEADER
from connector.ports import Answer

GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all that IPv6 has given out; the rest is somebody's inside
NAT64 = ipaddress.ip_network("64:ff9b::/96")
MAX_ANSWER = 1_000_000  # bytes of a peer's answer, where the caller expects no more


class Guard(AbstractResolver):
    """Resolves names and drops the addresses we may not call."""

    def __init__(self, network: Network, development: bool) -> None:
        self._resolver = ThreadedResolver()
        self._open = development
        self._names = {item.lower() for item in network.allow if not _is_network(item)}
        self._networks = [ipaddress.ip_network(item, strict=False) for item in network.allow if _is_network(item)]

    def allows(self, host: str, address: str) -> bool:
        ip = _reached(ipaddress.ip_address(address.split("%")[0]))
        public = ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in GLOBAL_UNICAST)
        return self._open or public or host.lower() in self._names or any(ip in net for net in self._networks)

    def check_literal(self, url: URL) -> None:
        """Raise Forbidden for a URL whose host is an address we may not call (names are checked when resolved)."""
        host = url.host or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if host.rstrip(".").rpartition(".")[2].isdecimal():  # 127.1, 2130706433: no name, whoever resolves it
                raise Forbidden(f"{host} is no name: write an address as four numbers") from None
            return
        if not self.allows(host, host):
            raise Forbidden(f"{host} is a private address: allow it under [network] allow, or use development mode")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [entry for entry in found if self.allows(host, entry["host"])]
        if not allowed:
            raise Forbidden(f"{host} has only private addresses: allow it under [network] allow, or use development mode")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


class HttpPeers:
    """Implements ports.Peers with aiohttp (0.3 ms of CPU a request where httpx takes 3)."""

    def __init__(self, network: Network, development: bool, timeout: timedelta) -> None:
        self._guard = Guard(network, development)
        self._timeout = aiohttp.ClientTimeout(total=timeout.total_seconds(), connect=min(10.0, timeout.total_seconds()))
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self,
        url: str,
        body: bytes,
        authorization: str,
        correlation_id: str,
        /,
        *,
        media: str = "application/json",
        at_most: int = MAX_ANSWER,
    ) -> Answer:
        headers = {"Content-Type": media, "Authorization": authorization, HEADER: correlation_id}
        return await self._call("POST", url, headers, body, at_most)

    async def send(self, url: str, body: bytes, headers: Mapping[str, str], /) -> int:
        """Post to a webhook and return its status; what else it answers is nothing to us and is not read."""
        return (await self._call("POST", url, dict(headers), body, 0)).status

    async def get(self, url: str, authorization: str | None, correlation_id: str) -> Answer:
        headers = {HEADER: correlation_id} | ({"Authorization": authorization} if authorization else {})
        return await self._call("GET", url, headers, None, MAX_ANSWER)

    async def check(self, url: str, /) -> None:
        target = self._target(url)
        try:
            await self._guard.resolve(target.raw_host or "", target.port or 0)
        except OSError:  # a name that only the caller's machine knows; here it leads nowhere
            return

    def _target(self, url: str) -> URL:
        """Return the URL as it is called: who checks the text instead takes `127。0。0。1` for a name. Raises Forbidden."""
        try:
            target = URL(url)
        except ValueError as error:
            raise Forbidden("the address is no URL") from error
        self._guard.check_literal(target)
        return target

    async def _call(self, method: str, url: str, headers: dict[str, str], body: bytes | None, at_most: int) -> Answer:
        target = self._target(url)
        host = target.authority
        try:
            async with self._opened().request(method, target, data=body, headers=headers, allow_redirects=False) as response:
                content = await _bounded(response, at_most) if at_most else b""
                return Answer(response.status, content, {k.lower(): v for k, v in response.headers.items()})
        except Forbidden:
            raise
        except TimeoutError as error:
            raise Unavailable(f"{host} did not answer in {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, Forbidden):
                raise error.__cause__ from error
            raise Unavailable(f"{host} cannot be reached: {_words(error)}") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=64, resolver=self._guard, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _bounded(response: aiohttp.ClientResponse, at_most: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        size += len(part)
        if size > at_most:
            raise Unavailable(f"{response.url.host} answered more than {at_most} bytes")
        parts.append(part)
    return b"".join(parts)


def _reached(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 one leads to, where it does (mapped, 6to4, NAT64)."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None
    return ip.ipv4_mapped or ip.sixtofour or inner or ip


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _is_network(item: str) -> bool:
    try:
        ipaddress.ip_network(item, strict=False)
    except ValueError:
        return False
    return True
