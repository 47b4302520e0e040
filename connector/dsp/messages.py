"""The messages of the Dataspace Protocol as frozen values, one class each (DSP 2025-1, sections 5, 7 and 9).

`id` is the message's own `@id`: the same on every retry, so the receiver can tell a retry from a new message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, TypeAlias

from connector.odrl.model import Json, Policy

DSP_CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
PROTOCOL = "dataspace-protocol-http:2025-1"
HARMLESS = frozenset({"type", "baseUrl", "endpoint", "path", "method", "contentType", "authKey", "authType"})


class Role(StrEnum):
    CONSUMER = "consumer"
    PROVIDER = "provider"

    @property
    def other(self) -> Role:
        return Role.PROVIDER if self is Role.CONSUMER else Role.CONSUMER


class Kind(StrEnum):
    """What a message does. ACCEPT and FINALIZE share the wire type ContractNegotiationEventMessage."""

    REQUEST = "request"
    OFFER = "offer"
    ACCEPT = "accept"
    AGREE = "agree"
    VERIFY = "verify"
    FINALIZE = "finalize"
    TERMINATE = "terminate"
    TRANSFER_REQUEST = "transfer-request"
    START = "start"
    SUSPEND = "suspend"
    COMPLETE = "complete"
    TERMINATE_TRANSFER = "terminate-transfer"


@dataclass(frozen=True, slots=True)
class EndpointProperty:
    name: str
    value: str = field(repr=False)  # may be a token


@dataclass(frozen=True, slots=True)
class DataAddress:
    """Where data is pulled from or pushed to (DSP-085, DSP-086). Property names are as the peer wrote them."""

    endpoint_type: str
    endpoint: str | None = None
    properties: tuple[EndpointProperty, ...] = ()

    def get(self, name: str) -> str | None:
        """Return the value of a property by its short name, whether the peer wrote the short name or a full IRI."""
        for prop in self.properties:
            if prop.name == name or prop.name.endswith(("/" + name, "#" + name)):
                return prop.value
        return None

    def values(self) -> dict[str, str]:
        """Return the properties by their short names; where there is no `baseUrl`, the endpoint is it."""
        found = {re.split("[/#]", prop.name)[-1]: prop.value for prop in self.properties}
        if self.endpoint is not None:
            found.setdefault("baseUrl", self.endpoint)
        return found

    def harmless(self) -> DataAddress:
        """Return the address without what may open a door: credentials, headers, and the query of a URL."""
        kept = (prop for prop in self.properties if re.split("[/#]", prop.name)[-1] in HARMLESS)
        properties = tuple(replace(prop, value=prop.value.partition("?")[0]) for prop in kept)
        return replace(self, endpoint=self.endpoint and self.endpoint.partition("?")[0], properties=properties)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRequest:
    """Consumer to provider: begins a negotiation (`callback_address`) or counters an offer (`provider_pid`)."""

    kind: ClassVar[Kind] = Kind.REQUEST
    id: str | None = None
    consumer_pid: str
    provider_pid: str | None = None
    offer: Policy
    callback_address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractOffer:
    """Provider to consumer: begins a negotiation (`callback_address`) or answers a request (`consumer_pid`)."""

    kind: ClassVar[Kind] = Kind.OFFER
    id: str | None = None
    provider_pid: str
    consumer_pid: str | None = None
    offer: Policy
    callback_address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractAgreement:
    kind: ClassVar[Kind] = Kind.AGREE
    id: str | None = None
    consumer_pid: str
    provider_pid: str
    agreement: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractVerification:
    kind: ClassVar[Kind] = Kind.VERIFY
    id: str | None = None
    consumer_pid: str
    provider_pid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractAccepted:
    kind: ClassVar[Kind] = Kind.ACCEPT
    id: str | None = None
    consumer_pid: str
    provider_pid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFinalized:
    kind: ClassVar[Kind] = Kind.FINALIZE
    id: str | None = None
    consumer_pid: str
    provider_pid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractTermination:
    kind: ClassVar[Kind] = Kind.TERMINATE
    id: str | None = None
    consumer_pid: str
    provider_pid: str
    code: str | None = None
    reason: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequest:
    kind: ClassVar[Kind] = Kind.TRANSFER_REQUEST
    id: str | None = None
    consumer_pid: str
    agreement_id: str
    format: str
    callback_address: str
    data_address: DataAddress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferStart:
    kind: ClassVar[Kind] = Kind.START
    id: str | None = None
    consumer_pid: str
    provider_pid: str
    data_address: DataAddress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSuspension:
    kind: ClassVar[Kind] = Kind.SUSPEND
    id: str | None = None
    consumer_pid: str
    provider_pid: str
    code: str | None = None
    reason: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCompletion:
    kind: ClassVar[Kind] = Kind.COMPLETE
    id: str | None = None
    consumer_pid: str
    provider_pid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferTermination:
    kind: ClassVar[Kind] = Kind.TERMINATE_TRANSFER
    id: str | None = None
    consumer_pid: str
    provider_pid: str
    code: str | None = None
    reason: tuple[Json, ...] = ()


NegotiationMessage: TypeAlias = (
    ContractRequest
    | ContractOffer
    | ContractAgreement
    | ContractVerification
    | ContractAccepted
    | ContractFinalized
    | ContractTermination
)
TransferMessage: TypeAlias = TransferRequest | TransferStart | TransferSuspension | TransferCompletion | TransferTermination
Message: TypeAlias = NegotiationMessage | TransferMessage


@dataclass(frozen=True, slots=True)
class CatalogRequest:
    """`filter` is one EDC-style QuerySpec per entry, as JSON; anything else is refused (DSP-031)."""

    id: str | None = None
    filter: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Ack:
    """A ContractNegotiation or TransferProcess as a peer sees it: the answer to a message (DSP-056)."""

    consumer_pid: str | None
    provider_pid: str | None
    state: str | None
