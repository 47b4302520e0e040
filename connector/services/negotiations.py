"""Contract negotiations, both sides: begin, take a message, decide, agree, end (DSP 2025-1, sections 7 and 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from connector.dsp import dialects
from connector.dsp import process as rules
from connector.dsp.binding import SENDERS, Endpoint
from connector.dsp.messages import (
    PROTOCOL,
    ContractAccepted,
    ContractAgreement,
    ContractFinalized,
    ContractOffer,
    ContractRequest,
    ContractTermination,
    ContractVerification,
    Kind,
    Message,
    NegotiationMessage,
    Role,
)
from connector.dsp.negotiation import Negotiation, State
from connector.dsp.offering import Agreement
from connector.dsp.process import Cause
from connector.errors import Conflict, IllegalTransition, Malformed, NotFound
from connector.identity.participant import Participant
from connector.observe import current_correlation
from connector.odrl import evaluate
from connector.odrl.canonical import fingerprint, same_terms
from connector.odrl.model import Json, Policy, PolicyKind
from connector.ports import AuditRecord, Processes, Transaction
from connector.services.decisions import Decisions, End, Send
from connector.services.exchange import SAID, Desk, Exchange, Unit, callback, told
from connector.services.notifying import enrol
from connector.services.offerings import Offerings


class Negotiations(Exchange[Negotiation]):
    family = Negotiation.FAMILY

    def __init__(self, desk: Desk, offerings: Offerings, decisions: Decisions, callback_address: str) -> None:
        super().__init__(desk)
        self._offerings, self.decisions, self._callback = offerings, decisions, callback_address

    def table(self, tx: Transaction) -> Processes[Negotiation]:
        return tx.negotiations

    # --- beginning ----------------------------------------------------------------------------------------------------

    async def request(
        self, peer: str, address: str, offer: Policy, *, purpose: str | None = None, callbacks: tuple[Json, ...] = (),
        protocol: str = PROTOCOL,
    ) -> Negotiation:  # fmt: skip
        """Begin as consumer with the terms of `offer` (its `uid` and `target` are the provider's)."""
        begun = self._new(Role.CONSUMER, peer, address, offer, purpose, callbacks, protocol)
        return await self._begin(begun, lambda n: self._request_message(n, n.offer))

    async def offer(
        self, peer: str, address: str, offer: Policy, *, callbacks: tuple[Json, ...] = (),
        protocol: str = PROTOCOL,
    ) -> Negotiation:  # fmt: skip
        """Begin as provider with an offer of ours. Raises NotFound when it is not on offer."""
        if self._offerings.current.offer(offer.uid, offer.target or "") is None:
            raise NotFound(f"offer {offer.uid} for {offer.target} is not one of ours")
        begun = self._new(Role.PROVIDER, peer, address, offer, None, callbacks, protocol)
        return await self._begin(begun, lambda n: self._offer_message(n, n.offer))

    def _new(
        self, role: Role, peer: str, address: str, offer: Policy, purpose: str | None, callbacks: tuple[Json, ...],
        protocol: str,
    ) -> Negotiation:  # fmt: skip
        if not offer.target:
            raise Malformed("the offer needs a target: the dataset's id")
        now = self.desk.clock()
        return Negotiation(
            id=self.desk.ids(), role=role, peer=peer, peer_address=callback(address), offer=offer, offered_by=role,
            dataset_id=offer.target, purpose=purpose, callbacks=callbacks, protocol=dialects.of(protocol).protocol,
            correlation_id=current_correlation(), created_at=now, updated_at=now,
            deadline=now + self.desk.settings.deciding.deadline,
        )  # fmt: skip

    async def _begin(self, begun: Negotiation, message: Callable[[Negotiation], Message]) -> Negotiation:
        def work(unit: Unit) -> Negotiation:
            committed = self.commit(unit, begun, message(begun))
            unit.tx.negotiations.put(committed)
            enrol(unit.tx, committed)
            return committed

        return await self.desk.run(work)

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def receive(
        self, caller: Participant, endpoint: Endpoint, pid: str | None, message: NegotiationMessage,
        protocol: str = PROTOCOL,
    ) -> Negotiation:  # fmt: skip
        """Take one message from an authenticated peer and return what to acknowledge.

        Raises:
            NotFound: no such negotiation, not this peer's, or an unknown offer (DSP-058, DSP-064).
            IllegalTransition: the table forbids it; nothing was stored.
        """

        def work(unit: Unit) -> Negotiation:
            before = None if endpoint.creates or pid is None else self.owned(unit, caller, pid, message)
            process = self.kept(before or self._created(unit, caller, message, protocol), protocol)
            sender = process.role.other
            if SENDERS.get(message.kind, sender) is not sender:
                raise IllegalTransition(f"{message.kind} is not for the {sender} to send")
            if before is None and process.state is not None:
                return self._repeated(process, message)
            if isinstance(message, ContractAgreement) and _agreed_before(process, message):
                return self._agreed_again(unit, process, message)
            moved = self.take(unit, process, message)
            if moved is process:  # a repetition: the same answer again, nothing changes
                return process
            moved = self._read(unit, moved, caller, message)
            after = self.next_step(unit, before, moved)
            unit.tx.negotiations.put(after)
            # The answer shows what the peer's message led to, not what we do next; state is the same, pending is not shown.
            return moved if after.ended and not moved.ended else after

        return await self.desk.run(work)

    def _agreed_again(self, unit: Unit, process: Negotiation, message: ContractAgreement) -> Negotiation:
        """Take the agreement that replaces one which its provider does not know we have; the state stays as it is.

        EDC makes a new agreement for each try, so when our answer to the first is lost, only the last is one. It is held to
        what was asked for like any other, and nothing is in force before the provider finalizes.
        """
        again = self._store_agreement(unit, process, message.agreement)
        unit.tx.agreements.delete(process.agreement_id or "")
        again = replace(again, seen=(*again.seen, message.id or ""), updated_at=unit.now)
        unit.audit(f"{self.family}.received", again, message=message.kind, before=process.state, after=again.state)
        step = self.decisions.negotiation(unit.tx, process, again.at(State.AGREED))
        if isinstance(step, End):
            again = self.end(unit, again, Cause(step.code, step.detail, again.role))
        unit.tx.negotiations.put(again)
        return again

    def _created(self, unit: Unit, caller: Participant, message: NegotiationMessage, protocol: str) -> Negotiation:
        """Return a negotiation that the peer begins, or the one it began with the same pid."""
        if isinstance(message, ContractRequest):
            role, theirs = Role.PROVIDER, message.consumer_pid
        elif isinstance(message, ContractOffer):
            role, theirs = Role.CONSUMER, message.provider_pid
        else:
            raise IllegalTransition(f"{message.kind} cannot begin a negotiation")
        if (known := unit.tx.negotiations.by_peer_pid(caller.id, theirs)) is not None:
            return known
        if message.callback_address is None:
            raise Malformed("callbackAddress is missing: a message that begins a negotiation says where answers go")
        target = message.offer.target
        if role is Role.PROVIDER:
            target = self._visible(caller, message.offer)
        if not target:
            raise Malformed("offer.target is missing: the dataset's id")
        return Negotiation(
            id=self.desk.ids(), role=role, peer=caller.id, peer_pid=theirs, peer_address=callback(message.callback_address),
            offer=replace(message.offer, target=target), offered_by=role.other, dataset_id=target,
            purpose=caller.claims.get("purpose"), claims=dict(caller.claims), correlation_id=current_correlation(),
            created_at=unit.now, updated_at=unit.now, protocol=protocol,
        )  # fmt: skip

    def _repeated(self, process: Negotiation, message: NegotiationMessage) -> Negotiation:
        """A peer that begins again with the same pid gets the same negotiation, not a second one (DSP-088)."""
        if isinstance(message, ContractRequest | ContractOffer) and message.offer.uid == process.offer.uid:
            return process
        raise IllegalTransition("this pid is taken by a negotiation about another offer: choose a new one")

    def _visible(self, caller: Participant, asked: Policy) -> str:
        """Return the dataset of an offer that this caller may see. Raises NotFound: unknown and hidden look the same.

        Who asks counts, not yet what for: a wrong purpose is refused with the reason, not hidden.
        """
        known = replace(caller, claims={k: v for k, v in caller.claims.items() if k != "purpose"})
        offer = self._offerings.current.offer_for(known, self.desk.clock(), asked.uid, asked.target or "")
        if offer is None:
            raise NotFound(f"offer {asked.uid} for dataset {asked.target} is unknown: request the catalog again")
        return offer.dataset_id

    def _read(self, unit: Unit, process: Negotiation, caller: Participant, message: NegotiationMessage) -> Negotiation:
        """Take over what the message carries."""
        match message:
            case ContractRequest(offer=offer) | ContractOffer(offer=offer):
                if offer.target not in (None, process.dataset_id):
                    raise IllegalTransition(f"the negotiation is about {process.dataset_id}, not {offer.target}")
                claims = dict(caller.claims) if process.role is Role.PROVIDER else process.claims
                offer = self._in_our_words(replace(offer, target=process.dataset_id))
                return replace(process, offer=offer, offered_by=process.role.other, claims=claims)
            case ContractAgreement(agreement=policy):
                return self._store_agreement(unit, process, policy)
            case ContractFinalized():
                return self._in_force(unit, process, True)
            case ContractTermination(code=code, reason=reason):
                return self._ended(unit, replace(process, cause=told(process, code, reason)))
        return process

    def _in_our_words(self, asked: Policy) -> Policy:
        """Return our own offer for the same terms in many more words: each access would judge every repetition.

        A peer's spelling and order stay otherwise: EDC takes only an agreement that repeats what it asked.
        """
        ours = self._offerings.current.offer(asked.uid, asked.target or "")
        longer = ours is not None and len(repr(asked.rules)) > 2 * len(repr(ours.policy.rules))
        return ours.policy if ours is not None and longer and same_terms(asked, ours.policy) else asked

    # --- deciding -----------------------------------------------------------------------------------------------------

    def next_step(self, unit: Unit, before: Negotiation | None, now: Negotiation) -> Negotiation:
        if now.ended or now.pending is not None:
            return now
        match self.decisions.negotiation(unit.tx, before, now):
            case Send(kind, policy):
                return self._send(unit, now, kind, policy)
            case End(code, detail):
                return self.end(unit, now, Cause(code, detail, now.role))
            case wait:
                return replace(now, waiting=wait.reason and wait.reason[:SAID])

    async def approve(self, pid: str) -> Negotiation:
        """Do what waits for a person: agree as provider, accept or verify as consumer."""

        def step(unit: Unit, n: Negotiation) -> Negotiation:
            kind = {
                (Role.PROVIDER, State.REQUESTED): Kind.AGREE,
                (Role.PROVIDER, State.ACCEPTED): Kind.AGREE,
                (Role.PROVIDER, State.VERIFIED): Kind.FINALIZE,
                (Role.CONSUMER, State.OFFERED): Kind.ACCEPT,
                (Role.CONSUMER, State.AGREED): Kind.VERIFY,
            }.get((n.role, n.state)) if n.state else None  # fmt: skip
            if kind is None or n.pending is not None:
                raise Conflict(f"nothing waits for approval in state {n.state or 'none'}")
            return self._send(unit, n, kind)

        return await self.act(pid, step)

    async def counter(self, pid: str, policy: Policy) -> Negotiation:
        """Answer with other terms: an offer as provider, a request as consumer. Raises InvalidFiles: not enforceable."""
        evaluate.compile(policy)
        return await self.act(
            pid, lambda unit, n: self._send(unit, n, Kind.OFFER if n.role is Role.PROVIDER else Kind.REQUEST, policy)
        )

    async def forget(self, pid: str) -> None:
        """Delete a terminated negotiation that led to no agreement. The audit keeps what happened.

        Raises:
            NotFound: there is none.
            Conflict: it still runs, led to an agreement, or the peer was not told of its end yet.
        """

        def work(unit: Unit) -> None:
            n = unit.tx.negotiations.get(pid)
            if n is None:
                raise NotFound(f"there is no contract negotiation {pid}")
            if not n.ended:
                raise Conflict(f"contract negotiation {pid} has not ended: terminate it first")
            if n.agreement_id is not None and unit.tx.agreements.get(n.agreement_id) is not None:
                raise Conflict(f"contract negotiation {pid} led to agreement {n.agreement_id} and is kept with it")
            if unit.tx.outbox.of_process(pid):
                raise Conflict(f"the peer has not been told yet that contract negotiation {pid} ended: try later")
            unit.tx.negotiations.delete(pid)
            deleted = AuditRecord(unit.now, "negotiations.deleted", current_correlation(), pid, n.peer)
            unit.tx.audit.add(deleted)

        await self.desk.run(work)

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send(self, unit: Unit, n: Negotiation, kind: Kind, policy: Policy | None = None) -> Negotiation:
        if rules.after(n, n.state, n.role, kind) is None or n.pending is not None:
            rules.commit(n, kind)  # raises, saying why, before anything else is written
        offer = replace(policy or n.offer, kind=PolicyKind.OFFER, target=n.dataset_id)
        both = {"id": self.desk.ids(), "consumer_pid": n.consumer_pid or "", "provider_pid": n.provider_pid or ""}
        message: Message
        match kind:
            case Kind.REQUEST:
                n = replace(n, offer=offer, offered_by=Role.CONSUMER)
                message = self._request_message(n, offer)
            case Kind.OFFER:
                n = replace(n, offer=offer, offered_by=Role.PROVIDER)
                message = self._offer_message(n, offer)
            case Kind.AGREE:
                agreement = self._agreement(unit, n)
                n = self._store_agreement(unit, n, agreement)
                message = ContractAgreement(**both, agreement=agreement)
            case Kind.VERIFY:
                message = ContractVerification(**both)
            case Kind.ACCEPT:
                message = ContractAccepted(**both)
            case Kind.FINALIZE:
                n = self._in_force(unit, n, True)  # a promise: it holds from now on (dsp.process, rule 4)
                message = ContractFinalized(**both)
            case _:
                raise IllegalTransition(f"{kind} is not a message of a negotiation")
        return self.commit(unit, n, message)

    def _request_message(self, n: Negotiation, offer: Policy) -> ContractRequest:
        known = n.peer_pid is not None
        return ContractRequest(
            id=self.desk.ids(), consumer_pid=n.id, provider_pid=n.peer_pid, offer=offer,
            callback_address=None if known else self.listening(n.protocol),
        )  # fmt: skip

    def _offer_message(self, n: Negotiation, offer: Policy) -> ContractOffer:
        known = n.peer_pid is not None
        return ContractOffer(
            id=self.desk.ids(), provider_pid=n.id, consumer_pid=n.peer_pid, offer=offer,
            callback_address=None if known else self.listening(n.protocol),
        )  # fmt: skip

    def termination(self, process: Negotiation, cause: Cause) -> ContractTermination:
        return ContractTermination(
            id=self.desk.ids(), consumer_pid=process.consumer_pid or "", provider_pid=process.provider_pid or "",
            code=cause.code, reason=(cause.detail,),
        )  # fmt: skip

    # --- agreements ---------------------------------------------------------------------------------------------------

    def _agreement(self, unit: Unit, n: Negotiation) -> Policy:
        return replace(
            n.offer, kind=PolicyKind.AGREEMENT, uid=self.desk.ids(), target=n.dataset_id, assignee=n.peer,
            assigner=self._offerings.participant, timestamp=unit.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )  # fmt: skip

    def _store_agreement(self, unit: Unit, n: Negotiation, policy: Policy) -> Negotiation:
        us, them = self._offerings.participant, n.peer
        provider, consumer = (us, them) if n.role is Role.PROVIDER else (them, us)
        known = unit.tx.agreements.get(policy.uid)
        if known is not None and known.negotiation_id != n.id:
            raise Conflict(f"agreement id {policy.uid} is in use already: choose a new one")
        unit.tx.agreements.put(
            Agreement(
                id=policy.uid, negotiation_id=n.id, policy=policy, policy_hash=fingerprint(policy), provider=provider,
                consumer=consumer, dataset_id=n.dataset_id, signed_at=unit.now, claims=dict(n.claims or {}),
                purpose=n.purpose if n.role is Role.CONSUMER else (n.claims or {}).get("purpose"),
            )
        )  # fmt: skip
        return replace(n, agreement_id=policy.uid)

    def _in_force(self, unit: Unit, n: Negotiation, holds: bool) -> Negotiation:
        agreement = unit.tx.agreements.get(n.agreement_id or "")
        if agreement is not None and agreement.in_force is not holds:
            unit.tx.agreements.put(replace(agreement, in_force=holds))
            unit.audit("agreement.in-force" if holds else "agreement.void", n, agreement=agreement.id)
        return n

    def _ended(self, unit: Unit, n: Negotiation) -> Negotiation:
        return self._in_force(unit, n, False) if n.state is State.TERMINATED else n

    def settled(self, unit: Unit, before: Negotiation, now: Negotiation) -> Negotiation:
        return self._ended(unit, now)


def _agreed_before(process: Negotiation, message: ContractAgreement) -> bool:
    """Whether an agreement is another one than that which this consumer holds already, and has an id to know it by."""
    waiting = process.role is Role.CONSUMER and process.state in (State.AGREED, State.VERIFIED)
    known = (None, *process.seen, *process.declined)
    return waiting and message.id not in known and message.agreement.uid != process.agreement_id
