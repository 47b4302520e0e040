"""Who may use the management API: whoever has the key; without a key, only programs on this machine.

A listener without a key is on loopback (config.Management), but a browser on the same machine can be led there: by a
name that an attacker rebinds to 127.0.0.1, or by a plain cross-site POST. So the Host and Origin must be loopback names.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from connector.errors import Forbidden, Unauthorized

HEADER = "X-Api-Key"


def authenticate(headers: Mapping[str, str], api_key: str | None) -> None:
    """Raises Unauthorized or Forbidden. An empty or foreign key is accepted where none is configured."""
    if not api_key:
        _local(headers)
        return
    given = headers.get(HEADER)
    if not given:
        raise Unauthorized("x-api-key not found: send the key of connector.toml, section [management], in this header")
    if not hmac.compare_digest(given.encode(errors="surrogateescape"), api_key.encode()):
        raise Unauthorized("x-api-key is not the key of this connector")


def _local(headers: Mapping[str, str]) -> None:
    for name, url in (("Host", "//" + headers.get("Host", "")), ("Origin", headers.get("Origin"))):
        if url is not None and not is_loopback(url):
            raise Forbidden(
                f"the {name} header does not name this machine: without [management] api_key this API "
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
