"""What to do at each step of a negotiation or transfer: one port, asked inside the transaction of the step.

`ByPolicy` answers from the policies in force, or leaves the step to a person; a conformance kit's script is another
implementation (tests/conformance). Whatever is not decided here waits until `approve`, `reject` or any other act of the
services.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from connector.config import Deciding
from connector.dsp import negotiation as n
from connector.dsp import transfer as t
from connector.dsp.messages import Kind, Role
from connector.dsp.negotiation import Negotiation
from connector.dsp.process import CauseCode
from connector.dsp.transfer import TransferProcess
from connector.errors import Denied, InvalidFiles, Problem
from connector.odrl import canonical, evaluate
from connector.odrl.model import Policy
from connector.odrl.terms import READ
from connector.ports import Clock, Transaction
from connector.services.judging import judge
from connector.services.offerings import Offerings

ROUNDS = 4  # a consumer that counters more often than this is refused


@dataclass(frozen=True, slots=True)
class Send:
    """Send `kind`; an OFFER carries `policy`."""

    kind: Kind
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class End:
    code: CauseCode
    detail: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to send now. `reason`: what a person has to decide; None: it is the peer's turn."""

    reason: str | None = None


Step: TypeAlias = Send | End | Wait


class Decisions(Protocol):
    def negotiation(self, tx: Transaction, before: Negotiation | None, now: Negotiation, /) -> Step: ...
    def transfer(self, tx: Transaction, before: TransferProcess | None, now: TransferProcess, /) -> Step: ...


class ByPolicy:
    """The product's decisions: what the policy in force says; what it leaves open, a person says."""

    def __init__(self, offerings: Offerings, deciding: Deciding, clock: Clock) -> None:
        self._offerings, self._deciding, self._clock = offerings, deciding, clock

    def negotiation(self, tx: Transaction, before: Negotiation | None, now: Negotiation) -> Step:
        match now.role, now.state:
            case Role.PROVIDER, n.State.REQUESTED:
                return self._asked(now)
            case Role.PROVIDER, n.State.ACCEPTED:
                return self._agree(now)
            case Role.PROVIDER, n.State.VERIFIED:
                return Send(Kind.FINALIZE)
            case Role.CONSUMER, n.State.OFFERED:
                return self._offered(before, now)
            case Role.CONSUMER, n.State.AGREED:
                return self._agreed(tx, now)
        return Wait()

    def _asked(self, now: Negotiation) -> Step:
        """A consumer asks for terms: ours, or others (odrl.md 41: compared by content, never by id)."""
        offer = self._offerings.current.offer(now.offer.uid, now.dataset_id)
        if offer is None:
            return End(CauseCode.POLICY, f"offer {now.offer.uid} is not on offer any more: request the catalog again")
        if problems := _not_understood(now.offer):  # never agreed with the term dropped (odrl.md 26), not by a person either
            return End(CauseCode.POLICY, f"the terms are not understood: {_words(problems)}")
        if canonical.same_terms(now.offer, offer.policy):
            return self._agree(now)
        change = "; ".join(canonical.difference(offer.policy, now.offer)[:5])
        if self._deciding.approval == "manual":
            return Wait(f"the consumer asks for other terms: {change}")
        if len(now.seen) >= ROUNDS:
            return End(CauseCode.MISMATCH, f"no agreement on the terms after {ROUNDS} rounds: {change}")
        return Send(Kind.OFFER, offer.policy)

    def _agree(self, now: Negotiation) -> Step:
        try:
            compiled = evaluate.compile(now.offer)
        except InvalidFiles as error:
            return End(CauseCode.POLICY, f"the terms are not understood: {_words(error.problems)}")
        request = evaluate.Request(
            scope=evaluate.Scope.NEGOTIATION, action=READ, target=now.dataset_id, assignee=now.peer, now=self._clock(),
            claims=now.claims or {},
        )  # fmt: skip
        decision = evaluate.decide(compiled, request, evaluate.State())
        if not decision.allowed:
            return End(CauseCode.POLICY, decision.coarse())
        return Wait("approve the agreement") if self._deciding.approval == "manual" else Send(Kind.AGREE)

    def _offered(self, before: Negotiation | None, now: Negotiation) -> Step:
        """A provider offers: accepted unseen only when it is what we asked for."""
        if before is None:
            return Wait("the provider began with an offer: accept it or terminate")
        if canonical.same_terms(before.offer, now.offer) and not now.offer.problems:
            return Send(Kind.ACCEPT)
        change = "; ".join(canonical.difference(before.offer, now.offer)[:5])
        return Wait(f"the provider offers other terms: {change}")

    def _agreed(self, tx: Transaction, now: Negotiation) -> Step:
        """The agreement must be the one we asked for, between us two (DSP-060, DSP-061)."""
        agreement = tx.agreements.get(now.agreement_id or "")
        if agreement is None:
            return End(CauseCode.MISMATCH, "the agreement is missing")
        policy = agreement.policy
        wrong = [
            f"{name} is {got}, not {want}"
            for name, got, want in (
                ("assigner", policy.assigner, now.peer),
                ("assignee", policy.assignee, self._offerings.participant),
                ("target", policy.target, now.dataset_id),
            )
            if got != want
        ]
        wrong += canonical.difference(now.offer, policy)[:5]
        wrong += [problem.message for problem in policy.problems[:3]]
        if wrong:
            return End(CauseCode.MISMATCH, f"the agreement is not what was offered: {'; '.join(wrong)}")
        return Send(Kind.VERIFY)

    def transfer(self, tx: Transaction, before: TransferProcess | None, now: TransferProcess) -> Step:
        resumed = before is not None and before.state is t.State.SUSPENDED and before.pending is not Kind.START
        if now.role is not Role.PROVIDER or not (
            now.state is t.State.REQUESTED or (resumed and now.state is t.State.STARTED)  # by the consumer: DSP-081
        ):
            return Wait()
        agreement = tx.agreements.get(now.agreement_id)
        if agreement is None:
            return End(CauseCode.AGREEMENT_ENDED, "the agreement is gone")
        try:
            uses = tx.uses.count(agreement.id)
            decision = judge(agreement, evaluate.Scope.TRANSFER, self._clock(), uses).decision
        except Denied as error:
            return End(CauseCode.POLICY, str(error))
        return Send(Kind.START) if decision.allowed else End(CauseCode.POLICY, decision.coarse())


def _not_understood(policy: Policy) -> tuple[Problem, ...]:
    """Return why a policy cannot be enforced."""
    try:
        evaluate.compile(policy)
    except InvalidFiles as error:
        return error.problems
    return ()


def _words(problems: tuple[Problem, ...]) -> str:
    return "; ".join(problem.message for problem in problems[:3])
