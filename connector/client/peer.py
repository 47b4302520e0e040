"""A partner as a person names it: by an id, or by any of its addresses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from connector.dsp import dialects
from connector.dsp.binding import VERSION, WELL_KNOWN
from connector.dsp.dialects import NEWEST, Dialect
from connector.dsp.versions import read_version, select_version
from connector.errors import Malformed, OperatorError, Unavailable
from connector.odrl.model import Json


@dataclass(frozen=True, slots=True)
class Peer:
    """A connector and its participant's id. `address` is the DSP base, version path included; "" where it is not known.

    `dialect` is the version spoken there; None: the one that the address ends with, or the newest.
    """

    id: str
    address: str
    name: str = ""
    dialect: Dialect | None = None

    @property
    def body(self) -> dict[str, Json]:
        """Return the fields that name this peer in a management request."""
        spoken = self.dialect or dialects.at(self.address) or NEWEST
        return {"counterPartyId": self.id, "counterPartyAddress": self.address, "protocol": spoken.protocol}


async def find(named: str, id: str | None, known: Collection[Peer]) -> Peer:
    """Return the partner that `named` means: id or name of one of the `known`, or an address.

    Raises:
        OperatorError: an address that none of them has, and no `id` was given.
        Unavailable: nothing that could tell its DSP address answers there.
    """
    for partner in known:
        if named in (partner.id, partner.name) and partner.address:
            return partner
    base, dialect = await address(named)
    if id is None:
        same = (partner for partner in known if dialects.root(partner.address) == dialects.root(base))
        id = next((partner.id for partner in same), None)
    if id is None:
        names = ", ".join(partner.id for partner in known) or "nobody"
        raise OperatorError(
            f"whose address is {base}? Say it with --peer ID (in Python: id=...), or write it as dsp into the trust file "
            f"(has: {names})"
        )
    return Peer(id, base, dialect=dialect)


async def address(url: str) -> tuple[str, Dialect]:
    """Return the DSP base of a connector, from any address of it, and the newest version that it speaks as we do.

    `https://host`, `https://host/dsp` and `https://host/dsp/2025-1` all do: the version document says the rest (DSP-012
    allows it below a path, so the path is tried before the top of the host).

    Raises:
        Unavailable: no version document where it could be.
        OperatorError: `url` is no web address, or the peer speaks no version that we speak.
    """
    import httpx

    base = url.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise OperatorError(f"{url!r} is no web address; write the partner's, such as https://connector.hospital.example")
    if (said := dialects.at(base)) is not None:
        return base, said
    parts = httpx.URL(base)
    top = f"{parts.scheme}://{parts.netloc.decode()}"
    trouble = "has no version document"
    async with httpx.AsyncClient(timeout=10) as client:
        for root in dict.fromkeys((base, top)):
            try:
                response = await client.get(root + WELL_KNOWN)
            except httpx.TransportError as error:
                trouble = f"does not answer ({type(error).__name__})"
                continue
            if response.status_code == 200:
                return _base(response.content, root)
    raise Unavailable(f"{url} {trouble}; asked for {WELL_KNOWN}. Is it the address of a connector, and reachable from here?")


def _base(body: bytes, root: str) -> tuple[str, Dialect]:
    """Return the base that the version document below `root` names for the newest version we share (DSP-017)."""
    try:
        versions = read_version(body)
    except Malformed as error:
        raise Unavailable(f"{root}{WELL_KNOWN} is not a version document") from error
    try:
        dialect, version = dialects.common(versions) or (NEWEST, VERSION)  # with nothing in common, this raises
        return select_version(versions, root, version=version), dialect
    except Malformed as error:
        raise OperatorError(str(error)) from error
