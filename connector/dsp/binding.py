"""The HTTPS binding: one row per endpoint; server routes and client URLs both come from it (DSP 2025-1, 6, 8, 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from connector.dsp.messages import Kind, Role

VERSION = "2025-1"
WELL_KNOWN = "/.well-known/dspace-version"
Family = Literal["negotiations", "transfers"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`path` is below the DSP base; `{pid}` is the pid of the side that serves it. `kinds`: what may arrive there.

    Both sides use the same paths: a connector serves provider endpoints and consumer callbacks under one base and tells
    them apart by the pid. Who may send what is in `SENDERS`. `creates`: a message there begins a process.
    """

    family: Family
    path: str
    kinds: frozenset[Kind]
    creates: bool = False


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("negotiations", "/negotiations/request", frozenset({Kind.REQUEST}), creates=True),
    Endpoint("negotiations", "/negotiations/offers", frozenset({Kind.OFFER}), creates=True),
    Endpoint("negotiations", "/negotiations/{pid}/request", frozenset({Kind.REQUEST})),
    Endpoint("negotiations", "/negotiations/{pid}/offers", frozenset({Kind.OFFER})),
    Endpoint("negotiations", "/negotiations/{pid}/events", frozenset({Kind.ACCEPT, Kind.FINALIZE})),
    Endpoint("negotiations", "/negotiations/{pid}/agreement", frozenset({Kind.AGREE})),
    Endpoint("negotiations", "/negotiations/{pid}/agreement/verification", frozenset({Kind.VERIFY})),
    Endpoint("negotiations", "/negotiations/{pid}/termination", frozenset({Kind.TERMINATE})),
    Endpoint("transfers", "/transfers/request", frozenset({Kind.TRANSFER_REQUEST}), creates=True),
    Endpoint("transfers", "/transfers/{pid}/start", frozenset({Kind.START})),
    Endpoint("transfers", "/transfers/{pid}/suspension", frozenset({Kind.SUSPEND})),
    Endpoint("transfers", "/transfers/{pid}/completion", frozenset({Kind.COMPLETE})),
    Endpoint("transfers", "/transfers/{pid}/termination", frozenset({Kind.TERMINATE_TRANSFER})),
)

# Who may send what (DSP-062: ACCEPTED only by the consumer, FINALIZED only by the provider); absent: both may.
SENDERS: dict[Kind, Role] = {
    Kind.REQUEST: Role.CONSUMER,
    Kind.OFFER: Role.PROVIDER,
    Kind.ACCEPT: Role.CONSUMER,
    Kind.AGREE: Role.PROVIDER,
    Kind.VERIFY: Role.CONSUMER,
    Kind.FINALIZE: Role.PROVIDER,
    Kind.TRANSFER_REQUEST: Role.CONSUMER,
}


def path(kind: Kind, pid: str | None) -> str:
    """Return the path below the peer's base for a message to its process `pid` (None: one that creates it)."""
    for endpoint in ENDPOINTS:
        if kind in endpoint.kinds and endpoint.creates is (pid is None):
            return endpoint.path.replace("{pid}", quote(pid or "", safe=""))
    raise LookupError(f"{kind} has no endpoint {'without' if pid is None else 'with'} a pid")


def join(base: str, below: str) -> str:
    """Return `base` and `below` with exactly one slash between them (DSP-010)."""
    return base.rstrip("/") + below
