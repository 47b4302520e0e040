"""The client without `await`: the same objects, each call run to its end in an event loop of its own thread.

The thread is what lets it work inside a notebook, whose own loop is running already.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from connector.client import aio
from connector.client.api import States
from connector.client.download import Edr, Progress, Pulled, quiet
from connector.client.peer import Peer
from connector.odrl.model import Json

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

R = TypeVar("R")


class Loop:
    """An event loop in a thread, which ends with `close` or with its last user."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=(self._loop,), name="connector-client", daemon=True).start()
        self.close = weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Return what `work` returns. Ctrl-C cancels it."""
        pending = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return pending.result()
        except KeyboardInterrupt:
            pending.cancel()
            raise


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def connect(url: str, api_key: str | None = None) -> Connection:
    """Return a connection to the connector whose management API is at `url`. Nothing is sent yet."""
    loop = Loop()
    return Connection(loop, aio.connect(url, api_key))


class Management(AbstractContextManager["Management"]):
    """The management API, call by call: what the command line speaks, and what is below all the rest."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.connection = connect(url, api_key)
        self._loop, self._api = self.connection.loop, self.connection.own.api
        self.url = self._api.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.connection.close()

    def get(self, *path: str) -> Any:
        return self._loop.run(self._api.get(*path))

    def post(self, *path: str, body: dict[str, Json] | None = None) -> Any:
        return self._loop.run(self._api.post(*path, body=body))

    def query(self, family: str, *, limit: int = 50, **equal: str) -> list[dict[str, Json]]:
        """Return records of a family, where the given fields have the given values."""
        return self._loop.run(self._api.query(family, limit, **equal))

    def wait(self, family: str, id: str, wanted: frozenset[str], within: float, seen: States = lambda _: None) -> str:
        """Return the first of the `wanted` states that a process reaches. Raises Unavailable after `within` seconds."""
        return self._loop.run(self._api.wait(family, id, wanted, within, seen))


@dataclass(frozen=True, slots=True)
class Connection:
    """The own connector."""

    loop: Loop = field(repr=False)
    own: aio.Connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self.loop.close.alive:
            self.loop.run(self.own.close())
            self.loop.close()

    def partners(self) -> list[Peer]:
        """Return the participants that the connector trusts."""
        return self.loop.run(self.own.partners())

    def catalog(self, provider: str | Peer, *, id: str | None = None) -> Catalog:
        """Return what `provider` offers us: see `aio.Connection.catalog`."""
        return Catalog(self.loop, self.loop.run(self.own.catalog(provider, id=id)))


@dataclass(frozen=True, slots=True)
class Catalog:
    """What one provider offers us. Iterating asks page by page; `dataset` asks for one."""

    loop: Loop = field(repr=False)
    own: aio.Catalog

    @property
    def peer(self) -> Peer:
        return self.own.peer

    def __iter__(self) -> Iterator[Dataset]:
        pages = aiter(self.own)
        while (found := self.loop.run(_next(pages))) is not None:
            yield Dataset(self.loop, found)

    def document(self) -> dict[str, Json]:
        """Return the catalogue as the provider describes it."""
        return self.loop.run(self.own.document())

    def dataset(self, id: str) -> Dataset:
        """Raises NotFound, or Unavailable with the provider's words: no such dataset, or not for us."""
        return Dataset(self.loop, self.loop.run(self.own.dataset(id)))


async def _next(pages: Any) -> aio.Dataset | None:
    found: aio.Dataset | None = await anext(pages, None)
    return found


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as its provider describes it to us."""

    loop: Loop = field(repr=False)
    own: aio.Dataset

    @property
    def id(self) -> str:
        return self.own.id

    @property
    def title(self) -> str:
        return self.own.title

    @property
    def offers(self) -> list[aio.Offer]:
        return self.own.offers

    @property
    def formats(self) -> list[str]:
        return self.own.formats

    @property
    def description(self) -> dict[str, Json]:
        return self.own.description

    def negotiate(
        self,
        purpose: str | None = None,
        *,
        offer: str | None = None,
        within: float = aio.PATIENCE,
        progress: States = lambda _: None,
    ) -> Agreement:
        """Negotiate an offer to its end. Raises Denied with the reason: see `aio.Dataset.negotiate`."""
        agreed = self.own.negotiate(purpose, offer=offer, within=within, progress=progress)
        return Agreement(self.loop, self.loop.run(agreed))


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a negotiation gave."""

    loop: Loop = field(repr=False)
    own: aio.Agreement

    @property
    def id(self) -> str:
        return self.own.id

    @property
    def negotiation(self) -> str:
        return self.own.negotiation

    @property
    def policy(self) -> Json:
        return self.own.policy

    @property
    def dataset(self) -> str:
        return self.own.dataset

    @property
    def seconds(self) -> float:
        return self.own.seconds

    @property
    def terms(self) -> list[str]:
        """What we may and must not do, and within which limits, a sentence each."""
        return self.own.terms

    @property
    def duties(self) -> list[str]:
        """What we must do, a sentence each."""
        return self.own.duties

    def transfer(self, *, within: float = aio.PATIENCE, progress: States = lambda _: None) -> Transfer:
        """Start a transfer; used as a context manager it ends with the block. Raises Denied with the provider's reason."""
        return Transfer(self.loop, self.loop.run(self.own.transfer(within=within, progress=progress)))

    def pull(self, *, within: float = aio.PATIENCE, progress: States = lambda _: None) -> Transfer:
        """Start a transfer that ends by itself once it was read. Raises Denied with the provider's reason."""
        return Transfer(self.loop, self.loop.run(self.own.pull(within=within, progress=progress)))


@dataclass(frozen=True, slots=True)
class Transfer:
    """A started transfer."""

    loop: Loop = field(repr=False)
    own: aio.Transfer

    @property
    def id(self) -> str:
        return self.own.id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.loop.run(self.own.__aexit__(kind, error, trace))

    def edr(self) -> Edr:
        """Return where the data is pulled, with a token that is valid now."""
        return self.loop.run(self.own.edr())

    def complete(self) -> None:
        """Say that the data is here. Raises Conflict where the transfer has ended already."""
        self.loop.run(self.own.complete())

    def terminate(self, reason: str) -> None:
        self.loop.run(self.own.terminate(reason))

    def save(self, path: Path | str, progress: Progress = quiet) -> Pulled:
        """Bring the data to a file, resumed where an earlier `save` to it broke off: see `aio.Transfer.save`."""
        return self.loop.run(self.own.save(path, progress))

    def bytes(self, progress: Progress = quiet) -> bytes:
        return self.loop.run(self.own.bytes(progress))

    def to_arrow(self, progress: Progress = quiet) -> pyarrow.Table:
        """Raises Malformed for what is no table: neither CSV, Parquet, JSON nor JSON lines."""
        return self.loop.run(self.own.to_arrow(progress))

    def to_polars(self, progress: Progress = quiet) -> polars.DataFrame:
        return self.loop.run(self.own.to_polars(progress))

    def to_pandas(self, progress: Progress = quiet) -> pandas.DataFrame:
        return self.loop.run(self.own.to_pandas(progress))
