"""Transfer processes, both sides: request, start, suspend, resume, complete, end (DSP 2025-1, sections 9 and 10).

Access to data begins and ends in the same commit as the state that says so; running pulls are cut right after it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from connector.dsp import dialects
from connector.dsp.binding import SENDERS, Endpoint
from connector.dsp.messages import (
    PROTOCOL,
    DataAddress,
    Kind,
    Message,
    Role,
    TransferCompletion,
    TransferMessage,
    TransferRequest,
    TransferStart,
    TransferSuspension,
    TransferTermination,
)
from connector.dsp.offering import Agreement, Criterion
from connector.dsp.process import PROMISES, Cause, CauseCode
from connector.dsp.transfer import FORMATS, PULL, PUSH, State, TransferProcess
from connector.errors import Conflict, Denied, IllegalTransition, Malformed, NotFound
from connector.identity.participant import Participant
from connector.observe import current_correlation
from connector.odrl import evaluate
from connector.odrl.model import Json
from connector.ports import AuditRecord, Envelope, Processes, Query, Tokens, Transaction
from connector.services.decisions import Decisions, End, Send
from connector.services.exchange import Desk, Exchange, Unit, callback, told
from connector.services.judging import judge
from connector.services.notifying import enrol
from connector.services.pushing import NO_SINKS, Sinks


class Transfers(Exchange[TransferProcess]):
    family = TransferProcess.FAMILY

    def __init__(
        self, desk: Desk, decisions: Decisions, tokens: Tokens, participant: str, callback_address: str,
        sinks: Sinks = NO_SINKS,
    ) -> None:  # fmt: skip
        super().__init__(desk)
        self.decisions, self._tokens, self._sinks = decisions, tokens, sinks
        self._participant, self._callback = participant, callback_address

    def table(self, tx: Transaction) -> Processes[TransferProcess]:
        return tx.transfers

    # --- beginning ----------------------------------------------------------------------------------------------------

    async def request(
        self, agreement_id: str, format: str = PULL, address: str | None = None, *,
        destination: DataAddress | None = None, callbacks: tuple[Json, ...] = (), correlation_id: str | None = None,
        protocol: str | None = None,
    ) -> TransferProcess:  # fmt: skip
        """Begin as consumer under an agreement in force; `address` and `protocol` None: as it was negotiated.

        `destination` is where a push goes to (DSP-085).

        Raises:
            NotFound: no such agreement.
            Conflict: the agreement is not ours to use, not in force yet, or ended.
        """

        def work(unit: Unit) -> TransferProcess:
            agreement = unit.tx.agreements.get(agreement_id)
            if agreement is None:
                raise NotFound(f"no agreement {agreement_id}")
            if agreement.consumer != self._participant:
                raise Conflict(f"agreement {agreement_id} makes us the provider: the consumer requests transfers")
            _usable(agreement)
            negotiation = unit.tx.negotiations.get(agreement.negotiation_id)
            where = address or (negotiation.peer_address if negotiation else None)
            if where is None:
                raise Malformed("counterPartyAddress is missing and the agreement's negotiation is gone")
            negotiated = negotiation.protocol if negotiation else PROTOCOL
            spoken = dialects.of(protocol or negotiated).protocol
            if address is None and spoken != negotiated:
                raise Malformed(f"counterPartyAddress is missing: it was negotiated in {negotiated}, not in {spoken}")
            begun = TransferProcess(
                id=self.desk.ids(), role=Role.CONSUMER, peer=agreement.provider, peer_address=callback(where),
                agreement_id=agreement.id, dataset_id=agreement.dataset_id, format=format, callbacks=callbacks,
                destination=destination, protocol=spoken, purpose=agreement.purpose,
                correlation_id=correlation_id or current_correlation(), created_at=unit.now, updated_at=unit.now,
                deadline=unit.now + self.desk.settings.deciding.deadline,
            )  # fmt: skip
            message = TransferRequest(
                id=self.desk.ids(), consumer_pid=begun.id, agreement_id=agreement.id, format=format,
                callback_address=self.listening(spoken), data_address=destination,
            )  # fmt: skip
            committed = self.commit(unit, begun, message)
            unit.tx.transfers.put(committed)
            enrol(unit.tx, committed)
            return committed

        return await self.desk.run(work)

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def receive(
        self, caller: Participant, endpoint: Endpoint, pid: str | None, message: TransferMessage, protocol: str = PROTOCOL
    ) -> TransferProcess:
        """Take one message from an authenticated peer and return what to acknowledge.

        Raises:
            NotFound: no such transfer process or agreement, or not this peer's (DSP-082, DSP-083).
            IllegalTransition: the table forbids it; nothing was stored.
        """

        def work(unit: Unit) -> TransferProcess:
            before = None if pid is None else self.owned(unit, caller, pid, message)
            process = self.kept(before or self._created(unit, caller, message, protocol), protocol)
            sender = process.role.other
            if SENDERS.get(message.kind, sender) is not sender:
                raise IllegalTransition(f"{message.kind} is not for the {sender} to send")
            if before is None and process.state is not None:
                return process  # the same consumer and consumerPid: the same transfer process (DSP-088)
            if isinstance(message, TransferStart) and _renews(process):
                return self._renewed(unit, process, message)
            moved = self.take(unit, process, message)
            if moved is process:
                return process
            moved = self._read(unit, moved, message)
            after = self.next_step(unit, before, moved)
            unit.tx.transfers.put(after)
            return moved if after.ended and not moved.ended else after

        return await self.desk.run(work)

    def _created(self, unit: Unit, caller: Participant, message: TransferMessage, protocol: str) -> TransferProcess:
        if not isinstance(message, TransferRequest):
            raise IllegalTransition(f"{message.kind} cannot begin a transfer process")
        if (known := unit.tx.transfers.by_peer_pid(caller.id, message.consumer_pid)) is not None:
            if known.agreement_id != message.agreement_id:
                raise IllegalTransition("this consumerPid is taken by a transfer under another agreement: choose a new one")
            return known
        agreement = unit.tx.agreements.get(message.agreement_id)
        if agreement is None or agreement.consumer != caller.id or agreement.provider != self._participant:
            raise NotFound(f"no agreement {message.agreement_id} between us")
        _usable(agreement)
        if message.format not in FORMATS:
            raise Malformed(f"format {message.format} is not offered for this dataset: use {', '.join(sorted(FORMATS))}")
        return TransferProcess(
            id=self.desk.ids(), role=Role.PROVIDER, peer=caller.id, peer_pid=message.consumer_pid, protocol=protocol,
            peer_address=callback(message.callback_address), agreement_id=agreement.id, dataset_id=agreement.dataset_id,
            destination=self._destination(message), format=message.format, claims=dict(caller.claims),
            correlation_id=current_correlation(), created_at=unit.now, updated_at=unit.now,
        )  # fmt: skip

    def _renewed(self, unit: Unit, process: TransferProcess, message: TransferStart) -> TransferProcess:
        """Take over the fresh data address with which a provider answers our resumption; the state stays as it is.

        Our token died with the suspension. The standard does not say how a consumer that resumes gets a new one; EDC sends
        another start message, and terminates when it is refused.
        """
        renewed = replace(process, data_address=message.data_address or process.data_address, updated_at=unit.now)
        unit.audit(f"{self.family}.received", renewed, message=message.kind, before=process.state, after=process.state)
        unit.tx.transfers.put(renewed)
        return renewed

    def _destination(self, message: TransferRequest) -> DataAddress | None:
        """Return where a push goes to; a pull's data address is nothing to us (DSP-085). Raises Malformed."""
        if message.format != PUSH:
            return None
        if message.data_address is None:
            raise Malformed(f"dataAddress is missing: a {PUSH} needs the address that the data is to be brought to")
        if wrong := self._sinks.check(message.data_address):
            raise Malformed(f"dataAddress: {wrong}")
        return message.data_address

    def _read(self, unit: Unit, process: TransferProcess, message: TransferMessage) -> TransferProcess:
        match message:
            case TransferStart(data_address=address) if process.role is Role.CONSUMER and address is not None:
                return self._flow(unit, replace(process, data_address=address))
            case TransferTermination(code=code, reason=reason):
                process = replace(process, cause=told(process, code, reason))
        return self._flow(unit, process)

    def _flow(self, unit: Unit, process: TransferProcess) -> TransferProcess:
        """Let data flow, or stop it, as the process says; runs in the commit that moves it."""
        if process.ended and process.destination is not None:
            process = replace(process, destination=process.destination.harmless())
        if process.role is not Role.PROVIDER:
            return replace(process, data_address=None) if process.ended else process
        if process.open_for_data:
            unit.soon = True
            if process.pushes:
                unit.opened.append(process.id)
            return replace(process, deadline=self._valid_until(unit, process))
        unit.closed.append(process.id)
        if process.state is State.SUSPENDED or process.pending is Kind.SUSPEND:
            return replace(process, epoch=process.epoch + 1)
        return process

    def _valid_until(self, unit: Unit, process: TransferProcess) -> datetime | None:
        """Return when the agreement's policy ends this transfer by itself; None: never."""
        agreement = unit.tx.agreements.get(process.agreement_id)
        if agreement is None:
            return unit.now
        uses = unit.tx.uses.count(agreement.id)
        try:
            return judge(agreement, evaluate.Scope.TRANSFER, unit.now, uses).decision.valid_until
        except Denied:
            return unit.now

    # --- deciding and acting ------------------------------------------------------------------------------------------

    def next_step(self, unit: Unit, before: TransferProcess | None, now: TransferProcess) -> TransferProcess:
        if now.ended or now.pending is not None:
            return now
        match self.decisions.transfer(unit.tx, before, now):
            case Send(Kind.START) if now.state is State.STARTED:
                return self._start_again(unit, now)
            case Send(kind):
                return self._send(unit, now, kind)
            case End(code, detail):
                return self.end(unit, now, Cause(code, detail, now.role))
            case wait:
                return replace(now, waiting=wait.reason)

    async def resume(self, pid: str) -> TransferProcess:
        return await self.act(pid, lambda unit, t: self._send(unit, t, Kind.START))

    async def suspend(self, pid: str, reason: str = "") -> TransferProcess:
        return await self.act(pid, lambda unit, t: self._send(unit, t, Kind.SUSPEND, reason))

    async def complete(self, pid: str) -> TransferProcess:
        return await self.act(pid, lambda unit, t: self._send(unit, t, Kind.COMPLETE))

    async def end_agreement(self, agreement_id: str, reason: str) -> Agreement:
        """Retire an agreement: nothing new under it, and what runs ends now. Raises NotFound."""
        ended: list[Agreement] = []

        def work(unit: Unit) -> None:
            agreement = unit.tx.agreements.get(agreement_id)
            if agreement is None:
                raise NotFound(f"no agreement {agreement_id}")
            agreement = agreement if agreement.ended else replace(agreement, ended=reason, in_force=False)
            unit.tx.agreements.put(agreement)
            unit.tx.audit.add(
                AuditRecord(
                    unit.now, "agreement.ended", current_correlation(), agreement.id, agreement.consumer, {"reason": reason}
                )
            )
            cause = Cause(CauseCode.AGREEMENT_ENDED, reason, Role.PROVIDER)
            running = Query((Criterion("agreement_id", "=", agreement_id),), limit=None)
            for process in unit.tx.transfers.query(running):
                if not process.ended and process.pending not in PROMISES:
                    unit.tx.transfers.put(self.end(unit, process, replace(cause, by=process.role)))
            ended.append(agreement)

        await self.desk.run(work)
        return ended[-1]

    def _send(self, unit: Unit, t: TransferProcess, kind: Kind, reason: str = "") -> TransferProcess:
        new, consumer, provider = self.desk.ids(), t.consumer_pid or "", t.provider_pid or ""
        message: Message
        match kind:
            case Kind.START:
                if t.role is Role.PROVIDER:
                    self._startable(unit, t)
                # the provider's data address is made when it is sent: `prepare`
                message = TransferStart(id=new, consumer_pid=consumer, provider_pid=provider)
            case Kind.SUSPEND:
                why = (reason,) if reason else ()
                message = TransferSuspension(
                    id=new, consumer_pid=consumer, provider_pid=provider, code="suspended", reason=why
                )
            case Kind.COMPLETE:
                message = TransferCompletion(id=new, consumer_pid=consumer, provider_pid=provider)
            case _:
                raise IllegalTransition(f"{kind} is not a message of a transfer process")
        committed = self.commit(unit, t, message)
        return self._flow(unit, committed) if kind is not Kind.START else committed

    def _start_again(self, unit: Unit, t: TransferProcess) -> TransferProcess:
        """Give the consumer that resumed a fresh data address (`_renewed` there): it moves nothing, nothing waits for it."""
        self._startable(unit, t)
        new, consumer, provider = self.desk.ids(), t.consumer_pid or "", t.provider_pid or ""
        self.queue(unit, t, TransferStart(id=new, consumer_pid=consumer, provider_pid=provider))
        return t

    def _startable(self, unit: Unit, t: TransferProcess) -> None:
        agreement = unit.tx.agreements.get(t.agreement_id)
        if agreement is None:
            raise NotFound(f"no agreement {t.agreement_id}")
        _usable(agreement)

    async def prepare(self, envelope: Envelope) -> Message:
        """Put a fresh access token into a provider's start message: it is never stored."""
        message = envelope.message
        if not isinstance(message, TransferStart):
            return message

        def load(tx: Transaction) -> tuple[TransferProcess, Agreement] | None:
            process = tx.transfers.get(envelope.process_id)
            agreement = tx.agreements.get(process.agreement_id) if process else None
            return (process, agreement) if process and agreement else None

        found = await self.desk.store.read(load)
        if found is None or found[0].role is not Role.PROVIDER or found[0].format != PULL:
            return message
        return replace(message, data_address=self._tokens.issue(*found))

    def settled(self, unit: Unit, before: TransferProcess, now: TransferProcess) -> TransferProcess:
        return self._flow(unit, now)

    def touch(self, unit: Unit, process: TransferProcess) -> TransferProcess:
        touched = super().touch(unit, process)  # a running transfer has no deadline but its policy's: `_flow`
        return replace(touched, deadline=None) if process.state in (State.STARTED, State.SUSPENDED) else touched

    def termination(self, process: TransferProcess, cause: Cause) -> TransferTermination:
        return TransferTermination(
            id=self.desk.ids(), consumer_pid=process.consumer_pid or "", provider_pid=process.provider_pid or "",
            code=cause.code, reason=(cause.detail,),
        )  # fmt: skip

    def overdue_cause(self, process: TransferProcess) -> Cause:
        if process.state is State.STARTED and process.role is Role.PROVIDER:
            return Cause(CauseCode.EXPIRED, "the time the agreement allows is over", process.role)
        return super().overdue_cause(process)


def _renews(process: TransferProcess) -> bool:
    """Whether a start message can be nothing but a fresh data address."""
    return process.role is Role.CONSUMER and process.state is State.STARTED and process.pending is None


def _usable(agreement: Agreement) -> None:
    if agreement.ended:
        raise Conflict(f"agreement {agreement.id} was ended: {agreement.ended}")
    if not agreement.in_force:
        raise Conflict(f"agreement {agreement.id} is not in force: its negotiation is not finalized")
