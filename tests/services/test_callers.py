"""The issuer's keys change while the connector runs: a new one is learnt, a silent issuer locks nobody out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jwcrypto.jwk import JWK
from jwcrypto.jwt import JWT

from connector.config import Jwt
from connector.errors import Unauthorized, Unavailable
from connector.ports import Answer
from connector.services.callers import FRESH, SOONEST, Callers

SETTINGS = Jwt("https://login.example", "connector", "https://login.example/keys")
OLD, NEW = (JWK.generate(kty="EC", crv="P-256") for _ in range(2))


class Issuer:
    """Publishes keys at an address, or does not answer; the clock is set by hand."""

    def __init__(self, root: Path) -> None:
        self.now, self.keys, self.asked = datetime(2026, 3, 1, tzinfo=UTC), {"old": OLD}, 0
        self.answers = True
        self.callers = Callers(SETTINGS, root, self, lambda: self.now)  # type: ignore[arg-type]

    async def get(self, url: str, authorization: str | None, correlation_id: str) -> Answer:
        self.asked += 1
        if not self.answers:
            raise Unavailable("login.example cannot be reached")
        members = [key.export_public(as_dict=True) | {"kid": kid} for kid, key in self.keys.items()]
        return Answer(200, json.dumps({"keys": members}).encode())

    def token(self, kid: str, key: JWK) -> str:
        now = int(self.now.timestamp())
        claims = {"iss": SETTINGS.issuer, "sub": "maria", "aud": SETTINGS.audience, "iat": now, "exp": now + 60}
        made = JWT(header={"alg": "ES256", "kid": kid, "typ": "at+jwt"}, claims=claims | {"scope": "read write"})
        made.make_signed_token(key)
        return str(made.serialize())


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


async def test_a_caller_is_known_by_subject_and_scopes(issuer: Issuer) -> None:
    caller = await issuer.callers.verify(issuer.token("old", OLD))
    assert (caller.subject, caller.scopes) == ("maria", {"read", "write"})


async def test_a_new_key_is_learnt_from_the_token_that_names_it(issuer: Issuer) -> None:
    await issuer.callers.verify(issuer.token("old", OLD))
    issuer.keys = {"new": NEW}
    issuer.now += SOONEST
    assert (await issuer.callers.verify(issuer.token("new", NEW))).subject == "maria"
    with pytest.raises(Unauthorized):  # the issuer does not publish it any more
        await issuer.callers.verify(issuer.token("old", OLD))
    assert issuer.asked == 2


async def test_keys_are_fetched_again_when_they_are_old(issuer: Issuer) -> None:
    for _ in range(3):
        await issuer.callers.verify(issuer.token("old", OLD))
    issuer.now += FRESH
    await issuer.callers.verify(issuer.token("old", OLD))
    assert issuer.asked == 2


async def test_an_issuer_that_falls_silent_locks_nobody_out(issuer: Issuer) -> None:
    await issuer.callers.verify(issuer.token("old", OLD))
    issuer.answers = False
    issuer.now += FRESH + timedelta(hours=1)
    assert (await issuer.callers.verify(issuer.token("old", OLD))).subject == "maria"


async def test_an_issuer_that_was_silent_at_first_is_asked_again(issuer: Issuer) -> None:
    issuer.answers = False
    with pytest.raises(Unavailable, match=r"jwks|cannot be had"):
        await issuer.callers.verify(issuer.token("old", OLD))
    issuer.answers = True
    issuer.now += SOONEST
    assert (await issuer.callers.verify(issuer.token("old", OLD))).subject == "maria"
