"""Access to data: each request is held to the agreement before a byte leaves, and while bytes leave.

One commit per access admits it: the transfer process and the agreement as they are now, the policy's decision, the reserved
use and the audit row stand or fall together, so concurrent requests never exceed a count (odrl.md 37). A second one says how
it ended. A reservation is given back only when it is certain that nothing left; HEAD, 304, 412 and 416 are no use.

A push (`services.pushing`) is an access too, by the provider itself: admitted, counted and audited in the same way.

`revoke` and the policy's own end of time reach a running response through the same `asyncio.Timeout`.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from connector.dsp.messages import DataAddress, Role
from connector.dsp.offering import Agreement, Asset
from connector.dsp.transfer import PUSH, TransferProcess
from connector.errors import ConnectorError, Denied, Forbidden, NotFound, Unavailable
from connector.identity.participant import Participant
from connector.identity.tokens import AccessClaims, AccessTokens
from connector.observe import Metrics
from connector.odrl import evaluate
from connector.odrl.model import Json
from connector.ports import AuditRecord, Clock, DataRequest, DataResponse, Ids, Source, Store, Transaction, Use
from connector.services.judging import Judgement, judge

PIECE = 1024 * 1024  # bytes of a file that are read at once
NOTHING_YET = DataResponse(503, {})


@dataclass(frozen=True, slots=True)
class Grant:
    """An admitted access. `address` holds the origin's credentials; `use` is None where the policy does not count."""

    transfer: TransferProcess
    address: Mapping[str, str] = field(repr=False)
    judged: Judgement = field(repr=False)
    use: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """`error` is for the consumer, `why` for the operator."""

    error: ConnectorError
    why: str


@dataclass(slots=True, eq=False)
class Pull:
    """One access. Whoever sends adds to `sent` before it hands bytes to the socket: it is never too low."""

    grant: Grant | None = None
    response: DataResponse = NOTHING_YET
    sent: int = 0
    complete: bool = False
    settled: bool = False

    @property
    def correlation_id(self) -> str:
        return self.grant.transfer.correlation_id if self.grant else ""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the response's bytes, counted, be they chunks or a file. Raises Unavailable when the source breaks off."""
        chunks = self.response.chunks if self.response.file is None else _pieces(*self.response.file, self.response.intact)
        if chunks is not None:
            async for chunk in chunks:
                self.sent += len(chunk)
                yield chunk

    @property
    def used(self) -> bool:
        """Whether data left, or may have: a whole answer of no bytes is an answer too."""
        return self.sent > 0 or (self.complete and self.response.status < 300)


class Access:
    """Opens data to the holders of access tokens.

    `assets` finds what is on offer now. `on_exhausted` is called with a transfer process's id when its last use has ended.
    """

    def __init__(
        self,
        store: Store,
        tokens: AccessTokens,
        sources: Mapping[str, Source],
        assets: Callable[[str], Asset | None],
        participant: str,
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
        on_exhausted: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        self._store, self._tokens, self._sources, self._assets = store, tokens, sources, assets
        self._participant, self._clock, self._ids, self._metrics = participant, clock, ids, metrics
        self.on_exhausted = on_exhausted
        self._running: dict[str, set[asyncio.Timeout]] = {}
        self._flowing: Counter[str] = Counter()  # admitted accesses, by transfer process

    @asynccontextmanager
    async def open(self, token: str, request: DataRequest) -> AsyncIterator[Pull]:
        """Admit a request and give its response; the access lasts as long as the block.

        Raises:
            Unauthorized: the token proves nothing.
            Forbidden: the transfer process or the agreement is not open (any more: also raised out of a running block).
            Denied: the policy says no.
            NotFound, Unavailable: there is nothing to send.
        """
        async with self._opened(self._tokens.verify(token), request, self._ids()) as pull:
            yield pull

    @asynccontextmanager
    async def push(self, transfer_id: str) -> AsyncIterator[Pull]:
        """Give what a push sends; no token is needed, for we carry the data ourselves. Raises what `open` does.

        A push that is tried again is the same use: the data goes to one place, until it is there once. After a suspension
        it is another.
        """
        claims = await self._store.read(lambda tx: self._own(tx, transfer_id))
        if isinstance(claims, Refusal):
            raise claims.error
        async with self._opened(claims, DataRequest("GET", "", "", {}), claims.id) as pull:
            yield pull

    @asynccontextmanager
    async def _opened(self, claims: AccessClaims, request: DataRequest, use: str) -> AsyncIterator[Pull]:
        pull = Pull()
        try:
            async with self._limited(claims.transfer_id) as limit:
                grant = pull.grant = await self._admit(claims, request, use)
                if (until := grant.judged.decision.valid_until) is not None:
                    _shorten(limit, (until - self._clock()).total_seconds())
                pull.response = await self._source(grant).open(grant.address, request)
                if pull.response.status >= 300:  # no data in it: given back first, for the next request may follow at once
                    await asyncio.shield(self._settle(pull))
                yield pull
                pull.complete = True
        finally:
            if pull.response.close is not None:
                pull.response.close()
            await asyncio.shield(self._settle(pull))

    def revoke(self, transfer_id: str) -> None:
        """End what runs under a transfer process, now."""
        for limit in self._running.get(transfer_id, ()):
            _shorten(limit, 0)

    async def renew(self, claims: AccessClaims, caller: Participant) -> DataAddress:
        """Return a fresh data address for a refresh token, to the consumer that it names.

        Raises Forbidden: another participant's token, or the transfer process or the agreement is not open.
        """
        if caller.id != claims.consumer:
            raise Forbidden("the refresh token is another participant's")

        def work(tx: Transaction) -> tuple[TransferProcess, Agreement] | Refusal:
            found = self._state(tx, claims)
            if isinstance(found, Refusal):
                self._refused(tx, "token.refused", claims, found.why)
            else:
                self._audit(tx, "token.renewed", claims, found[0].correlation_id)
            return found

        found = await self._store.transact(work)
        if isinstance(found, Refusal):
            raise found.error
        return self._tokens.issue(*found)

    # --- admitting ----------------------------------------------------------------------------------------------------

    def _own(self, tx: Transaction, transfer_id: str) -> AccessClaims | Refusal:
        """Return what a token for this transfer process would say."""
        transfer = tx.transfers.get(transfer_id)
        agreement = tx.agreements.get(transfer.agreement_id) if transfer else None
        if transfer is None or agreement is None:
            return _closed("there is no such transfer process or agreement here")
        return AccessClaims(
            consumer=transfer.peer, agreement_id=agreement.id, transfer_id=transfer.id, policy_hash=agreement.policy_hash,
            epoch=transfer.epoch, expires_at=self._clock(), id=f"{transfer.id}#push-{transfer.epoch}",
        )  # fmt: skip

    async def _admit(self, claims: AccessClaims, request: DataRequest, use: str) -> Grant:
        def work(tx: Transaction) -> Grant | Refusal:
            found = self._decide(tx, claims, None if request.method == "HEAD" else use)
            if isinstance(found, Refusal):
                self._refused(tx, "access.denied", claims, found.why)
                return found
            if found.use is not None:
                tx.uses.reserve(Use(found.use, claims.agreement_id, claims.transfer_id, found.judged.request.now))
            correlation, why = found.transfer.correlation_id, found.judged.decision.why()
            self._audit(tx, "access.granted", claims, correlation, method=request.method, use=found.use, why=why)
            return found

        try:
            found = await self._store.transact(work)
        except asyncio.CancelledError:  # the caller has gone: committed or not, nothing left
            await asyncio.shield(self._store.transact(lambda tx: tx.uses.release(use)))
            raise
        self._metrics.accesses.labels("denied" if isinstance(found, Refusal) else "granted").inc()
        if isinstance(found, Refusal):
            raise found.error
        self._flowing[claims.transfer_id] += 1
        return found

    def _decide(self, tx: Transaction, claims: AccessClaims, use: str | None) -> Grant | Refusal:
        found = self._state(tx, claims)
        if isinstance(found, Refusal):
            return found
        transfer, agreement = found
        before = tx.uses.count(agreement.id) - (use is not None and tx.uses.has(use))
        try:
            judged = judge(agreement, evaluate.Scope.ACCESS, self._clock(), before)
        except Denied as error:
            return Refusal(error, str(error.__cause__))
        decision = judged.decision
        if not decision.allowed:
            return Refusal(Denied(decision.coarse()), decision.why())
        address = self._address(tx, agreement.dataset_id)
        if isinstance(address, Refusal):
            return address
        return Grant(transfer, address, judged, use if decision.counted else None)

    def _state(self, tx: Transaction, claims: AccessClaims) -> tuple[TransferProcess, Agreement] | Refusal:
        """Return what the token is for, if it is open now."""
        transfer, agreement = tx.transfers.get(claims.transfer_id), tx.agreements.get(claims.agreement_id)
        if transfer is None or agreement is None or transfer.role is not Role.PROVIDER:
            return _closed("there is no such transfer process or agreement here")
        if (transfer.agreement_id, transfer.peer) != (agreement.id, claims.consumer):
            return _closed("the token's transfer process, agreement and consumer do not belong together")
        if (agreement.provider, agreement.consumer) != (self._participant, claims.consumer):
            return _closed("the agreement is not between us and the token's consumer")
        if agreement.policy_hash != claims.policy_hash:
            return _closed("the token is for another policy")
        if agreement.ended is not None or not agreement.in_force:
            return _closed(f"the agreement is not in force: {agreement.ended or 'not finalized'}")
        if not transfer.open_for_data:
            return _closed(f"the transfer process is {transfer.state}, pending {transfer.pending}")
        if transfer.epoch != claims.epoch:
            return _closed("the token is from before a suspension")
        return transfer, agreement

    def _address(self, tx: Transaction, dataset_id: str) -> Mapping[str, str] | Refusal:
        """Return the dataset's data address with its secret in it."""
        asset = self._assets(dataset_id)
        if asset is None:
            return Refusal(NotFound("the dataset is not here any more"), f"dataset {dataset_id} is gone")
        if (name := asset.data_address.get("secretName")) is None:
            return asset.data_address
        secret = tx.secrets.get(name)
        if secret is None:
            return Refusal(
                Unavailable("the data source is not ready"), f"secret {name} of dataset {dataset_id} is not stored"
            )
        return {**asset.data_address, "authCode": secret}

    # --- running and ending -------------------------------------------------------------------------------------------

    def _source(self, grant: Grant) -> Source:
        source = self._sources.get(grant.address.get("type", ""))
        if source is None:
            raise Unavailable("the data source is not ready")
        return source

    @asynccontextmanager
    async def _limited(self, transfer_id: str) -> AsyncIterator[asyncio.Timeout]:
        """Give a time limit that `revoke` can reach, from before the admission on: nothing falls between the two."""
        running = self._running.setdefault(transfer_id, set())
        limit = asyncio.timeout(None)
        try:
            async with limit:
                running.add(limit)
                try:
                    yield limit
                finally:
                    running.discard(limit)
                    if not running and self._running.get(transfer_id) is running:
                        del self._running[transfer_id]
        except TimeoutError:
            if not limit.expired():
                raise
            raise Forbidden("the access has ended: the transfer process was stopped, or its time is over") from None

    async def _settle(self, pull: Pull) -> None:
        """Record how an access ended, once, and call `on_exhausted` if it was the last that the policy allows."""
        if (grant := pull.grant) is None or pull.settled:
            return
        pull.settled = True
        transfer, use = grant.transfer, grant.use

        def work(tx: Transaction) -> bool:
            if use is not None and pull.used:
                tx.uses.settle(use, pull.sent)
            elif use is not None:
                tx.uses.release(use)
            ended: dict[str, Json] = {"bytes": pull.sent, "status": pull.response.status, "complete": pull.complete}
            detail = ended | _given(use=use)
            tx.audit.add(AuditRecord(self._clock(), "access.ended", pull.correlation_id, transfer.id, transfer.peer, detail))
            if use is None or transfer.format == PUSH:  # a push ends with its completion
                return False
            return _exhausted(grant, tx.uses.count(transfer.agreement_id))

        try:
            exhausted = await self._store.transact(work)
        finally:
            last = self._leave(transfer.id)
        self._metrics.bytes.inc(pull.sent)
        if exhausted and last and self.on_exhausted is not None:
            with suppress(ConnectorError):  # it has ended by itself already; in any case the next access is denied
                await self.on_exhausted(transfer.id)

    def _leave(self, transfer_id: str) -> bool:
        """Return whether no other admitted access to the transfer process is left."""
        self._flowing[transfer_id] -= 1
        if self._flowing[transfer_id]:
            return False
        del self._flowing[transfer_id]
        return True

    def _refused(self, tx: Transaction, event: str, claims: AccessClaims, why: str) -> None:
        transfer = tx.transfers.get(claims.transfer_id)
        self._audit(tx, event, claims, transfer.correlation_id if transfer else claims.transfer_id, why=why)

    def _audit(self, tx: Transaction, event: str, claims: AccessClaims, correlation: str, **detail: str | None) -> None:
        given = _given(token=claims.id, **detail)
        tx.audit.add(AuditRecord(self._clock(), event, correlation, claims.transfer_id, claims.consumer, given))


async def _pieces(file: BinaryIO, offset: int, count: int, intact: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield `count` bytes of a file; the last piece only if the file is still the one that was begun."""

    def read(at: int, size: int) -> bytes:
        return os.pread(file.fileno(), size, at)  # asked here: a file that was closed meanwhile raises

    end = offset + count
    while offset < end:
        piece = await asyncio.to_thread(read, offset, min(PIECE, end - offset))
        offset += len(piece)
        if not piece or (offset == end and not intact()):
            raise Unavailable("the dataset changed while it was sent")
        yield piece


def _closed(why: str) -> Refusal:
    return Refusal(
        Forbidden("the transfer process or its agreement is not open: ask for a new start, or a new transfer"), why
    )


def _given(**detail: str | None) -> dict[str, Json]:
    return {name: value for name, value in detail.items() if value is not None}


def _exhausted(grant: Grant, uses: int) -> bool:
    """Return whether it is the count alone that denies the next access."""
    unused, then = (grant.judged.with_uses(n).allowed for n in (0, uses))
    return unused and not then


def _shorten(limit: asyncio.Timeout, seconds: float) -> None:
    """Let `limit` end in `seconds`, unless it ends before that."""
    when, present = asyncio.get_running_loop().time() + seconds, limit.when()
    if not limit.expired() and (present is None or when < present):
        limit.reschedule(when)
