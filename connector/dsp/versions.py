"""Version discovery: what `/.well-known/dspace-version` says, and which entry of a peer's we take (DSP 2025-1, 4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from connector.dsp.binding import VERSION, join
from connector.errors import Malformed

BINDING = "HTTPS"


@dataclass(frozen=True, slots=True)
class Auth:
    """How a version is authenticated, e.g. `DCP` `1.0` with profile `vc11-sl2021/jwt` (DSP-016)."""

    protocol: str
    version: str
    profile: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One entry. `path` is appended to the URL in front of `/.well-known` (DSP-017)."""

    version: str
    path: str
    binding: str = BINDING
    service_id: str | None = None
    identifier_type: str | None = None
    auth: Auth | None = None


def write_versions(versions: Iterable[Version]) -> bytes:
    """Return the version response: plain JSON without a context (DSP-014)."""
    return orjson.dumps({"protocolVersions": [_write(version) for version in versions]})


def read_version(body: bytes) -> tuple[Version, ...]:
    """Return a peer's entries in its order, several of one version included (DSP-018).

    EDC's spellings `2024/1` and `v0.8` are read as `2024-1` and `0.8`; an entry that cannot be read is left out.

    Raises:
        Malformed: it is no version response.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the version metadata is not JSON: {error}") from None
    entries = document.get("protocolVersions") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise Malformed("protocolVersions is missing or empty in the version metadata")
    return tuple(version for entry in entries if (version := _read(entry)) is not None)


def select_version(
    versions: Iterable[Version], root_url: str, *, version: str = VERSION, service_id: str | None = None
) -> str:
    """Return the base URL of the first entry that fits: `root_url`, the URL in front of `/.well-known`, and its path.

    Raises:
        Malformed: the peer has no such version; there is nothing to say to it (DSP-019).
    """
    versions = tuple(versions)
    for entry in versions:
        if entry.version == version and entry.binding == BINDING and service_id in (None, entry.service_id):
            return join(root_url, "/" + entry.path.strip("/")).rstrip("/")
    spoken = ", ".join(dict.fromkeys(entry.version for entry in versions)) or "none"
    raise Malformed(f"the peer at {root_url} does not speak version {version} over {BINDING}; it offers {spoken}")


def _write(version: Version) -> dict[str, Any]:
    entry = {
        "version": version.version,
        "path": version.path,
        "binding": version.binding,
        "serviceId": version.service_id,
        "identifierType": version.identifier_type,
        "auth": version.auth and _write_auth(version.auth),
    }
    return {name: value for name, value in entry.items() if value is not None}


def _write_auth(auth: Auth) -> dict[str, Any]:
    entry: dict[str, Any] = {"protocol": auth.protocol, "version": auth.version}
    return {**entry, "profile": list(auth.profile)} if auth.profile else entry


def _read(entry: Any) -> Version | None:
    if not isinstance(entry, dict):
        return None
    version, path = entry.get("version"), entry.get("path")
    if not isinstance(version, str) or not isinstance(path, str) or "://" in path:
        return None
    return Version(
        version=version.replace("/", "-").removeprefix("v"),
        path=path,
        binding=str(entry.get("binding", BINDING)).upper(),  # 2024-1 has none and knows HTTPS only
        service_id=_text(entry.get("serviceId")),
        identifier_type=_text(entry.get("identifierType")),
        auth=_read_auth(entry.get("auth")),
    )


def _read_auth(entry: Any) -> Auth | None:
    if not isinstance(entry, dict):
        return None
    profile = entry.get("profile")
    return Auth(
        protocol=str(entry.get("protocol", "")),
        version=str(entry.get("version", "")),
        profile=tuple(map(str, profile)) if isinstance(profile, list) else (),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
