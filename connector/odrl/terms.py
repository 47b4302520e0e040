"""ODRL's words and how they may be spelled (ODRL Vocabulary 2.2).

A term counts the same as `count`, `odrl:count` and `http://www.w3.org/ns/odrl/2/count` (odrl.md 30). Inside, everything
is a full IRI; people and the wire see the short form where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable

from connector.odrl.purposes import places, purposes

ODRL = "http://www.w3.org/ns/odrl/2/"
XSD = "http://www.w3.org/2001/XMLSchema#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
HDC = "urn:hdc:"
PROFILE = "urn:hdc:profile"
PROFILES = frozenset({PROFILE, "odrl:core", ODRL + "core"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# ODRL's operands and actions, ours or not: a known word that is not enforced yet is told apart from a misspelt one.
LEFT_OPERANDS = _words(
    "absolutePosition absoluteSize absoluteSpatialPosition absoluteTemporalPosition count dateTime delayPeriod "
    "deliveryChannel elapsedTime event fileFormat industry language media meteredTime payAmount percentage product "
    "purpose recipient relativePosition relativeSize relativeSpatialPosition relativeTemporalPosition resolution spatial "
    "spatialCoordinates systemDevice timeInterval unitOfCount version virtualLocation"
)
OPERATORS = _words("eq neq lt lteq gt gteq isA hasPart isPartOf isAllOf isAnyOf isNoneOf")
ACTIONS = _words(
    "acceptTracking aggregate annotate anonymize archive attribute compensate concurrentUse delete derive digitize display "
    "distribute ensureExclusivity execute extract give grantUse include index inform install modify move nextPolicy "
    "obtainConsent play present print read reproduce reviewPolicy sell stream synchronize textToSpeech transfer transform "
    "translate uninstall use watermark "
    # deprecated since ODRL 2.1, each with an exact match or on its own
    "adHocShare append appendTo attachPolicy attachSource commercialize copy export extractChar extractPage extractWord "
    "lease lend license pay preview secondaryUse share shareAlike write writeTo"
)
STRATEGIES = _words("perm prohibit invalid")

USE, READ = ODRL + "use", ODRL + "read"


def bare(word: str) -> str:
    """Return an ODRL term without prefix or namespace, any other word as it is."""
    return word.removeprefix(ODRL).removeprefix("odrl:")


def expand(word: str, terms: frozenset[str]) -> str:
    """Return the full IRI of an ODRL term however it is spelled; other words with a known prefix expanded."""
    name = bare(word)
    if name in terms or name != word:
        return ODRL + name
    return expand_curie(word)


def expand_operator(word: str) -> str:
    """Return the full IRI of an operator.

    W3C's own context file maps the term `neq` to `odrl:neg`, which exists nowhere else: what went through it still means
    `neq`.
    """
    return ODRL + "neq" if bare(word) == "neg" and bare(word) != word else expand(word, OPERATORS)


def expand_curie(word: str) -> str:
    """Return `word` with a prefix that this connector ships (`dpv:`, `eu-ehds:`, `xsd:`, ...) written out."""
    prefix, colon, name = word.partition(":")
    if not colon or name.startswith("//"):
        return word
    own = {"xsd": XSD, "hdc": HDC, "rdf": RDF}.get(prefix)
    namespace = own or purposes().prefixes.get(prefix) or places().prefixes.get(prefix)
    return word if namespace is None else namespace + name


def short(iri: str) -> str:
    """Return an IRI as people write it."""
    return purposes().short(bare(iri))


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return `; did you mean "..."?` for the candidate closest to `word`, else an empty string."""
    from difflib import get_close_matches

    by_case = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(bare(word).lower(), by_case, n=1)
    return f'; did you mean "{by_case[close[0]]}"?' if close else ""
