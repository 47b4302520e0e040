"""What the services need from outside, as protocols; adapters implement them, `app` joins them.

Store transactions are *synchronous* functions run by the store (one writer thread with group commit in SQLite, a pooled
connection in PostgreSQL): `await store.transact(work)` returns what `work(tx)` returned, after it is durable. Inside `work`
there is no awaiting, so nothing can be sent from inside a transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol, TypeVar

from connector.dsp.criteria import Query as Query  # part of this interface
from connector.dsp.messages import PROTOCOL, DataAddress, Kind, Message
from connector.dsp.negotiation import Negotiation
from connector.dsp.offering import Agreement, Asset, ContractDefinition, Criterion, PolicyDefinition
from connector.dsp.transfer import TransferProcess
from connector.identity.participant import Participant
from connector.odrl.model import Json

T = TypeVar("T")
R = TypeVar("R")

Clock = Callable[[], datetime]  # aware UTC
Ids = Callable[[], str]  # a new `urn:uuid:...`


# --- store ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Envelope:
    """One outgoing message in the outbox.

    `url` is complete; `family` and `process_id` name the process it belongs to. `purpose` goes into the token that is made
    at each attempt; `protocol` is the version in whose words it goes out. `next_try` is when it is due; `attempts` counts
    the finished ones; `give_up_at` None means never (a promise, see dsp.process). While somebody delivers it the row is
    leased: `Outbox.due` does not give it to anybody else.
    """

    id: str  # also the message's @id
    family: str  # "negotiations" | "transfers"
    process_id: str
    kind: Kind
    peer: str
    url: str
    message: Message
    correlation_id: str
    created_at: datetime
    next_try: datetime
    give_up_at: datetime | None
    attempts: int = 0
    last_error: str | None = None
    last_status: int | None = None
    purpose: str | None = None
    protocol: str = PROTOCOL


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One thing that happened. `detail` is small JSON without secrets and without patient data."""

    at: datetime
    event: str  # "negotiation.received", "negotiation.sent", "transfer.started", "access.granted", ...
    correlation_id: str
    subject: str  # the process, agreement or object it is about
    peer: str | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)
    seq: int = 0  # given by the store


@dataclass(frozen=True, slots=True)
class Use:
    """One counted access under an agreement. `settled` False: bytes may still flow, counts as used (odrl.md 37)."""

    id: str
    agreement_id: str
    transfer_id: str
    at: datetime
    settled: bool = False
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """How far a receiver of events was told: everything of the audit up to `seq`. `subject` None: of all it says."""

    id: str
    subject: str | None
    seq: int
    next_try: datetime
    attempts: int = 0
    last_error: str | None = None


class Table(Protocol[R]):
    """Records of one type by id."""

    def get(self, id: str, /) -> R | None: ...
    def put(self, record: R, /) -> None:
        """Insert or replace."""

    def delete(self, id: str, /) -> bool: ...
    def query(self, query: Query, /) -> list[R]: ...
    def count(self, filters: tuple[Criterion, ...] = ()) -> int: ...


class Processes(Table[R], Protocol[R]):
    def by_peer_pid(self, peer: str, peer_pid: str, /) -> R | None:
        """Return the process that `peer` knows as `peer_pid` (idempotent creation, DSP-088)."""

    def overdue(self, now: datetime, limit: int, /) -> list[R]:
        """Return processes that have not ended and whose deadline is at or before `now`."""

    def next_deadline(self) -> datetime | None: ...


class Outbox(Protocol):
    def add(self, envelope: Envelope, lease: datetime | None = None, /) -> None:
        """Queue for delivery. With `lease` it is born leased until then by this store's instance: the caller delivers
        it itself right after the commit, and only a crash gives it to `due`."""

    def due(self, now: datetime, limit: int, lease: datetime, /) -> list[Envelope]:
        """Lease until `lease` and return at most `limit` envelopes that are due and not leased, oldest first."""

    def get(self, id: str, /) -> Envelope | None: ...
    def retry(self, envelope: Envelope, /) -> None:
        """Store `attempts`, `next_try`, `last_error`, `last_status` of a failed attempt and give the lease back."""

    def remove(self, id: str, /) -> None: ...
    def of_process(self, process_id: str, /) -> list[Envelope]: ...
    def next_try(self) -> datetime | None:
        """Return when the next envelope is due or its lease runs out, whichever counts; None when the outbox is empty."""

    def depth(self) -> int: ...


class Uses(Protocol):
    def count(self, agreement_id: str, /) -> int:
        """Return how many uses are reserved or settled."""

    def has(self, id: str, /) -> bool:
        """Return whether this use is among those that count."""

    def reserve(self, use: Use, /) -> None:
        """Count a use. One that is reserved again is settled: its first try may have sent bytes."""

    def settle(self, id: str, size: int, /) -> None: ...
    def release(self, id: str, /) -> None:
        """Forget a reservation. Only when it is certain that no byte left."""


class Audit(Protocol):
    def add(self, record: AuditRecord, /) -> None: ...
    def of_subject(self, subject: str, limit: int = 1000, /) -> list[AuditRecord]: ...
    def since(self, seq: int, limit: int, /) -> list[AuditRecord]: ...
    def of_subject_since(self, subject: str, seq: int, limit: int, /) -> list[AuditRecord]: ...
    def last(self) -> int:
        """Return the newest record's seq, 0 when there is none."""


class Subscriptions(Protocol):
    def get(self, id: str, /) -> Subscription | None: ...
    def put(self, subscription: Subscription, /) -> None:
        """Insert or replace."""

    def delete(self, id: str, /) -> bool: ...
    def all(self) -> list[Subscription]: ...
    def due(self, now: datetime, /) -> list[Subscription]:
        """Return those that may be told now and have something to be told of."""

    def next_try(self, now: datetime, /) -> datetime | None:
        """Return when the next one that failed is to be tried again, after `now`."""


class Secrets(Protocol):
    def get(self, name: str, /) -> str | None: ...
    def put(self, name: str, value: str, /) -> None: ...
    def delete(self, name: str, /) -> bool: ...


class Transaction(Protocol):
    @property
    def negotiations(self) -> Processes[Negotiation]: ...
    @property
    def transfers(self) -> Processes[TransferProcess]: ...
    @property
    def agreements(self) -> Table[Agreement]: ...
    @property
    def assets(self) -> Table[Asset]: ...
    @property
    def policies(self) -> Table[PolicyDefinition]: ...
    @property
    def definitions(self) -> Table[ContractDefinition]: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def uses(self) -> Uses: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def subscriptions(self) -> Subscriptions: ...


class Store(Protocol):
    async def transact(self, work: Callable[[Transaction], T], /) -> T:
        """Run `work` in a write transaction; return its result once it is durable. An exception rolls back and rises."""

    async def read(self, work: Callable[[Transaction], T], /) -> T:
        """Run `work` on a consistent snapshot. It must not write."""

    async def close(self) -> None: ...


# --- the world -----------------------------------------------------------------------------------------------------


class Identity(Protocol):
    """Who calls, and how we say who we are. One per data space: trust file, plain test tokens; later DCP."""

    async def verify(self, authorization: str | None, /) -> Participant:
        """Return the caller. Raises Unauthorized, with a text that says what was wrong with the token."""

    async def authorize(self, audience: str, purpose: str | None, /) -> str:
        """Return the Authorization header value for a request to participant `audience`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A peer's HTTP answer; `body` is at most the allowed size."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case names


class Peers(Protocol):
    async def post(
        self,
        url: str,
        body: bytes,
        authorization: str,
        correlation_id: str,
        /,
        *,
        media: str = "application/json",
        at_most: int = ...,
    ) -> Answer:
        """Send one request and take an answer of `at_most` bytes.

        Raises Unavailable when no whole answer came (refused, reset, timed out, forbidden address).
        """

    async def get(self, url: str, authorization: str | None, correlation_id: str, /) -> Answer: ...

    async def check(self, url: str, /) -> None:
        """Raise Forbidden for an address that may not be called: for one that a partner chose and another program calls."""


class Hooks(Protocol):
    async def send(self, url: str, body: bytes, headers: Mapping[str, str], /) -> int:
        """Post to whoever subscribed and return the status. Raises Unavailable, Forbidden (an address we may not call)."""


class Tokens(Protocol):
    """EDR access tokens (product.md section 5)."""

    def issue(self, transfer: TransferProcess, agreement: Agreement, /) -> DataAddress:
        """Return a data address with a fresh access token and its refresh token."""


# --- data ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DataRequest:
    """What the holder of an EDR asked for. Header names are lower-case; `body` streams."""

    method: str
    path: str  # below the data endpoint, still percent-encoded; "" at the endpoint itself
    query: str  # raw query string
    headers: Mapping[str, str]
    body: AsyncIterator[bytes] | None = None


@dataclass(frozen=True, slots=True)
class DataResponse:
    """What a source answers. Either `chunks` (streamed, back-pressured) or `file` (sent by the kernel), or neither (HEAD).

    `file` is (open file, offset, count); `intact` is asked before its last bytes leave, and False breaks the response off:
    the file has changed meanwhile. `close` is called once when the response ended, however it ended.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes] | None = None
    file: tuple[BinaryIO, int, int] | None = None
    intact: Callable[[], bool] = lambda: True
    close: Callable[[], None] | None = None


class Source(Protocol):
    """One kind of data store behind the data plane, chosen by `data_address["type"]`."""

    async def check(self, address: Mapping[str, str], /) -> str | None:
        """Return what is wrong with the data address, in words that say what to write instead, or None."""

    async def open(self, address: Mapping[str, str], request: DataRequest, /) -> DataResponse:
        """Answer a permitted request. Raises Unavailable when the origin does not answer."""


class Sink(Protocol):
    """One kind of place that data is pushed to, chosen by the endpoint type of its data address."""

    def check(self, address: Mapping[str, str], /) -> str | None:
        """Return what is wrong with an address, in words for the consumer that wrote it, or None."""

    async def push(self, address: Mapping[str, str], headers: Mapping[str, str], chunks: AsyncIterator[bytes], /) -> None:
        """Bring `chunks` there, whole; `headers` describe them.

        Raises:
            NotTaken: it refuses them, or is a place where we do not go.
            Unavailable: it did not answer that it has them all.
        """
