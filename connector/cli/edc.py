"""What a running EDC offers, copied over its management API, with an honest report on its policies.

Nothing is changed silently: an object that is here already with another content is left as it is and named, a policy that
cannot be enforced is not copied, nor what depends on it. For each policy EDC itself is asked which parts of it are not
evaluated there (its evaluation plan): they restricted nothing so far, and will here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from connector import errors
from connector.client.api import CONTEXT, Api
from connector.client.wire import listed, objects, plain, text
from connector.dsp.offering import Asset, ContractDefinition, PolicyDefinition
from connector.odrl import evaluate
from connector.odrl.canonical import fingerprint
from connector.odrl.model import Json
from connector.web.management import assets, definitions, policies
from connector.web.management.fields import Fields
from connector.web.management.jsonld import read

PAGE = 100
SCOPES = ("catalog", "contract.negotiation", "transfer.process")  # where EDC evaluates
FAMILIES = {"assets": "asset", "policydefinitions": "policy definition", "contractdefinitions": "contract definition"}

Document: TypeAlias = dict[str, Json]
Record: TypeAlias = Asset | PolicyDefinition | ContractDefinition


class Outcome(StrEnum):
    NEW = "new"  # not here yet: is copied
    SAME = "same"  # here already
    DIFFERS = "differs"  # here with another content: left as it is
    REFUSED = "refused"  # cannot be kept to here, or depends on what cannot


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of one object. `ignored` is what EDC does not evaluate of a policy."""

    family: str
    id: str
    outcome: Outcome
    why: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def document(self) -> Json:
        return {
            "family": self.family, "id": self.id, "outcome": self.outcome, "why": list(self.why),
            "ignoredByEdc": list(self.ignored),
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        yield f"{self.outcome:<9}{FAMILIES[self.family]} {self.id}"
        yield from (f"{'':<9}  {line}" for line in self.why)
        yield from (f"{'':<9}  EDC ignored: {line}" for line in self.ignored)


async def move(url: str, api_key: str | None, ours: Api, apply: bool) -> list[Finding]:
    theirs = Api(url, api_key)
    try:
        return await Migration(theirs, ours, apply).run()
    finally:
        await theirs.close()


class Migration:
    """One run: what EDC has is compared with what is here, in the order in which one depends on the other."""

    def __init__(self, theirs: Api, ours: Api, apply: bool) -> None:
        self._theirs, self._ours, self._apply = theirs, ours, apply
        self._usable: set[str] = set()  # policy definitions that are here, or will be

    async def run(self) -> list[Finding]:
        found: list[Finding] = []
        for family, judge in (
            ("assets", self._asset), ("policydefinitions", self._policy), ("contractdefinitions", self._definition),
        ):  # fmt: skip
            here = {text(one.get("@id")): one for one in await everything(self._ours, family)}
            if family == "policydefinitions":
                self._usable = set(here)
            for one in await everything(self._theirs, family):
                found.append(await self._one(family, one, here.get(text(one.get("@id"))), judge))
        return found

    async def _one(
        self, family: str, theirs: Document, ours: Document | None, judge: Callable[[Record], Awaitable[None]]
    ) -> Finding:
        id = text(theirs.get("@id"))
        ignored = tuple(await self._ignored(id)) if family == "policydefinitions" else ()
        try:
            record = await as_record(family, theirs)
            if ours is not None:
                return self._known(family, record, await as_record(family, ours), ignored)
            await judge(record)
            if self._apply:
                body = {name: value for name, value in theirs.items() if name not in ("createdAt", "edc:createdAt")}
                await self._ours.raw("POST", family, body=body)
        except errors.InvalidFiles as error:
            return Finding(family, id, Outcome.REFUSED, tuple(map(str, error.problems)), ignored)
        except (errors.PeerError, errors.OperatorError) as error:
            return Finding(family, id, Outcome.REFUSED, (str(error),), ignored)
        if family == "policydefinitions":
            self._usable.add(id)
        return Finding(family, id, Outcome.NEW, secrets(record), ignored)

    def _known(self, family: str, theirs: Record, ours: Record, ignored: tuple[str, ...]) -> Finding:
        if comparable(theirs) == comparable(ours):
            return Finding(family, theirs.id, Outcome.SAME, (), ignored)
        why = f"a {FAMILIES[family]} of this id is here with another content, and is left as it is: rename or delete one"
        return Finding(family, theirs.id, Outcome.DIFFERS, (why,), ignored)

    # --- what cannot be kept to here ----------------------------------------------------------------------------------

    async def _asset(self, record: Record) -> None:
        assert isinstance(record, Asset)
        (plane,) = objects(await self._ours.get("dataplanes"))
        known, kind = [text(one) for one in listed(plane.get("allowedSourceTypes"))], record.data_address.get("type")
        if kind not in known:
            raise errors.Malformed(
                f"its data is of type {kind}, for which there is no data source here ({', '.join(known)})"
            )

    async def _policy(self, record: Record) -> None:
        assert isinstance(record, PolicyDefinition)
        evaluate.compile(record.policy)

    async def _definition(self, record: Record) -> None:
        assert isinstance(record, ContractDefinition)
        for id in dict.fromkeys((record.access_policy_id, record.contract_policy_id)):
            if id not in self._usable:
                raise errors.Malformed(f"it offers under policy definition {id}, which is not here and cannot be copied")

    # --- what EDC did not look at -------------------------------------------------------------------------------------

    async def _ignored(self, id: str) -> list[str]:
        """Ask EDC for its evaluation plans of a policy; return what is filtered out of them, and in which scopes."""
        found: dict[str, list[str]] = {}
        for scope in SCOPES:
            try:
                plan = await self._theirs.post("policydefinitions", id, "evaluationplan", body={"policyScope": scope})
            except (errors.NotFound, errors.Malformed):
                return ["unknown: this EDC tells no evaluation plans"]
            for reason in filtered(plan):
                found.setdefault(reason.replace(f" to scope '{scope}'", ""), []).append(scope)
        return [f"{reason} ({', '.join(scopes)})" for reason, scopes in found.items()]


async def everything(api: Api, family: str) -> list[Document]:
    """Return every object of a family as the API writes it, page by page, each once."""
    found: dict[str, Document] = {}
    offset = 0
    while True:
        query: Document = {
            "@context": CONTEXT, "@type": "QuerySpec", "offset": offset,
            "limit": PAGE, "sortField": "id", "sortOrder": "ASC",
        }  # fmt: skip
        page = objects(await api.raw("POST", family, "request", body=query))
        found |= {text(one.get("@id")): one for one in page}
        if len(page) < PAGE:
            return list(found.values())
        offset += PAGE


async def as_record(family: str, document: Document) -> Record:
    """Return what our management API would make of a document. Raises Malformed, InvalidFiles."""
    node = await read(
        {name: value for name, value in document.items() if name not in ("createdAt", "edc:createdAt", "origin")}
    )
    fields, id = Fields(node), text(node.get("@id"))
    match family:
        case "assets":
            return assets.read(fields, id)
        case "policydefinitions":
            return policies.read(fields, id)
    return definitions.read(fields, id)


def comparable(record: Record) -> object:
    """Return what makes two records the same; a policy's own id is its server's choice."""
    if isinstance(record, PolicyDefinition):
        return fingerprint(replace(record.policy, uid="")), record.private_properties
    return record


def secrets(record: Record) -> tuple[str, ...]:
    """Return what is left to do by hand: a vault gives its secrets to nobody."""
    name = record.data_address.get("secretName") if isinstance(record, Asset) else None
    return (f"put the secret {name} of EDC's vault here: POST /management/v3/secrets",) if name else ()


def filtered(plan: Json) -> Iterator[str]:
    """Yield why parts of an evaluation plan are not evaluated, from the outside in."""
    if isinstance(plan, list):
        for one in plan:
            yield from filtered(one)
        return
    if not isinstance(plan, dict):
        return
    step = plain(plan)
    assert isinstance(step, dict)
    if step.get("isFiltered") in (True, "true"):
        reasons = [text(one) for one in listed(step.get("filteringReasons"))]  # the first: the others follow from it
        yield reasons[0] if reasons else f"{text(step.get('@type'))}, for no reason given"
    for name, value in step.items():
        if name.endswith("Steps"):
            yield from filtered(value)
