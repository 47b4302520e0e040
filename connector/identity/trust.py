"""Static trust: partners and their public keys in a file that the operator keeps, short-lived signed tokens.

    [[participant]]
    id = "did:web:odense.example"
    name = "Odense University Hospital"
    spatial = "DK"                                   # ISO 3166-1 alpha-2, where it is
    dsp = "https://connector.odense.example/dsp/2025-1"
    keys = ["keys/odense.pem", { kty = "EC", crv = "P-256", x = "...", y = "..." }]

A key is a JWK, PEM text, or the name of a file with either, beside the trust file. What a participant *is* (name, country)
comes from this file; what it *wants* (purpose) from its token, which binds it to the statement. The file is read again when
it changed; a broken edit changes nothing, and `problem` says what is wrong with it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from connector.config import Settings
from connector.errors import InvalidFiles, OperatorError, Problem, Unauthorized, Unavailable
from connector.identity.keys import Key, Keys, Unusable, public_key
from connector.identity.participant import Participant
from connector.identity.tokens import SKEW, Verified, sign, verify
from connector.odrl.model import Json

LIFETIME = timedelta(seconds=60)  # of the tokens we make
LONGEST = timedelta(minutes=5)  # of the tokens we take
AT_MOST = 200_000  # tokens of one partner remembered against replay: 600 messages a second at the longest lifetime
FIELDS = ("id", "name", "spatial", "dsp", "keys")


@dataclass(frozen=True, slots=True)
class Partner:
    """One participant of the trust file."""

    id: str
    keys: tuple[Key, ...]
    name: str = ""
    spatial: str | None = None
    dsp: str | None = None


def read_trust(file: Path) -> Mapping[str, Partner]:
    """Read a trust file. Raises InvalidFiles with every problem in it, each with its line."""
    try:
        text = file.read_text("utf-8")
        document = tomllib.loads(text)
    except FileNotFoundError:
        raise InvalidFiles((Problem("T001", "there is no such file; `connector init` makes one", str(file)),)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFiles((Problem("T001", f"cannot be read as text: {type(error).__name__}", str(file)),)) from error
    except tomllib.TOMLDecodeError as error:
        line, column = (
            int(found.group(1)) if (found := re.search(rf"{word} (\d+)", str(error))) else 1 for word in ("line", "column")
        )
        raise InvalidFiles((Problem("T002", f"not TOML: {error}", str(file), line, column),)) from None
    reading = _Reading(file, text.splitlines())
    partners = reading.partners(document)
    if reading.problems:
        raise InvalidFiles(tuple(reading.problems))
    return partners


@dataclass
class _Reading:
    """One pass over a trust file, with the problems found so far."""

    file: Path
    lines: list[str]
    problems: list[Problem] = field(default_factory=list)

    def partners(self, document: dict[str, Any]) -> dict[str, Partner]:
        for name in document.keys() - {"participant"}:
            self._problem("T003", f"unknown table {name!r}; partners are written as [[participant]]", 0, name)
        found: dict[str, Partner] = {}
        entries = document.get("participant", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._problem("T003", "write each partner as [[participant]], with two brackets", 0, None)
            return found
        for number, entry in enumerate(entries, 1):
            partner = self._partner(entry, number)
            if partner.id in found:
                self._problem("T004", f"{partner.id} is here twice; put both keys into one entry", number, "id")
            found[partner.id] = partner
        return found

    def _partner(self, entry: dict[str, Any], number: int) -> Partner:
        for name in entry.keys() - set(FIELDS):
            near = get_close_matches(name, FIELDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(FIELDS)}"
            self._problem("T003", f"unknown key {name!r}; {hint}", number, name)
        texts = {name: self._text(entry, name, number) for name in ("id", "name", "spatial", "dsp")}
        if not texts["id"]:
            self._problem("T005", "a participant needs an id, as it stands in its tokens", number, None)
        if texts["spatial"] and not re.fullmatch("[A-Z]{2}", texts["spatial"]):
            self._problem("T006", 'spatial is a country in two capital letters, as in "DK"', number, "spatial")
        if texts["dsp"] and urlsplit(texts["dsp"]).scheme not in ("http", "https"):
            self._problem("T006", "dsp is the address of the partner's DSP endpoint, https://...", number, "dsp")
        keys = tuple(self._keys(entry.get("keys", []), number))
        return Partner(texts["id"] or "", keys, texts["name"] or "", texts["spatial"], texts["dsp"])

    def _text(self, entry: dict[str, Any], name: str, number: int) -> str | None:
        value = entry.get(name)
        if value is None or isinstance(value, str):
            return value
        self._problem("T006", f"{name} has to be a text in quotation marks", number, name)
        return None

    def _keys(self, written: object, number: int) -> Iterator[Key]:
        if not isinstance(written, list) or not written:
            self._problem("T007", "keys is a list with at least one public key of the participant", number, "keys")
            return
        for key in written:
            try:
                yield public_key(self._contents(key))
            except Unusable as error:
                self._problem("T008", f"{key + ': ' if _is_name(key) else 'a key is '}{error}", number, "keys")
            except (OSError, ValueError):
                self._problem("T008", f"{key}: no such key file beside the trust file, or not readable", number, "keys")

    def _contents(self, key: object) -> str | Mapping[str, Any]:
        if isinstance(key, dict):
            return key
        if not isinstance(key, str):
            raise Unusable("neither a table (JWK), PEM text, nor the name of a file")
        text = (self.file.parent / key).read_text("ascii") if _is_name(key) else key
        return json.loads(text) if text.lstrip().startswith("{") else text

    def _problem(self, code: str, message: str, number: int, name: str | None) -> None:
        self.problems.append(Problem(code, message, str(self.file), self._line(number, name), 1))

    def _line(self, number: int, name: str | None) -> int:
        """Return the line of key `name` in the `number`th participant (0: in the whole file)."""
        heads = [0, *(at for at, line in enumerate(self.lines, 1) if re.match(r"\s*\[\[\s*participant\s*\]\]", line))]
        start = heads[number] if number < len(heads) else 0
        if name is not None:
            pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(name)}\b")
            for at in range(start, len(self.lines)):
                if pattern.match(self.lines[at]):
                    return at + 1
        return max(start, 1)


def _is_name(key: object) -> bool:
    return isinstance(key, str) and "\n" not in key and not key.lstrip().startswith(("{", "-"))


class Replays:
    """The tokens seen, until they have expired; one memory per issuer, so that no partner can fill another's."""

    def __init__(self, at_most: int = AT_MOST) -> None:
        self._seen: dict[str, dict[bytes, datetime]] = {}
        self._at_most = at_most

    def take(self, issuer: str, jti: str, until: datetime, now: datetime) -> None:
        """Remember a token until `until`. Raises Unauthorized if it was here before."""
        seen = self._seen.setdefault(issuer, {})
        while seen and seen[first := next(iter(seen))] < now:
            del seen[first]
        digest = sha256(jti.encode("utf-8", "surrogatepass")).digest()
        if digest in seen:
            raise Unauthorized("the token was used before (same jti); make a new one for every request")
        if len(seen) >= self._at_most:  # to forget one early would let it in again
            raise Unavailable("too many tokens at once; use shorter-lived ones, or try again in some minutes")
        seen[digest] = until


class TrustIdentity:
    """ports.Identity over a trust file.

    The memory of used tokens begins empty, so tokens issued before `started` (less the clocks' skew) are refused.
    """

    def __init__(
        self, file: Path, keys: Keys, participant: str, clock: Callable[[], datetime], ids: Callable[[], str]
    ) -> None:
        self._file, self._keys, self._participant, self._clock, self._ids = file, keys, participant, clock, ids
        self.started = clock()
        self._problem: OperatorError | None = None
        self._partners, self._stamp = read_trust(file), self._now_stamp()
        self._replays = Replays()

    @classmethod
    def load(cls, settings: Settings, keys: Keys, clock: Callable[[], datetime], ids: Callable[[], str]) -> Self:
        """Return the identity that the settings describe. Raises OperatorError."""
        return cls(settings.root / settings.identity.trust_file, keys, settings.participant, clock, ids)

    @property
    def partners(self) -> Mapping[str, Partner]:
        """The participants in force; read again if the file has changed."""
        self._refresh()
        return self._partners

    @property
    def problem(self) -> OperatorError | None:
        """Why the file as it is now is not in force; None when it is."""
        self._refresh()
        return self._problem

    def _refresh(self) -> None:
        if (stamp := self._now_stamp()) != self._stamp:
            self._stamp = stamp
            try:
                self._partners, self._problem = read_trust(self._file), None
            except OperatorError as error:
                self._problem = error

    def thumbprint(self, participant: str) -> str | None:
        """Return the key that a partner is known by (the first in its entry)."""
        partner = self.partners.get(participant)
        return partner.keys[0].kid if partner else None

    async def authorize(self, audience: str, purpose: str | None) -> str:
        now = self._clock()
        claims: dict[str, Json] = {
            "iss": self._participant,
            "sub": self._participant,
            "aud": audience,
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "jti": self._ids(),
        }
        if purpose is not None:
            claims["purpose"] = purpose
        return "Bearer " + sign(self._keys.signing(now), "JWT", claims)

    async def verify(self, authorization: str | None) -> Participant:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("send `Authorization: Bearer TOKEN`, a JWS signed with your participant's key")
        now = self._clock()
        partners = self.partners
        found = verify(token.strip(), "JWT", self._participant, now, partial(_find, partners))
        partner = partners[found.text("iss")]
        self._check(found)
        self._replays.take(partner.id, found.text("jti"), found.instant("exp") + SKEW, now)
        return Participant(partner.id, _claims(partner, found), found.key.kid)

    def _check(self, token: Verified) -> None:
        if token.claims.get("sub") != token.claims.get("iss"):
            raise Unauthorized("the token has to be about its issuer: iss and sub are the same")
        if token.instant("exp") - token.instant("iat") > LONGEST:
            raise Unauthorized(f"the token lives longer than {LONGEST.total_seconds():.0f} seconds")
        if token.instant("iat") < self.started - SKEW:
            raise Unauthorized("the token is older than this process; make a new one")

    def _now_stamp(self) -> tuple[int, int]:
        try:
            stat = self._file.stat()
        except OSError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_size)


def _find(partners: Mapping[str, Partner], header: Mapping[str, str], claims: Mapping[str, Any]) -> Key | None:
    issuer = claims.get("iss")
    partner = partners.get(issuer) if isinstance(issuer, str) else None
    if partner is None:
        raise Unauthorized("the token's issuer is not a participant known here; exchange keys with the operator first")
    if len(partner.keys) == 1:  # whatever the partner calls it
        return partner.keys[0]
    return next((key for key in partner.keys if key.kid == header.get("kid")), None)


def _claims(partner: Partner, token: Verified) -> dict[str, str]:
    """Return name and country as we know them, and the purpose as the token declares it."""
    claims = {"name": partner.name, "spatial": partner.spatial or ""}
    if "purpose" in token.claims:
        claims["purpose"] = token.text("purpose")
    return {name: value for name, value in claims.items() if value}
