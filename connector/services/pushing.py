"""Pushes: the provider brings a dataset to the address that the consumer named, then completes (DSP 2025-1, 9.1.1).

A push begins with the commit that starts its transfer process, and again after a restart for every one that has started
and is not completed: it goes from the first byte each time, so that the destination only ever takes a whole. What fails
is tried again, later and later; what cannot succeed, or was tried often enough, ends the process and says whose fault it
was. `services.access` admits each try and cuts it off, as it does a pull: on suspension, termination, and the end of the
agreement or of the time that its policy allows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from connector.config import Delivering
from connector.dsp.messages import DataAddress, Role
from connector.dsp.offering import Criterion
from connector.dsp.process import CauseCode
from connector.dsp.transfer import PUSH, State, TransferProcess
from connector.errors import ConnectorError, Denied, Forbidden, NotFound, NotTaken, Unavailable
from connector.observe import correlation_id
from connector.odrl.model import Json
from connector.ports import AuditRecord, Clock, Query, Sink, Store
from connector.services.access import Access, Pull

log = structlog.get_logger()

TRIES = 12  # with the default waits, a quarter of an hour
AT_ONCE = 16  # pushes on their way
STARTED = Query(
    (
        Criterion("role", "=", str(Role.PROVIDER)),
        Criterion("format", "=", PUSH),
        Criterion("state", "=", str(State.STARTED)),
    ),
    limit=None,
)


@dataclass(frozen=True, slots=True)
class Sinks:
    """The kinds of places we can push to, by the last part of their endpoint type."""

    by_type: Mapping[str, Sink]

    def find(self, address: DataAddress) -> Sink | None:
        return self.by_type.get(re.split("[/#:]", address.endpoint_type)[-1])

    def check(self, address: DataAddress) -> str | None:
        """Return what is wrong with a destination, in words for the consumer, or None."""
        if (sink := self.find(address)) is None:
            known = " or ".join(self.by_type) or "a pull"
            return f"endpointType {address.endpoint_type[:200]} is not known here: use {known}"
        return sink.check(address.values())


NO_SINKS = Sinks({})


class Ending(Protocol):
    """What a push does to its transfer process."""

    async def complete(self, pid: str, /) -> TransferProcess: ...
    async def terminate(self, pid: str, reason: str, code: CauseCode, /) -> TransferProcess: ...


@dataclass(eq=False)
class Failed(Exception):
    """A try that came to nothing. `final`: another would too."""

    code: CauseCode
    detail: str
    final: bool = False


class Pushing:
    def __init__(
        self, store: Store, access: Access, sinks: Sinks, transfers: Ending, clock: Clock, settings: Delivering
    ) -> None:
        self._store, self._access, self._sinks, self._transfers = store, access, sinks, transfers
        self._clock, self._settings = clock, settings
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._running: set[tuple[str, int]] = set()  # transfer process and epoch
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Push until cancelled. What is not completed then begins anew at the next start."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for transfer in await self._store.read(lambda tx: tx.transfers.query(STARTED)):
                    self.begin(transfer.id)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def begin(self, transfer_id: str) -> None:
        """Push what a transfer process that has started is for, unless that is on its way already."""
        if self._group is not None:  # else stopping, or not started yet: `run` finds it
            self._group.create_task(self._push(transfer_id))

    async def _push(self, transfer_id: str) -> None:
        try:
            transfer = await self._open(transfer_id)
            if transfer is None or (transfer.id, transfer.epoch) in self._running:
                return
            self._running.add((transfer.id, transfer.epoch))
            try:
                correlation_id.set(transfer.correlation_id)
                await self._until_settled(transfer)
            finally:
                self._running.discard((transfer.id, transfer.epoch))
        except Exception:  # the transfer stays as it is; the next start of the connector tries again
            log.exception("push.failed", transfer=transfer_id)

    async def _until_settled(self, transfer: TransferProcess) -> None:
        for tried in range(1, TRIES + 1):
            failed = await self._try(transfer)
            if await self._open(transfer.id, transfer.epoch) is None:
                return  # suspended or ended meanwhile: whoever did that has said why
            if failed is None or failed.final or tried == TRIES:
                await self._settle(transfer, failed)
                return
            wait = min(self._settings.first * 2 ** (tried - 1), self._settings.longest)
            await self._note(transfer, failed, tried, wait)
            await asyncio.sleep(wait.total_seconds())
            if await self._open(transfer.id, transfer.epoch) is None:
                return

    async def _try(self, transfer: TransferProcess) -> Failed | None:
        """Push once; return why it failed, None when the data is there."""
        try:
            async with self._slots:
                await self._send(transfer)
        except Failed as failed:
            return failed
        except (Denied, Forbidden) as error:
            return Failed(CauseCode.POLICY, str(error), final=True)
        except NotFound as error:
            return Failed(CauseCode.SOURCE, str(error), final=True)
        except (ConnectorError, OSError) as error:
            return Failed(CauseCode.SOURCE, str(error) or "the data cannot be read")
        return None

    async def _send(self, transfer: TransferProcess) -> None:
        address = transfer.destination
        sink = self._sinks.find(address) if address else None
        if address is None or sink is None:
            raise Failed(CauseCode.PEER_REFUSED, "the destination is not known any more", final=True)
        async with self._access.push(transfer.id) as pull:
            if pull.response.status != 200:
                raise Failed(CauseCode.SOURCE, f"the data source answered {pull.response.status}")
            body = _Body(pull)
            try:
                await sink.push(address.values(), pull.response.headers, body.chunks())
            except NotTaken as error:
                raise Failed(CauseCode.PEER_REFUSED, str(error), final=True) from error
            except Unavailable as error:
                raise body.broken or Failed(CauseCode.PEER_UNREACHABLE, str(error)) from error

    async def _settle(self, transfer: TransferProcess, failed: Failed | None) -> None:
        try:
            if failed is None:
                await self._transfers.complete(transfer.id)
            else:
                await self._transfers.terminate(transfer.id, failed.detail, failed.code)
        except ConnectorError as error:
            log.info("push.ended-already", transfer=transfer.id, error=str(error))

    async def _open(self, transfer_id: str, epoch: int | None = None) -> TransferProcess | None:
        """Return the transfer process if it is to be pushed now, in this epoch. Its deadline is its policy's."""
        transfer = await self._store.read(lambda tx: tx.transfers.get(transfer_id))
        if transfer is None or not transfer.pushes or epoch not in (None, transfer.epoch):
            return None
        return None if transfer.deadline is not None and transfer.deadline <= self._clock() else transfer

    async def _note(self, transfer: TransferProcess, failed: Failed, tried: int, wait: timedelta) -> None:
        detail: dict[str, Json] = {"try": tried, "cause": failed.code, "detail": failed.detail}
        record = AuditRecord(self._clock(), "push.failed", transfer.correlation_id, transfer.id, transfer.peer, detail)
        await self._store.transact(lambda tx: tx.audit.add(record))
        log.info("push.again", transfer=transfer.id, peer=transfer.peer, **detail)


class _Body:
    """The bytes on their way; `broken` tells a source that breaks off from a destination that does."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self.broken: Failed | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._pull.chunks():
                yield chunk
        except (ConnectorError, OSError) as error:
            self.broken = Failed(CauseCode.SOURCE, str(error))
            raise
