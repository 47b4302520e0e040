"""The client's story: find a dataset, agree on its terms, bring it home. `connector.client` has the same without `await`.

    async with aio.connect("http://127.0.0.1:8081", api_key="...") as here:
        catalog = await here.catalog("https://odense.example")
        dataset = await catalog.dataset("gbsg2")
        agreement = await dataset.negotiate(purpose="eu-ehds:HealthcareScientificResearch")
        async with await agreement.transfer() as transfer:
            frame = await transfer.to_polars()

It speaks to the own connector's management API and pulls data where the provider's data address says; it needs no keys.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from connector import errors
from connector.client import tables
from connector.client.api import Api, States
from connector.client.download import Edr, Progress, Pulled, pull, quiet
from connector.client.peer import Peer, find
from connector.client.terms import duties, terms
from connector.client.wire import listed, objects, text
from connector.odrl.model import Json

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

R = TypeVar("R")
PULL = "HttpData-PULL"
PATIENCE = 60.0  # seconds for one step of the protocol
PAGE = 500  # datasets asked for at once


def connect(url: str, api_key: str | None = None) -> Connection:
    """Return a connection to the connector whose management API is at `url`. Nothing is sent yet."""
    return Connection(Api(url, api_key))


@dataclass(frozen=True, slots=True)
class Connection:
    """The own connector."""

    api: Api

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.api.close()

    async def partners(self) -> list[Peer]:
        """Return the participants that the connector trusts."""
        try:
            found = objects(await self.api.get("partners"))
        except errors.NotFound:  # another make of connector: it does not tell
            return []
        return [Peer(text(one.get("@id")), text(one.get("address")), text(one.get("name"))) for one in found]

    async def catalog(self, provider: str | Peer, *, id: str | None = None) -> Catalog:
        """Return what `provider` offers us: a partner's id or name, or an address of its connector.

        `id` is the participant's id, where the own connector's trust file does not tell whose the address is.

        Raises:
            OperatorError: nobody knows whose address it is.
            Unavailable: nothing answers there.
        """
        peer = provider if isinstance(provider, Peer) else await find(provider, id, await self.partners())
        return Catalog(self.api, peer)


@dataclass(frozen=True, slots=True)
class Catalog:
    """What one provider offers us. Iterating asks page by page; `dataset` asks for one."""

    api: Api = field(repr=False)
    peer: Peer

    async def __aiter__(self) -> AsyncIterator[Dataset]:
        seen: set[str] = set()
        while True:
            spec: Json = {"offset": len(seen), "limit": PAGE}
            page = objects((await self.document({"querySpec": spec})).get("dataset"))
            fresh = {text(one.get("@id")): one for one in page if text(one.get("@id")) not in seen}
            for id, one in fresh.items():
                yield Dataset(self.api, self.peer, id, one)
            seen |= fresh.keys()
            if len(page) < PAGE or not fresh:  # a connector that knows no pages sends all of it each time
                return

    async def document(self, query: Mapping[str, Json] | None = None) -> dict[str, Json]:
        """Return the catalogue as the provider describes it."""
        found: dict[str, Json] = await self.api.post("catalog", "request", body={**self.peer.body, **(query or {})})
        return found

    async def dataset(self, id: str) -> Dataset:
        """Raises NotFound, or Unavailable with the provider's words: no such dataset, or not for us."""
        found = await self.api.post("catalog", "dataset", "request", body={**self.peer.body, "@id": id})
        return Dataset(self.api, self.peer, id, found)


@dataclass(frozen=True, slots=True)
class Offer:
    """Terms under which a dataset is given; `policy` is the ODRL as it was on the wire."""

    id: str
    policy: dict[str, Json] = field(repr=False)

    @property
    def terms(self) -> list[str]:
        """What it permits and forbids, a sentence each."""
        return terms(self.policy)

    @property
    def duties(self) -> list[str]:
        """What one must do, a sentence each."""
        return duties(self.policy)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as its provider describes it to us."""

    api: Api = field(repr=False)
    peer: Peer
    id: str
    description: dict[str, Json] = field(repr=False)

    @property
    def title(self) -> str:
        return text(self.description.get("title", self.description.get("name")))

    @property
    def offers(self) -> list[Offer]:
        return [Offer(text(offer.get("@id")), offer) for offer in objects(self.description.get("hasPolicy"))]

    @property
    def formats(self) -> list[str]:
        distributions = objects(self.description.get("distribution"))
        return sorted({text(one.get("format")) for one in distributions if listed(one.get("format"))})

    def offer(self, id: str | None = None) -> Offer:
        """Return the offer of that id, or the first. Raises NotFound."""
        offers = self.offers
        if not offers:
            raise errors.NotFound(f"{self.id} has no offer for us")
        found = next((offer for offer in offers if id in (None, offer.id)), None)
        if found is None:
            raise errors.NotFound(f"{self.id} has no offer {id}; there is {', '.join(offer.id for offer in offers)}")
        return found

    async def negotiate(
        self,
        purpose: str | None = None,
        *,
        offer: str | None = None,
        within: float = PATIENCE,
        progress: States = lambda _: None,
    ) -> Agreement:
        """Negotiate an offer to its end. `purpose` is a term such as "eu-ehds:HealthcareScientificResearch".

        `progress` is told each state that the negotiation is seen in.

        Raises:
            Denied: the provider, or our own policy, refused; the text is its reason.
            NotFound: there is no such offer.
            Unavailable: not decided `within` so many seconds; the negotiation goes on.
        """
        began = time.monotonic()
        policy = {**self.offer(offer).policy, "@type": "Offer", "assigner": self.peer.id, "target": self.id}
        body = {**self.peer.body, "policy": {"@context": "http://www.w3.org/ns/odrl.jsonld", **policy}}
        begun = await self.api.post("contractnegotiations", body=body | ({"purpose": purpose} if purpose else {}))
        id = text(begun.get("@id"))
        state = await self.api.wait("contractnegotiations", id, frozenset({"FINALIZED", "TERMINATED"}), within, progress)
        record = await self.api.get("contractnegotiations", id)
        if state == "TERMINATED":
            why = text(record.get("errorDetail")) or "no reason given"
            raise errors.Denied(f"{self.id} was refused: {why}\nThe whole story: `connector negotiations show {id}`")
        agreed = await self.api.get("contractnegotiations", id, "agreement")
        contract, seconds = text(record.get("contractAgreementId")), time.monotonic() - began
        return Agreement(self.api, self.peer, contract, id, self.id, agreed.get("policy"), seconds)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a negotiation gave; `seconds` is how long it took."""

    api: Api = field(repr=False)
    peer: Peer
    id: str
    negotiation: str
    dataset: str
    policy: Json = field(repr=False)
    seconds: float

    @property
    def terms(self) -> list[str]:
        """What we may and must not do, and within which limits, a sentence each."""
        return terms(self.policy)

    @property
    def duties(self) -> list[str]:
        """What we must do, a sentence each."""
        return duties(self.policy)

    async def transfer(self, *, within: float = PATIENCE, progress: States = lambda _: None) -> Transfer:
        """Start a transfer; used as a context manager it ends with the block. Raises Denied with the provider's reason."""
        return await self._start(within, progress, once=False)

    async def pull(self, *, within: float = PATIENCE, progress: States = lambda _: None) -> Transfer:
        """Start a transfer that ends by itself once it was read. Raises Denied with the provider's reason."""
        return await self._start(within, progress, once=True)

    async def _start(self, within: float, progress: States, *, once: bool) -> Transfer:
        body: dict[str, Json] = {"contractId": self.id, "assetId": self.dataset, "transferType": PULL}
        id = text((await self.api.post("transferprocesses", body={**self.peer.body, **body})).get("@id"))
        state = await self.api.wait("transferprocesses", id, frozenset({"STARTED", "TERMINATED"}), within, progress)
        if state == "TERMINATED":
            why = text((await self.api.get("transferprocesses", id)).get("errorDetail")) or "no reason given"
            raise errors.Denied(f"the transfer was refused: {why}\nThe whole story: `connector transfers show {id}`")
        return Transfer(self.api, id, once)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A started transfer. With `once` it ends by itself after it was read."""

    api: Api = field(repr=False)
    id: str
    once: bool = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(errors.ConnectorError):  # a provider that ended it first changes nothing
            await (self.complete() if error is None else self.terminate(f"the consumer gave up: {type(error).__name__}"))

    async def edr(self) -> Edr:
        """Return where the data is pulled, with a token that is valid now."""
        address = await self.api.get("edrs", self.id, "dataaddress", auto_refresh="true")
        return Edr(text(address.get("endpoint")), text(address.get("authorization")))

    async def complete(self) -> None:
        """Say that the data is here. Raises Conflict where the transfer has ended already."""
        await self.api.post("transferprocesses", self.id, "complete")

    async def terminate(self, reason: str) -> None:
        await self.api.post("transferprocesses", self.id, "terminate", body={"reason": reason})

    async def save(self, path: Path | str, progress: Progress = quiet) -> Pulled:
        """Bring the data to a file. What an earlier, broken `save` to the same path brought is not brought again.

        `progress` is told bytes so far, and bytes in all where they are known.

        Raises:
            Denied: the provider refuses, with its reason.
            Unavailable: it broke off; `save` to the same path goes on from there.
        """
        pulled = await pull(self.edr, Path(path), progress)
        if self.once:
            await self.__aexit__(None, None, None)
        return pulled

    async def bytes(self, progress: Progress = quiet) -> bytes:
        return await self._read(lambda path, media: path.read_bytes(), progress)

    async def to_arrow(self, progress: Progress = quiet) -> pyarrow.Table:
        """Raises Malformed for what is no table: neither CSV, Parquet, JSON nor JSON lines."""
        return await self._read(tables.to_arrow, progress)

    async def to_polars(self, progress: Progress = quiet) -> polars.DataFrame:
        return await self._read(tables.to_polars, progress)

    async def to_pandas(self, progress: Progress = quiet) -> pandas.DataFrame:
        return await self._read(tables.to_pandas, progress)

    async def _read(self, read: Callable[[Path, str], R], progress: Progress) -> R:
        tables.check(read)  # a library that is not there is no reason to use the data up
        with tempfile.TemporaryDirectory(prefix="connector-") as folder:  # on disk, so that a broken stream goes on
            pulled = await self.save(Path(folder) / "data", progress)
            return read(pulled.path, pulled.content_type)
