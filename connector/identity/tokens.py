"""Compact JWS tokens: signed, verified, and the two that open data (RFC 7515, 7519; RFC 8725 is why each check is there).

The algorithm comes from the key, never from the token; the header is a closed set, so that no embedded key, no URL and no
`crit` can say where trust comes from; `typ` keeps a token of one use from serving another. What is refused is said in words,
without a piece of the token.

An access token (`at+jwt`, RFC 9068) opens one transfer process in one epoch until it expires. Its refresh token
(`refresh+jwt`) is no secret to steal: it renews only for the consumer it names, who has to prove itself again, and only
while the transfer process is in the same epoch; so it stays usable until it expires. `cnf.jkt` (RFC 7800, RFC 9449) names
the consumer's key.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from jwcrypto.common import JWException
from jwcrypto.jws import JWS

from connector.config import Settings
from connector.dsp.messages import DataAddress, EndpointProperty
from connector.dsp.offering import EDC, Agreement
from connector.dsp.transfer import TransferProcess
from connector.errors import Unauthorized
from connector.identity.keys import Key, Keys
from connector.odrl.model import Json

SKEW = timedelta(seconds=30)  # how far two clocks may differ
LONGEST = 8_192  # characters of a token
HEADER = frozenset({"alg", "kid", "typ"})
HTTP_PULL = "https://w3id.org/idsa/v4.1/HTTP"
TX_AUTH = "https://w3id.org/tractusx/auth/"
ACCESS, REFRESH = "at+jwt", "refresh+jwt"
REMEMBERED = 4_096  # verified tokens kept; beyond that the oldest is verified again

Find = Callable[[Mapping[str, str], Mapping[str, Any]], Key | None]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token says, and the key that said it."""

    claims: Mapping[str, Any]
    key: Key

    def text(self, name: str) -> str:
        """Return a claim that must be a string. Raises Unauthorized."""
        value = self.claims.get(name)
        if not isinstance(value, str) or not value:
            raise Unauthorized(f"the token has no {name} claim, or it is not a text")
        return value

    def instant(self, name: str) -> datetime:
        """Return a claim that must be a NumericDate. Raises Unauthorized."""
        value = self.claims.get(name)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 <= value < 1e11
            or not math.isfinite(value)
        ):
            raise Unauthorized(f"the token has no {name} claim, or it is not a time in seconds")
        return datetime.fromtimestamp(value, UTC)


def sign(key: Key, typ: str, claims: Mapping[str, Json]) -> str:
    """Return `claims` as a compact JWS."""
    token = JWS(json.dumps(claims, separators=(",", ":")))
    token.add_signature(key.jwk, protected=json.dumps({"alg": key.algorithm, "kid": key.kid, "typ": typ}))
    return str(token.serialize(compact=True))


def verify(token: str, typ: str | tuple[str, ...], audience: str, now: datetime, find: Find) -> Verified:
    """Return what the token says, if the key that `find` returns for its header and claims signed it for us and now.

    `find` sees claims that are not verified yet, and may raise Unauthorized.
    """
    header, claims = _parse(token)
    wanted = (typ,) if isinstance(typ, str) else typ
    if header.get("typ", "").lower().removeprefix("application/") not in map(str.lower, wanted):
        raise Unauthorized(f"the token is not for this use: its typ has to be {' or '.join(wanted)}")
    key = find(header, claims)
    if key is None:
        raise Unauthorized("the token is signed with a key that is not known here, or not any more")
    if header.get("alg") != key.algorithm:
        raise Unauthorized(f"the token's alg does not fit the key, which signs with {key.algorithm}")
    _check_signature(token, key)
    verified = Verified(claims, key)
    _check_audience(claims.get("aud"), audience)
    _check_time(verified, now)
    return verified


def _parse(token: str) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3:
        raise Unauthorized("the token is not a compact JWS of three parts")
    header, claims = _decode(parts[0], "header"), _decode(parts[1], "payload")
    if more := sorted(header.keys() - HEADER):
        known = [name for name in more if name in ("jwk", "jku", "x5u", "x5c", "crit", "b64", "zip")]
        raise Unauthorized(f"the token's header may hold alg, kid and typ only, not {' and '.join(known) or 'others'}")
    if not all(isinstance(value, str) for value in header.values()):
        raise Unauthorized("alg, kid and typ of the token have to be texts")
    return header, claims


def _decode(part: str, name: str) -> dict[str, Any]:
    try:
        text = b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Unauthorized(f"the token's {name} cannot be read") from None
    if not isinstance(value, dict):
        raise Unauthorized(f"the token's {name} is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def _check_signature(token: str, key: Key) -> None:
    try:
        signed = JWS()
        signed.allowed_algs = [key.algorithm]
        signed.deserialize(token)
        signed.verify(key.jwk, alg=key.algorithm)
    except (JWException, ValueError, TypeError):
        raise Unauthorized("the token's signature is not right") from None


def _check_audience(found: object, audience: str) -> None:
    if audience not in (found if isinstance(found, list) else [found]):
        raise Unauthorized(f"the token is for another audience; here it has to be {audience}")


def _check_time(token: Verified, now: datetime) -> None:
    issued, expires = token.instant("iat"), token.instant("exp")
    begins = token.instant("nbf") if "nbf" in token.claims else issued
    if max(issued, begins) > now + SKEW:
        raise Unauthorized("the token is not valid yet; compare the clocks")
    if expires <= now - SKEW:
        raise Unauthorized("the token has expired")
    if expires <= issued:
        raise Unauthorized("the token expires before it begins")


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access or refresh token is good for."""

    consumer: str
    agreement_id: str
    transfer_id: str
    policy_hash: str
    epoch: int
    expires_at: datetime
    id: str
    purpose: str | None = None


class AccessTokens:
    """Makes and verifies the tokens of our data endpoint. `thumbprint` gives a participant's key, where it is known."""

    def __init__(
        self,
        keys: Keys,
        settings: Settings,
        clock: Callable[[], datetime],
        ids: Callable[[], str],
        thumbprint: Callable[[str], str | None] = lambda participant: None,
    ) -> None:
        self._keys, self._clock, self._ids, self._thumbprint = keys, clock, ids, thumbprint
        self._issuer, self._lifetimes = settings.participant, settings.data
        self.endpoint = settings.public.url.rstrip("/") + "/data"
        self.refresh_endpoint = self.endpoint + "/token"
        self._known: dict[bytes, tuple[AccessClaims, str]] = {}

    @property
    def lifetime(self) -> timedelta:
        return self._lifetimes.token_lifetime

    def issue(self, transfer: TransferProcess, agreement: Agreement) -> DataAddress:
        """Return a data address with a fresh access token and its refresh token."""
        access = self._token(ACCESS, self.endpoint, self.lifetime, transfer, agreement)
        refresh = self._token(REFRESH, self.refresh_endpoint, self._lifetimes.refresh_lifetime, transfer, agreement)
        properties = {
            EDC + "endpoint": self.endpoint,
            EDC + "endpointType": HTTP_PULL,
            EDC + "authType": "bearer",
            EDC + "authorization": access,
            TX_AUTH + "refreshToken": refresh,
            TX_AUTH + "expiresIn": str(int(self.lifetime.total_seconds())),
            TX_AUTH + "refreshEndpoint": self.refresh_endpoint,
            TX_AUTH + "refreshAudience": self._issuer,
        }
        return DataAddress(HTTP_PULL, self.endpoint, tuple(EndpointProperty(*item) for item in properties.items()))

    def verify(self, token: str) -> AccessClaims:
        """Return what an access token opens. Raises Unauthorized."""
        digest, now = sha256(token.encode("utf-8", "surrogateescape")).digest(), self._clock()
        if (known := self._known.get(digest)) and known[0].expires_at > now - SKEW and self._keys.find(known[1], now):
            return known[0]
        claims, kid = self._read(token, ACCESS, self.endpoint)
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[digest] = claims, kid
        return claims

    def verify_refresh(self, token: str) -> AccessClaims:
        """Return what a refresh token renews. Raises Unauthorized."""
        return self._read(token, REFRESH, self.refresh_endpoint)[0]

    def _token(self, typ: str, audience: str, lifetime: timedelta, transfer: TransferProcess, agreement: Agreement) -> str:
        now = self._clock()
        claims: dict[str, Json] = {
            "iss": self._issuer,
            "sub": agreement.consumer,
            "aud": audience,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": self._ids(),
            "agreement": agreement.id,
            "transfer": transfer.id,
            "epoch": transfer.epoch,
            "policy": agreement.policy_hash,
        }
        if agreement.purpose is not None:
            claims["purpose"] = agreement.purpose
        if (thumbprint := self._thumbprint(agreement.consumer)) is not None:
            claims["cnf"] = {"jkt": thumbprint}
        return sign(self._keys.signing(now), typ, claims)

    def _read(self, token: str, typ: str, audience: str) -> tuple[AccessClaims, str]:
        now = self._clock()
        found = verify(token, typ, audience, now, lambda header, _: self._keys.find(header.get("kid", ""), now))
        if found.text("iss") != self._issuer:
            raise Unauthorized("the token was not issued here")
        epoch = found.claims.get("epoch")
        if not isinstance(epoch, int):
            raise Unauthorized("the token has no epoch")
        claims = AccessClaims(
            consumer=found.text("sub"),
            agreement_id=found.text("agreement"),
            transfer_id=found.text("transfer"),
            policy_hash=found.text("policy"),
            epoch=epoch,
            expires_at=found.instant("exp"),
            id=found.text("jti"),
            purpose=found.text("purpose") if "purpose" in found.claims else None,
        )
        return claims, found.key.kid
