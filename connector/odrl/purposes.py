"""What is part of what: purposes (Data Privacy Vocabulary) and places (countries, EU, EEA).

The facts are in `vocab/terms/*.json`, read once when first needed. A place or a purpose may be written short
(`dpv:Marketing`, `DK`) or as an IRI; `resolve` gives the one form that is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from connector.assets import shipped

MARKETING = "https://w3id.org/dpv#Marketing"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Terms in a hierarchy. `closed` means that it holds every term there is, so that any other word is a mistake.

    `below` has for each term itself and everything narrower, transitively. `spellings` leads from every way to write a
    term to its id, `names` from the id to the short form.
    """

    prefixes: Mapping[str, str]
    below: Mapping[str, frozenset[str]]
    spellings: Mapping[str, str]
    names: Mapping[str, str]
    lack: str  # what to say of a word that should be a term and is none
    closed: bool = False

    def resolve(self, word: str) -> str:
        """Return the id of `word`, or `word` with its prefix written out when it is not a term of this vocabulary."""
        known = self.spellings.get(word)
        if known is not None:
            return known
        prefix, _, name = word.partition(":")
        return self.prefixes[prefix] + name if prefix in self.prefixes else word

    def short(self, id: str) -> str:
        """Return `id` as people write it."""
        if id in self.names:
            return self.names[id]
        found = ((prefix, space) for prefix, space in self.prefixes.items() if id.startswith(space))
        return next((f"{prefix}:{id.removeprefix(space)}" for prefix, space in found), id)

    def is_below(self, narrow: str, wide: str) -> bool | None:
        """Return whether `narrow` is `wide` or part of it; None when one of them is not in the vocabulary."""
        if narrow == wide:
            return True
        if narrow not in self.below or wide not in self.below:
            return None
        return narrow in self.below[wide]

    def mistake(self, word: str) -> bool:
        """Return whether `word` claims to be a term of this vocabulary and is none.

        A purpose in a namespace that we do not know is somebody else's term; it compares as equal or not and has no
        place in the hierarchy.
        """
        id = self.resolve(word)
        if id in self.below:
            return False
        ours = any(id.startswith(namespace) for namespace in self.prefixes.values())
        return self.closed or ours or word in {name.partition(":")[2] for name in self.names.values()}


def _closure(broader: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    below: dict[str, set[str]] = {term: {term} for term in broader}
    for term in broader:
        above, todo = set[str](), [term]
        while todo:
            for wider in broader[todo.pop()]:
                if wider not in above:
                    above.add(wider)
                    todo.append(wider)
        for wider in above:
            below[wider].add(term)
    return {term: frozenset(narrower) for term, narrower in below.items()}


@cache
def purposes() -> Vocabulary:
    facts = json.loads((shipped("vocab") / "terms" / "purposes.json").read_text("utf-8"))
    prefixes: dict[str, str] = facts["prefixes"]

    def iri(curie: str) -> str:
        prefix, _, name = curie.partition(":")
        return prefixes[prefix] + name

    names = {iri(curie): curie for curie in facts["broader"]}
    broader = {iri(curie): [iri(wider) for wider in above] for curie, above in facts["broader"].items()}
    spellings = {spelling: id for id, curie in names.items() for spelling in (id, curie)}
    for namespace, prefix in facts["aliases"].items():  # the same terms as DPV publishes them for OWL, or did before
        same = [id for id in names if id.startswith(prefixes[prefix])]
        spellings |= {namespace + id.removeprefix(prefixes[prefix]): id for id in same}
    return Vocabulary(prefixes, _closure(broader), spellings, names, "is no purpose of this vocabulary")


@cache
def places() -> Vocabulary:
    """Countries by their two letters, and the groups `EU` and `EEA`.

    Also understood: DPV's locations (`loc:DK`) and the EU Publications Office's countries (`country:DNK`).
    """
    facts = json.loads((shipped("vocab") / "terms" / "places.json").read_text("utf-8"))
    prefixes: dict[str, str] = facts["prefixes"]
    spellings = {code: code for code in facts["broader"]}
    for prefix, codes in (("loc", dict(spellings)), ("country", {three: two for two, three in facts["alpha3"].items()})):
        for code, id in codes.items():
            spellings |= {f"{prefix}:{code}": id, prefixes[prefix] + code: id}
    lack = "is no place that is known; write a country as its two letters, like DK, or EU or EEA"
    return Vocabulary(prefixes, _closure(facts["broader"]), spellings, {}, lack, closed=True)


@cache
def forbidden_purposes() -> frozenset[str]:
    """Purposes for which no policy may permit the use of health data (EHDS Regulation, Article 54)."""
    return purposes().below[MARKETING]
