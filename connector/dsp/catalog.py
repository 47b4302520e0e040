"""What is on offer: contract definitions x assets -> offers, and the datasets that a caller may see (DSP 2025-1, 5 and 6).

An `Offering` is an immutable snapshot, built when files or records change and then only read. Every dataset is serialised
once, in the compact form of the DSP context, cut so that a caller who may see some of its offers gets just these. An
asset that no definition selects is in nobody's catalogue.

An offer is shown where its access policy may permit the caller and its contract policy could still be agreed with it;
what the caller has yet to prove or declare counts as possible. Offer ids are UUIDs made from the definition, the asset and
the fingerprint of the terms: the same after a restart and on every process, another one when the terms change (DSP-043).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Protocol, TypeVar
from uuid import NAMESPACE_URL, uuid5

import orjson

from connector.dsp import criteria
from connector.dsp.criteria import Query
from connector.dsp.description import described
from connector.dsp.offering import EDC, Asset, ContractDefinition, Criterion, PolicyDefinition
from connector.dsp.transfer import FORMATS
from connector.errors import InvalidFiles, Malformed, Problem
from connector.identity.participant import Participant
from connector.odrl import canonical, evaluate
from connector.odrl.model import Json, Policy, PolicyKind, Rule, RuleKind
from connector.odrl.read import to_json
from connector.odrl.terms import READ, USE

OPEN = Rule(RuleKind.PERMISSION, USE)  # whoever, whenever


class Record(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Record)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer of one dataset. `policy` is of kind Offer, its uid is `id`, its target the dataset."""

    id: str
    dataset_id: str
    policy: Policy
    compiled: evaluate.Compiled
    access: evaluate.Compiled
    definition_id: str


@dataclass(frozen=True, slots=True)
class Page:
    datasets: list[bytes]
    more: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """A policy definition, compiled once. `open` says that it permits every caller at any time."""

    id: str
    policy: Policy
    compiled: evaluate.Compiled
    fingerprint: str
    body: Mapping[str, Json]
    open: bool


Sight = Callable[[Terms], bool]


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset, serialised: `head` + offers + `tail`; `whole` with all of them, where everyone may see all."""

    asset: Asset
    lookup: criteria.Lookup
    offers: tuple[tuple[Terms, Terms, bytes], ...]  # access, contract, JSON
    head: bytes
    tail: bytes
    whole: bytes | None

    def seen(self, may: Sight) -> bytes | None:
        """Return the dataset with the offers whose terms `may` see, None where there are none."""
        if self.whole is not None:
            return self.whole
        offers = [data for access, contract, data in self.offers if may(access) and may(contract)]
        return self.head + b",".join(offers) + self.tail if offers else None


@dataclass(frozen=True, slots=True)
class Offering:
    """Everything on offer. `problems` lists what is left out because it cannot be understood: it stays shut."""

    assets: Mapping[str, Asset]
    policies: Mapping[str, PolicyDefinition]
    definitions: Mapping[str, ContractDefinition]
    problems: tuple[Problem, ...] = ()
    _entries: Mapping[str, Entry] = field(default_factory=dict, repr=False)  # by dataset id, in its order
    _offers: Mapping[tuple[str, str], Offer] = field(default_factory=dict, repr=False)
    _terms: Mapping[str, Terms] = field(default_factory=dict, repr=False)
    _distribution: bytes = field(default=b"", repr=False)

    @classmethod
    def build(
        cls,
        assets: Iterable[Asset],
        policies: Iterable[PolicyDefinition],
        definitions: Iterable[ContractDefinition],
        *,
        endpoint_url: str,
    ) -> Offering:
        """Return the snapshot. Of two records with one id the first counts; `endpoint_url` is the DSP base address."""
        problems: list[Problem] = []
        by_id = _by_id(assets)
        asked, known = _by_id(policies), _by_id(definitions)
        terms = {id: made for id, one in asked.items() if (made := _terms(one, problems)) is not None}
        offers: dict[str, list[tuple[Offer, Terms, Terms]]] = {}
        for definition in known.values():
            access, contract = terms.get(definition.access_policy_id), terms.get(definition.contract_policy_id)
            if access is None or contract is None:
                problems.append(_unusable(definition, terms))
                continue
            selected = _selected(definition, by_id, problems)
            for asset in selected:
                # A fixed id is for one dataset: an offer is unique to its dataset (DSP-043).
                offer = _offer(definition, asset, contract, access, fixed=len(selected) == 1)
                offers.setdefault(asset.id, []).append((offer, access, contract))
        distribution = _distribution(endpoint_url)
        return cls(
            by_id, asked, known, tuple(problems),
            {id: _entry(by_id[id], offers[id], distribution) for id in sorted(offers)},
            {(offer.id, id): offer for id, made in offers.items() for offer, _, _ in made}, terms, distribution,
        )  # fmt: skip

    def with_asset(self, id: str, asset: Asset | None) -> Offering:
        """Return the snapshot with one asset added, changed or (None) taken away: what `build` gives, without the rest anew.

        Only for an asset that no definition with a fixed offer id selects (those come from files, by the asset's id).
        """
        assets = {known: one for known, one in self.assets.items() if known != id}
        entries = {known: one for known, one in self._entries.items() if known != id}
        offers = {key: one for key, one in self._offers.items() if key[1] != id}
        if asset is not None:
            assets[id] = asset
            if made := self._made(asset):
                entries[id] = _entry(asset, made, self._distribution)
                entries = dict(sorted(entries.items()))
                offers |= {(offer.id, id): offer for offer, _, _ in made}
        return replace(self, assets=assets, _entries=entries, _offers=offers)

    def _made(self, asset: Asset) -> list[tuple[Offer, Terms, Terms]]:
        """Return the offers of one asset under the definitions there are."""
        found = []
        for definition in self.definitions.values():
            access, contract = self._terms.get(definition.access_policy_id), self._terms.get(definition.contract_policy_id)
            if access is not None and contract is not None and _selected(definition, {asset.id: asset}, []):
                found.append((_offer(definition, asset, contract, access, fixed=False), access, contract))
        return found

    def offer(self, offer_id: str, dataset_id: str) -> Offer | None:
        return self._offers.get((offer_id, dataset_id))

    def offer_for(self, caller: Participant, now: datetime, offer_id: str, dataset_id: str) -> Offer | None:
        """Return an offer that `caller` may see: to know its id, or to see another offer of the dataset, is not enough."""
        offer, request = self.offer(offer_id, dataset_id), _looking(caller, now)
        judged = (_anything(), offer.access, offer.compiled) if offer else ()
        return offer if all(evaluate.possible(terms, request).allowed for terms in judged) else None

    def dataset(self, caller: Participant, now: datetime, id: str) -> bytes | None:
        """Return one dataset as an entry of a catalogue, None where there is none that `caller` may see."""
        may, entry = _sight(caller, now), self._entries.get(id)
        return entry.seen(may) if entry and may else None

    def page(self, caller: Participant, now: datetime, query: Query) -> Page:
        """Return what `caller` may see of what `query` asks for; order and paging count only what it may see.

        Raises:
            Malformed: a criterion is not understood.
        """
        tests = [criteria.predicate(criterion) for criterion in query.filters]
        may = _sight(caller, now)
        if may is None:
            return Page([], False)
        asked = (entry for entry in self._sorted(query) if all(test(entry.lookup) for test in tests))
        seen = (data for entry in asked if (data := entry.seen(may)) is not None)
        end = None if query.limit is None else query.offset + query.limit
        page = list(islice(seen, query.offset, end))
        return Page(page, next(seen, None) is not None)

    def _sorted(self, query: Query) -> Iterable[Entry]:
        entries, by = _candidates(self._entries, query.filters), query.sort
        if by is None:
            return reversed(list(entries)) if query.descending else entries
        return sorted(entries, key=lambda entry: criteria.order(entry.lookup(by)), reverse=query.descending)


def _sight(caller: Participant, now: datetime) -> Sight | None:
    """Return what says whether `caller` may see terms; None where no terms at all could let it.

    Terms are judged once, whatever number of datasets they cover. Who is refused what is open to all, for declaring a
    purpose that the law forbids, is refused everything.
    """
    request = _looking(caller, now)
    if not evaluate.possible(_anything(), request).allowed:
        return None
    judged: dict[str, bool] = {}

    def may(terms: Terms) -> bool:
        if terms.open:
            return True
        if terms.id not in judged:
            judged[terms.id] = evaluate.possible(terms.compiled, request).allowed
        return judged[terms.id]

    return may


def _looking(caller: Participant, now: datetime) -> evaluate.Request:
    return evaluate.Request(
        scope=evaluate.Scope.CATALOG, action=READ, target=None, assignee=caller.id, now=now, claims=caller.claims
    )


@cache
def _anything() -> evaluate.Compiled:
    return evaluate.compile(Policy(PolicyKind.OFFER, "urn:open", (OPEN,)))


# --- building --------------------------------------------------------------------------------------------------------


def _by_id(records: Iterable[R]) -> dict[str, R]:
    found: dict[str, R] = {}
    for record in records:
        found.setdefault(record.id, record)
    return found


def _candidates(records: Mapping[str, T], filters: Sequence[Criterion]) -> Iterable[T]:
    """Return those of `records` that can satisfy `filters`: one by its id, else all."""
    for criterion in filters:
        if criterion.operator == "=" and criterion.left in ("id", EDC + "id") and isinstance(criterion.right, str):
            return [records[criterion.right]] if criterion.right in records else []
    return records.values()


def _terms(definition: PolicyDefinition, problems: list[Problem]) -> Terms | None:
    policy = replace(definition.policy, kind=PolicyKind.OFFER, target=None)
    try:
        compiled = evaluate.compile(policy)
    except InvalidFiles as error:
        problems.extend(error.problems)
        return None
    anyone = policy.assignee is None and all(rule == OPEN for rule in policy.rules)
    return Terms(definition.id, policy, compiled, canonical.fingerprint(policy), to_json(policy), anyone)


def _unusable(definition: ContractDefinition, terms: Mapping[str, Terms]) -> Problem:
    missing = [id for id in (definition.access_policy_id, definition.contract_policy_id) if id not in terms]
    names = " and ".join(dict.fromkeys(missing))
    message = f"contract definition {definition.id} offers nothing: policy {names} is missing or cannot be enforced"
    return Problem("offer-policy", message, definition.origin)


def _selected(definition: ContractDefinition, assets: Mapping[str, Asset], problems: list[Problem]) -> list[Asset]:
    try:
        tests = [criteria.predicate(criterion) for criterion in definition.selector]
    except Malformed as error:
        message = f"contract definition {definition.id} offers nothing: {error}"
        problems.append(Problem("offer-selector", message, definition.origin))
        return []
    found = ((asset, criteria.asset_lookup(asset, private=True)) for asset in _candidates(assets, definition.selector))
    return [asset for asset, lookup in found if all(test(lookup) for test in tests)]


def _offer(definition: ContractDefinition, asset: Asset, contract: Terms, access: Terms, *, fixed: bool) -> Offer:
    name = orjson.dumps([definition.id, asset.id, contract.fingerprint]).decode()
    id = (definition.offer_id if fixed else None) or uuid5(NAMESPACE_URL, name).urn
    policy = replace(contract.policy, uid=id, target=asset.id)
    return Offer(id, asset.id, policy, contract.compiled, access.compiled, definition.id)


def _entry(asset: Asset, offers: Sequence[tuple[Offer, Terms, Terms]], distribution: bytes) -> Entry:
    head = b'{"@id":' + orjson.dumps(asset.id) + b',"@type":"Dataset","hasPolicy":['
    tail = b'],"distribution":' + distribution
    if shown := described(asset.properties):
        tail += b"," + orjson.dumps(shown)[1:-1]
    tail += b"}"
    parts = tuple(
        (access, contract, orjson.dumps({**contract.body, "@id": offer.id, "@type": "Offer"}))
        for offer, access, contract in offers
    )
    everyone = all(access.open and contract.open for access, contract, _ in parts)
    whole = head + b",".join(data for _, _, data in parts) + tail if everyone else None
    return Entry(asset, criteria.asset_lookup(asset), parts, head, tail, whole)


def _distribution(endpoint_url: str) -> bytes:
    service = {
        "@id": f"{endpoint_url}#service",
        "@type": "DataService",
        "endpointDescription": "dspace:connector",
        "endpointURL": endpoint_url,
    }
    # Embedded, not by id: EDC reads nothing else (DSP-040 allows both).
    return orjson.dumps([{"@type": "Distribution", "format": name, "accessService": service} for name in FORMATS])
