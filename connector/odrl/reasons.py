"""Why a decision fell as it did: the premises that decided, put into words only when somebody asks.

Reasons name values and places and are for the operator's own eyes; a peer gets `Decision.coarse` (odrl.md 35).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.odrl.model import Constraint, Json, Place, RuleKind
from connector.odrl.operands import OPERANDS
from connector.odrl.purposes import MARKETING, purposes
from connector.odrl.terms import ODRL, short
from connector.odrl.values import Value


@dataclass(frozen=True, slots=True)
class Premise:
    """One thing that a rule asks: a constraint, or that its action, target or assignee fits. Made when compiling."""

    rule: str  # "permission 1"
    kind: RuleKind
    name: str
    operator: str
    right: Json
    place: Place | None = None
    constraint: Constraint | None = None


BUILT_IN: Mapping[str, Premise] = {
    "purpose": Premise("EHDS Article 54", RuleKind.PROHIBITION, "purpose", "isA", MARKETING),
    "empty": Premise("policy", RuleKind.PERMISSION, "permission", "", None),
    "offer": Premise("policy", RuleKind.PERMISSION, "agreement", "", None),
}
PLAIN = {
    "permission": "the policy has no permission",
    "agreement": "an offer gives no right to data; an agreement does",
}
SUBJECTS = {"action": "the action is {}", "target": "the dataset is {}", "assignee": "the participant is {}"}
MISSING = {"target": "no dataset is named", "assignee": "no participant is named"}
ASKED = {
    "eq": "{}", "neq": "anything but {}", "lt": "less than {}", "lteq": "at most {}", "gt": "more than {}",
    "gteq": "at least {}", "isA": "{} or narrower", "isPartOf": "{} or a part of it", "isAnyOf": "one of {}",
    "isNoneOf": "none of {}",
}  # fmt: skip
ASKED_TIME = {"lt": "before {}", "lteq": "until {}", "gt": "after {}", "gteq": "from {} on"}


@dataclass(frozen=True, slots=True)
class Reason:
    """One premise with the left value it met; `satisfied` None means that it could not be evaluated."""

    asked: Premise
    left: Value | None
    satisfied: bool | None

    @property
    def rule(self) -> str:
        return self.asked.rule

    @property
    def premise(self) -> str:
        """Return the name of what was asked: a left operand, or `action`, `target`, `assignee`."""
        return self.asked.name

    @property
    def operator(self) -> str:
        return self.asked.operator

    @property
    def right(self) -> Json:
        return self.asked.right

    @property
    def place(self) -> Place | None:
        return self.asked.place

    @property
    def text(self) -> str:
        """Say it plainly: `purpose is dpv:Marketing, the policy asks for ... (policies/research.yaml:12)`."""
        if self.premise in PLAIN:
            return PLAIN[self.premise]
        verb = "the policy asks for" if self.asked.kind is RuleKind.PERMISSION else "which the policy forbids:"
        if self.asked is BUILT_IN["purpose"]:
            verb = "which Article 54 of the EHDS Regulation forbids:"
        elif self.satisfied is None:
            verb = "the policy asks for" if self.asked.kind is RuleKind.PERMISSION else "the policy forbids"
        where = f" ({self.place.file}:{self.place.line})" if self.place is not None else ""
        return f"{self._subject()}, {verb} {self._right()}{where}"

    def _subject(self) -> str:
        operand = OPERANDS.get(ODRL + self.premise)
        if self.left is None:
            return operand.missing if operand else MISSING[self.premise]
        if operand is None:
            return SUBJECTS[self.premise].format(short(str(self.left)))
        return operand.subject.format(operand.type.show(self.left))

    def _right(self) -> str:
        operand, constraint = OPERANDS.get(ODRL + self.premise), self.asked.constraint
        if operand is None or constraint is None:
            return ASKED.get(self.operator, "{}").format(purposes().short(short(str(self.right))))
        shown = " or ".join(operand.type.show(right) for right in operand.rights(constraint))
        words = ASKED_TIME.get(self.operator) if operand.name == "dateTime" else None
        return (words or ASKED[self.operator]).format(shown)


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict and the premises that made it.

    `because` holds the premises of the permission that permits, of the prohibitions that forbid, or those that failed,
    nearest permission first. `unknown` names what could not be evaluated. `valid_until` is the instant from which on the
    permission no longer holds by the clock. `counted` says that uses have to be counted under this policy.
    """

    allowed: bool
    because: tuple[Reason, ...] = ()
    unknown: tuple[str, ...] = ()
    valid_until: datetime | None = None
    counted: bool = False

    def why(self) -> str:
        """Say in one sentence what decided."""
        if self.allowed:
            return f"{self.because[0].rule if self.because else 'the policy'} permits it"
        if not self.because:
            return "nothing permits it"
        first = self.because[0].rule
        return "; ".join(dict.fromkeys(reason.text for reason in self._telling() if reason.rule == first))

    def coarse(self) -> str:
        """Say to a peer which premises failed, without values and places."""
        if self.allowed:
            return "permitted"
        names = ", ".join(dict.fromkeys(reason.premise for reason in self._telling()))
        return f"the policy does not permit this request ({names})" if names else "the policy does not permit this request"

    def _telling(self) -> Sequence[Reason]:
        """Return the reasons worth saying: that a prohibition is about this action and this asker is not, if more is."""
        told = [r for r in self.because if r.asked.kind is RuleKind.PERMISSION or r.asked.constraint is not None]
        return told or self.because
