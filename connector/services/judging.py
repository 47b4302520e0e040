"""What an agreement's policy says of its consumer: asked at the start of a transfer, at each access, and for its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector.dsp.offering import Agreement
from connector.errors import Denied, InvalidFiles
from connector.odrl import evaluate
from connector.odrl.terms import READ

AT_MOST = 1_024  # agreements whose compiled policy is kept

_compiled: dict[tuple[str, str], evaluate.Compiled] = {}


@dataclass(frozen=True, slots=True)
class Judgement:
    compiled: evaluate.Compiled
    request: evaluate.Request
    decision: evaluate.Decision

    def with_uses(self, uses: int) -> evaluate.Decision:
        """Return the decision for another number of uses."""
        return evaluate.decide(self.compiled, self.request, evaluate.State(uses=uses))


def judge(agreement: Agreement, scope: evaluate.Scope, now: datetime, uses: int) -> Judgement:
    """Return what the policy says when `uses` were made before this one.

    The consumer asks with what it proved and declared when it agreed: the same at its transfer and at each access.

    Raises:
        Denied: the policy cannot be carried out here; its cause says why.
    """
    claims = dict(agreement.claims) | ({"purpose": agreement.purpose} if agreement.purpose else {})
    request = evaluate.Request(
        scope=scope, action=READ, target=agreement.dataset_id, assignee=agreement.consumer, now=now, claims=claims
    )
    compiled = _policy(agreement)
    return Judgement(compiled, request, evaluate.decide(compiled, request, evaluate.State(uses=uses)))


def _policy(agreement: Agreement) -> evaluate.Compiled:
    key = (agreement.id, agreement.policy_hash)
    if (known := _compiled.get(key)) is not None:
        return known
    try:
        compiled = evaluate.compile(agreement.policy)
    except InvalidFiles as error:
        raise Denied("the agreement's policy cannot be carried out here") from error
    while len(_compiled) >= AT_MOST:
        del _compiled[next(iter(_compiled))]
    _compiled[key] = compiled
    return compiled
