"""Tokens of an OAuth2 authorization server: who may use the management API (RFC 9068, RFC 7517).

The issuer's keys come as a JWK Set; one that cannot be used is left out, so that a server may publish others beside it. A
token names its key; its algorithm is the key's, as everywhere (`tokens`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from connector.errors import OperatorError, Unauthorized
from connector.identity.keys import Key, Unusable
from connector.identity.tokens import ACCESS, Verified, verify

KINDS = (ACCESS, "JWT")  # the second is what many servers write still
SHORTEST = 2048  # bits of an RSA modulus


@dataclass(frozen=True, slots=True)
class Caller:
    """Who uses the management API. What scopes and roles allow is decided elsewhere."""

    subject: str
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


def key_set(text: str) -> dict[str, Key]:
    """Return the usable keys of a JWK Set by their `kid`. Raises OperatorError."""
    try:
        members = json.loads(text)["keys"]
        found = [key for member in members if (key := _key(member)) is not None]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise OperatorError("the issuer's keys are not a JWK Set: an object whose member keys lists JWKs") from None
    if not found:
        raise OperatorError(
            "the issuer's JWK Set has no key that can be used: RS256 of 2048 bits, ES256 or EdDSA, with a kid"
        )
    return {key.kid: key for key in found}


def _key(member: Mapping[str, Any]) -> Key | None:
    name = member.get("kid")
    if not isinstance(name, str) or member.get("use", "sig") != "sig":
        return None
    try:
        jwk = JWK(**member)
        if jwk.get("kty") != "RSA":
            return Key(jwk, name, Key.of(jwk).algorithm)
        strong = jwk.get_op_key("verify").key_size >= SHORTEST
        return Key(jwk, name, "RS256") if strong and member.get("alg", "RS256") == "RS256" else None
    except (JWException, Unusable, ValueError, TypeError):
        return None


def caller(token: str, issuer: str, audience: str, now: datetime, keys: Mapping[str, Key]) -> Caller:
    """Return who the token is about. Raises Unauthorized."""
    found = verify(token, KINDS, audience, now, lambda header, _: keys.get(header.get("kid", "")))
    if found.text("iss") != issuer:
        raise Unauthorized("the token was issued by another server than the one set up here")
    return Caller(found.text("sub"), _scopes(found), found.claims)


def _scopes(token: Verified) -> frozenset[str]:
    given = token.claims.get("scope", "")
    return frozenset(given.split() if isinstance(given, str) else ())
