"""Who may use the management API: whoever has the key or a token; without either set up, only programs on this machine.

A listener without both is on loopback (config.Management), but a browser on the same machine can be led there: by a
name that an attacker rebinds to 127.0.0.1, or by a plain cross-site POST. So the Host and Origin must be loopback names.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from connector.errors import Forbidden, Unauthorized
from connector.identity.issuers import Caller
from connector.services.callers import Callers

HEADER = "X-Api-Key"
KEY_HOLDER = Caller("api-key")
ON_THIS_MACHINE = Caller("local")


class Gate:
    """Lets callers in and says who they are: what each of them may do is decided behind it."""

    def __init__(self, api_key: str | None, callers: Callers | None) -> None:
        self._api_key, self._callers = api_key, callers

    async def admit(self, headers: Mapping[str, str]) -> Caller:
        """Raises Unauthorized or Forbidden. An empty or foreign key is accepted where nothing is set up."""
        if not self._api_key and self._callers is None:
            _local(headers)
            return ON_THIS_MACHINE
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if self._callers is not None and scheme.lower() == "bearer":
            return await self._callers.verify(token.strip())
        return self._by_key(headers.get(HEADER))

    def _by_key(self, given: str | None) -> Caller:
        if not self._api_key:
            raise Unauthorized("Authorization not found: send a token of the server in connector.toml, [management.jwt]")
        if not given:
            raise Unauthorized("x-api-key not found: send the key of connector.toml, section [management], in this header")
        if not hmac.compare_digest(given.encode(errors="surrogateescape"), self._api_key.encode()):
            raise Unauthorized("x-api-key is not the key of this connector")
        return KEY_HOLDER


def _local(headers: Mapping[str, str]) -> None:
    for name, url in (("Host", "//" + headers.get("Host", "")), ("Origin", headers.get("Origin"))):
        if url is not None and not is_loopback(url):
            raise Forbidden(
                f"the {name} header does not name this machine: without [management] api_key or jwt this API "
                "answers only to localhost, 127.0.0.1 and [::1]"
            )


def is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
