"""The versions of the Dataspace Protocol that are spoken: one model, and a dialect each (DSP-100..103).

The newest version is the hub: `codec` makes its documents, and an older dialect rewords them as they leave; what arrives
in an older one is reworded by `jsonld` on its way in. A process keeps the dialect that it began with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from connector.dsp.binding import VERSION
from connector.dsp.messages import PROTOCOL
from connector.dsp.older import INLINE, reworded
from connector.dsp.versions import BINDING, Version
from connector.errors import Malformed
from connector.odrl.model import Json


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version.

    `protocol` is its name in EDC's management API, `spellings` are those of its name in version metadata, ours first.
    `path` is that of its base below `/dsp`; `context` is None for the newest version, which needs no rewording.
    """

    protocol: str
    spellings: tuple[str, ...]
    path: str
    namespace: str
    context: Json = None

    def address(self, newest: str) -> str:
        """Return our base address in this version, given that of the newest (DSP-042)."""
        return newest if self.context is None else newest.removesuffix(NEWEST.path) + self.path

    def write(self, body: bytes, *, address: str = "", provider: str = "") -> bytes:
        """Return a document of the newest version in this one's words.

        `address` is our base in the newest version; `provider` whoever an offer in it is by, which 2024-1 wants to hear.
        """
        if self.context is None:
            return body
        said = reworded(orjson.loads(body), address=self.address(address), provider=provider)
        return orjson.dumps({"@context": self.context, **said})


W3ID = "https://w3id.org/dspace/"
NEWEST = Dialect(PROTOCOL, (VERSION,), f"/{VERSION}", W3ID + "2025/1/")
DIALECTS = (
    NEWEST,
    Dialect(
        "dataspace-protocol-http:2024/1", ("2024-1", "2024/1"), "/2024-1", W3ID + "2024/1/", W3ID + "2024/1/context.json"
    ),
    # Never published with a context of its own: EDC's, of the releases before 0.11.
    Dialect("dataspace-protocol-http", ("v0.8", "0.8"), "", W3ID + "v0.8/", {**INLINE, "dspace": W3ID + "v0.8/"}),
)
UNVERSIONED = DIALECTS[-1].protocol
BY_PROTOCOL: Mapping[str, Dialect] = {dialect.protocol: dialect for dialect in DIALECTS}
# What else says a dialect: 2024-1 as the specification spells it.
ALIASES = {"dataspace-protocol-http:2024-1": "dataspace-protocol-http:2024/1"}
PROTOCOLS = (*BY_PROTOCOL, *ALIASES)


def of(protocol: str) -> Dialect:
    """Return the dialect that a process speaks. Raises Malformed for a name that is none."""
    found = BY_PROTOCOL.get(ALIASES.get(protocol, protocol))
    if found is None:
        raise Malformed(f"protocol '{protocol}' is not spoken here: use {', '.join(BY_PROTOCOL)}")
    return found


def named(protocol: str, address: str | None) -> Dialect:
    """Return the dialect that a client of the management API means by `protocol` and the address beside it.

    `dataspace-protocol-http` is 0.8, but many clients write it without thinking: a version in the address is believed more.
    """
    found = of(protocol)
    return (found if protocol != UNVERSIONED else at(address or "")) or found


def at(address: str) -> Dialect | None:
    """Return the dialect whose version ends the base address, as in `/dsp/2025-1` and EDC's `/protocol/2024/1`."""
    return next((each for each in DIALECTS if _root(address, each) is not None), None)


def root(address: str) -> str:
    """Return the base address without the version at its end: where version metadata may be."""
    found = (_root(address, each) for each in DIALECTS)
    return next((above for above in found if above is not None), address.rstrip("/"))


def announced(below: str) -> tuple[Version, ...]:
    """Return our version metadata: every dialect in each of its spellings, for some peers look for exactly one."""
    return tuple(Version(spelling, (below + each.path) or "/") for each in DIALECTS for spelling in each.spellings)


def common(versions: Iterable[Version]) -> tuple[Dialect, str] | None:
    """Return the newest dialect that a peer with these versions speaks too, and how the peer spells it."""
    there = [version.version for version in versions if version.binding == BINDING]
    return next(((each, name) for each in DIALECTS for name in there if name in each.spellings), None)


def _root(address: str, dialect: Dialect) -> str | None:
    end = address.rstrip("/")
    return next((end.removesuffix("/" + each) for each in dialect.spellings if end.endswith("/" + each)), None)
