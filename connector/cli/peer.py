"""A partner as a person names it: any of its addresses, with the id under which the trust file knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.config import Settings
from connector.dsp.binding import VERSION, WELL_KNOWN
from connector.errors import OperatorError, Unavailable
from connector.odrl.model import Json

if TYPE_CHECKING:
    import httpx

    from connector.identity.trust import Partner


@dataclass(frozen=True, slots=True)
class Peer:
    id: str
    address: str  # the DSP base, version path included

    @property
    def body(self) -> dict[str, Json]:
        """Return the fields that name this peer in a management request."""
        return {"counterPartyId": self.id, "counterPartyAddress": self.address, "protocol": "dataspace-protocol-http:2025-1"}


def find(named: str, id: str | None, own: Settings | None) -> Peer:
    """Return the partner that `named` means: its id or name in the trust file, or one of its addresses.

    Raises:
        OperatorError: an address that the trust file does not know, and no `id` was given.
    """
    known = _trusted(own)
    for partner in known:
        if named in (partner.id, partner.name) and partner.dsp:
            return Peer(partner.id, partner.dsp.rstrip("/"))
    base = address(named)
    if id is None:
        id = next((partner.id for partner in known if partner.dsp and partner.dsp.rstrip("/") == base), None)
    if id is None:
        names = ", ".join(partner.id for partner in known) or "nobody"
        raise OperatorError(
            f"whose address is {base}? Say it with --peer ID, or write it as dsp into the trust file (has: {names})"
        )
    return Peer(id, base)


def _trusted(own: Settings | None) -> list[Partner]:
    if own is None or own.identity.kind != "trust":
        return []
    from connector.identity.trust import read_trust

    return list(read_trust(own.root / own.identity.trust_file).values())


def address(url: str) -> str:
    """Return the DSP 2025-1 base of a connector, from any address of it.

    `https://host`, `https://host/dsp` and `https://host/dsp/2025-1` all do: the version document says the rest (DSP-012
    allows it below a path, so the path is tried before the top of the host).

    Raises:
        Unavailable: no version document where it could be.
        OperatorError: `url` is no web address, or the peer speaks another version.
    """
    import httpx

    base = url.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise OperatorError(f"{url!r} is no web address; write the partner's, such as https://connector.hospital.example")
    if base.endswith("/" + VERSION):
        return base
    parts = httpx.URL(base)
    top = f"{parts.scheme}://{parts.netloc.decode()}"
    trouble = "has no version document"
    with httpx.Client(timeout=10) as client:
        for root in dict.fromkeys((base, top)):
            try:
                response = client.get(root + WELL_KNOWN)
            except httpx.TransportError as error:
                trouble = f"does not answer ({type(error).__name__})"
                continue
            if response.status_code == 200:
                return root + _path(response, root)
    raise Unavailable(f"{url} {trouble}; asked for {WELL_KNOWN}. Is it the address of a connector, and reachable from here?")


def _path(response: httpx.Response, root: str) -> str:
    try:
        versions = [v for v in response.json()["protocolVersions"] if isinstance(v, dict)]
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"{root}{WELL_KNOWN} is not a version document") from error
    for version in versions:
        if version.get("version") == VERSION and version.get("binding", "HTTPS") == "HTTPS":
            return str(version.get("path", "")).rstrip("/")
    spoken = ", ".join(str(v.get("version")) for v in versions)
    raise OperatorError(f"{root} speaks Dataspace Protocol {spoken or 'of no version'}, this connector {VERSION}")
