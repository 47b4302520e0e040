"""What happened to a process, told from audit and outbox: each message, who sent it, what is on its way and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from connector.dsp.process import Process
from connector.errors import NotFound
from connector.ports import AuditRecord, Envelope, Processes, Store, Transaction

P = TypeVar("P", bound=Process)


@dataclass(frozen=True, slots=True)
class Timeline:
    """`events` are oldest first; `outbox` is what the peer has not taken yet."""

    process: Process
    events: tuple[AuditRecord, ...]
    outbox: tuple[Envelope, ...]

    @property
    def peer_answers(self) -> bool | None:
        """Whether the peer was reached when it last had reason to speak; None when it was not tried yet."""
        tried = [envelope for envelope in self.outbox if envelope.attempts]
        if tried:
            return all(envelope.last_status is not None for envelope in tried)
        return True if any(heard(record) for record in self.events) else None


def heard(record: AuditRecord) -> bool:
    """Whether the event shows that the peer was there: it sent something, or answered what we sent."""
    return record.event.endswith((".received", ".sent", ".refused"))


class History:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def of_negotiation(self, id: str) -> Timeline:
        """Raises NotFound."""
        return await self._timeline("contract negotiation", id, lambda tx: tx.negotiations)

    async def of_transfer(self, id: str) -> Timeline:
        """Raises NotFound."""
        return await self._timeline("transfer process", id, lambda tx: tx.transfers)

    async def _timeline(self, noun: str, id: str, table: Callable[[Transaction], Processes[P]]) -> Timeline:
        def work(tx: Transaction) -> Timeline:
            process = table(tx).get(id)
            if process is None:
                raise NotFound(f"there is no {noun} {id}")
            return Timeline(process, tuple(tx.audit.of_subject(id)), tuple(tx.outbox.of_process(id)))

        return await self._store.read(work)
