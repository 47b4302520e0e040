"""What an operation of the management API is: one row that says method, path, bodies and the function behind it.

Routes and the OpenAPI document both come from these rows, so the document cannot say what the server does not do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from connector.config import Management
from connector.dsp import dialects
from connector.dsp.messages import PROTOCOL
from connector.identity.issuers import Caller
from connector.identity.trust import Partner
from connector.odrl.model import Json
from connector.ports import Clock, Ids, Store
from connector.services.callers import Callers
from connector.services.catalog import Catalogs
from connector.services.edrs import Edrs
from connector.services.federation import Federation
from connector.services.history import History
from connector.services.negotiations import Negotiations
from connector.services.notifying import Notifications
from connector.services.offerings import Offerings
from connector.services.publishing import Publishing
from connector.services.transfers import Transfers
from connector.web.management.fields import Fields
from connector.web.management.jsonld import Node


@dataclass(frozen=True, slots=True)
class DataPlane:
    """What the built-in data plane is, as EDC's selector shows one."""

    id: str
    url: str
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    transfers: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API acts on."""

    store: Store
    offerings: Offerings
    publishing: Publishing
    negotiations: Negotiations
    transfers: Transfers
    catalogs: Catalogs
    edrs: Edrs
    history: History
    clock: Clock
    ids: Ids
    settings: Management
    federation: Federation
    dataplane: DataPlane
    callers: Callers | None = None
    partners: Callable[[], Iterable[Partner]] = tuple  # whom the connector trusts
    notifications: Notifications | None = None  # what happens, as it happens


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read. `id` is the path's; `typed` says that it is one of version 4."""

    body: Fields
    id: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    typed: bool = False
    caller: Caller | None = None  # who asks; what roles allow is decided by this


@dataclass(frozen=True, slots=True)
class AsIs:
    """An answer that is written as it is, with the context it has."""

    document: Mapping[str, Json]


Answer: TypeAlias = Node | list[Node] | AsIs | list[AsIs] | None
Handler: TypeAlias = Callable[[Parts, Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` is below the version. `request` and `response` name schemas of `schemas.SCHEMAS`; no response is a 204."""

    method: str
    path: str
    handler: Handler
    summary: str
    request: str | None = None
    response: str | None = None
    many: bool = False  # the response is an array
    errors: tuple[int, ...] = ()
    params: tuple[str, ...] = ()
    only: tuple[str, ...] = ()  # the versions that have it; none named: all


def id_response(id: str, created_at: datetime | None) -> Node:
    return {"@type": "IdResponse", "@id": id, "createdAt": millis(created_at)}


def millis(instant: datetime | None) -> int | None:
    """Return epoch milliseconds."""
    return None if instant is None else int(instant.timestamp() * 1000)


def protocol(body: Fields) -> str:
    """Return the protocol version that `protocol`, or `profile` (version 4's other name for it), and the address say.

    A violation is noted unless it is one that we speak.
    """
    asked = body.mandatory("profile" if "profile" in body.node and "protocol" not in body.node else "protocol")
    if asked not in dialects.PROTOCOLS:
        if asked:
            words = f"protocol '{asked}' is not spoken here: use {', '.join(dialects.BY_PROTOCOL)}"
            body.wrong("protocol", words, asked)
        return PROTOCOL
    return dialects.named(asked, body.text("counterPartyAddress")).protocol


def address(body: Fields, *, mandatory: bool = True) -> str | None:
    """Return the counter-party's DSP base address."""
    found = body.mandatory("counterPartyAddress") if mandatory else body.text("counterPartyAddress")
    if found and not found.startswith(("http://", "https://")):
        words = "must be an http(s) URL with the protocol's path, such as https://host/dsp/2025-1"
        body.wrong("counterPartyAddress", f"value '{body.at('counterPartyAddress')}' {words}", found)
    return found
