"""Why a decision fell as it did: the premises that decided, put into words only when somebody asks.

Reasons name values and places and are for the operator's own eyes; a peer gets `Decision.coarse` (odrl.md 35).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.odrl.kinds import Plain, shown
from connector.odrl.language import LeftOperand, Source, left_operands, resolve
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
    uid: str | None = None  # of the rule
    about: str = ""  # the action of the duty, where that is what is asked


BUILT_IN: Mapping[str, Premise] = {
    "purpose": Premise("EHDS Article 54", RuleKind.PROHIBITION, "purpose", "isA", MARKETING),
    "empty": Premise("policy", RuleKind.PERMISSION, "permission", "", None),
    "offer": Premise("policy", RuleKind.PERMISSION, "agreement", "", None),
    "void": Premise("policy", RuleKind.PERMISSION, "conflict", "", None),
}
PLAIN = {
    "permission": "the policy has no permission",
    "agreement": "an offer gives no right to data; an agreement does",
    "conflict": "a permission and a prohibition both fit and the policy does not say which wins, so it is void",
}
SUBJECTS = {"action": "the action is {}", "target": "the dataset is {}", "assignee": "the participant is {}"}
MISSING = {"target": "no dataset is named", "assignee": "no participant is named"}
ASKED = {
    "eq": "{}", "neq": "anything but {}", "lt": "less than {}", "lteq": "at most {}", "gt": "more than {}",
    "gteq": "at least {}", "isA": "{} or narrower", "isPartOf": "{} or a part of it", "isAnyOf": "one of {}",
    "isNoneOf": "none of {}", "isAllOf": "all of {}", "hasPart": "something that {} is a part of",
}  # fmt: skip
ASKED_TIME = {"lt": "before {}", "lteq": "until {}", "gt": "after {}", "gteq": "from {} on"}


@dataclass(frozen=True, slots=True)
class Reason:
    """One premise with the left value it met; `satisfied` None means that it could not be evaluated."""

    asked: Premise
    left: Value | tuple[Plain, ...] | None
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
        if self.asked.about:
            state = {"NonSet": "was not done", "Violated": "was violated"}.get(str(self.left), f"is {self.left}")
            return f'the duty "{short(self.asked.about)}" {state}{self._where()}'
        verb = "the policy asks for" if self.asked.kind is RuleKind.PERMISSION else "which the policy forbids:"
        if self.asked is BUILT_IN["purpose"]:
            verb = "which Article 54 of the EHDS Regulation forbids:"
        elif self.satisfied is None:
            verb = "the policy asks for" if self.asked.kind is RuleKind.PERMISSION else "the policy forbids"
        return f"{self._subject()}, {verb} {self._right()}{self._where()}"

    def _where(self) -> str:
        return f" ({self.place.file}:{self.place.line})" if self.place is not None else ""

    def _wholly(self) -> LeftOperand | None:
        """Return the left operand where the whole language was decided; its values come as a set."""
        constraint = self.asked.constraint
        if constraint is None or (self.left is not None and not isinstance(self.left, tuple)):
            return None
        operand = left_operands().get(resolve(constraint.left))
        return operand if self.left is not None or constraint.left not in OPERANDS else None

    def _subject(self) -> str:
        if (wholly := self._wholly()) is not None:
            if not isinstance(self.left, tuple):
                return f"{wholly.words} is not known"
            return f"{wholly.words} is {' and '.join(short(shown(value)) for value in self.left)}"
        operand = OPERANDS.get(ODRL + self.premise)
        if self.left is None or isinstance(self.left, tuple):
            return operand.missing if operand else MISSING[self.premise]
        if operand is None:
            return SUBJECTS[self.premise].format(short(str(self.left)))
        return operand.subject.format(operand.type.show(self.left))

    def _right(self) -> str:
        if (wholly := self._wholly()) is not None and self.asked.constraint is not None:
            rights = [short(shown(right)) for right in wholly.rights(self.asked.constraint)]
            words = ASKED_TIME.get(self.operator) if wholly.source is Source.CLOCK else None
            return (words or ASKED[self.operator]).format(" or ".join(rights))
        operand, constraint = OPERANDS.get(ODRL + self.premise), self.asked.constraint
        if operand is None or constraint is None:
            return ASKED.get(self.operator, "{}").format(purposes().short(short(str(self.right))))
        said = " or ".join(operand.type.show(right) for right in operand.rights(constraint))
        words = ASKED_TIME.get(self.operator) if operand.name == "dateTime" else None
        return (words or ASKED[self.operator]).format(said)
