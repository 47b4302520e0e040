"""OAuth2 tokens beside the API key: who may use the management API, and how a refusal reads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK
from jwcrypto.jwt import JWT

from connector.config import Jwt, Management
from connector.ports import Answer
from tests.web.management_rig import NOW, Rig, rig

ISSUER, AUDIENCE = "https://login.hospital.example/realms/it", "connector-management"
RSA, EC, OTHER = (
    JWK.generate(kty="RSA", size=2048),
    JWK.generate(kty="EC", crv="P-256"),
    JWK.generate(kty="RSA", size=2048),
)
PUBLISHED = {"rsa": RSA, "ec": EC}


def jwks(**keys: JWK) -> str:
    return json.dumps({"keys": [key.export_public(as_dict=True) | {"kid": kid} for kid, key in keys.items()]})


def token(key: JWK = RSA, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    now = int(NOW.timestamp())
    said = {"iss": ISSUER, "sub": "maria", "aud": AUDIENCE, "iat": now, "exp": now + 300, "scope": "a b"} | claims
    kind = {"alg": "RS256", "kid": "rsa", "typ": "at+jwt"} | dict(header or {})
    made = JWT(header=kind, claims={name: value for name, value in said.items() if value is not None})
    made.make_signed_token(key)
    return str(made.serialize())


def settings(jwks_at: str, key: str | None = None) -> Management:
    return Management(api_key=key, jwt=Jwt(ISSUER, AUDIENCE, jwks_at))


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Rig]:
    (tmp_path / "jwks.json").write_text(jwks(**PUBLISHED))
    async with rig(tmp_path, settings("jwks.json", "a key")) as made:
        yield made


async def asked(api: Rig, authorization: str | None = None, **headers: str) -> tuple[int, Any]:
    given = {"Authorization": authorization} if authorization else {}
    return await api.call("GET", "/assets/filed", headers=given | headers)


@pytest.mark.parametrize(
    "signed",
    [
        token(),
        token(header={"typ": "JWT"}),
        token(EC, {"alg": "ES256", "kid": "ec"}),
        token(aud=["other", AUDIENCE]),
    ],
)
async def test_a_token_of_the_issuer_opens(guarded: Rig, signed: str) -> None:
    assert (await asked(guarded, f"Bearer {signed}"))[0] == 200
    assert (await asked(guarded, f"bearer {signed}"))[0] == 200


async def test_the_key_still_opens_beside_it(guarded: Rig) -> None:
    assert (await asked(guarded, **{"X-Api-Key": "a key"}))[0] == 200
    assert (await asked(guarded, **{"X-Api-Key": "another"}))[0] == 401
    assert (await asked(guarded))[0] == 401


PAST = int((NOW - timedelta(minutes=9)).timestamp())


@pytest.mark.parametrize(
    "signed",
    [
        token(OTHER),  # another key under a known name
        token(header={"kid": "nobody"}),
        token(iss="https://login.elsewhere.example"),
        token(aud="another-service"),
        token(aud=None),
        token(sub=None),
        token(iat=PAST, exp=PAST + 60),
        token(exp=None),
        token(nbf=int(NOW.timestamp()) + 600),
        token(header={"typ": "refresh+jwt"}),
        token(header={"jku": "https://evil.example/keys"}),
        token(EC, {"alg": "ES256", "kid": "rsa"}),
        token().rsplit(".", 1)[0] + ".",
        "eyJhbGciOiJub25lIn0.e30.",
        "not-a-token",
        "",
    ],
)
async def test_any_other_token_is_refused_in_edcs_form(guarded: Rig, signed: str) -> None:
    status, answer = await asked(guarded, f"Bearer {signed}", **{"X-Api-Key": "a key"})
    assert status == 401
    assert [(error["type"], error["path"], error["invalidValue"]) for error in answer] == [
        ("AuthenticationFailed", None, None)
    ]
    assert not signed or signed not in answer[0]["message"]


async def test_a_shared_secret_signs_nothing(tmp_path: Path) -> None:
    """RFC 8725, 3.1: the issuer's public key must not become an HMAC secret, and a published `oct` key is no key."""
    secret = JWK.generate(kty="oct", size=256)
    members = [RSA.export_public(as_dict=True) | {"kid": "rsa"}, secret.export(as_dict=True) | {"kid": "oct"}]
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": members}))
    async with rig(tmp_path, settings("jwks.json")) as api:
        assert (await asked(api, f"Bearer {token(secret, {'alg': 'HS256', 'kid': 'oct'})}"))[0] == 401
        assert (await asked(api, f"Bearer {token()}"))[0] == 200
        assert (await asked(api))[0] == 401  # tokens are set up: being on this machine is not enough


async def test_keys_come_from_an_address_once_and_again_for_a_new_key(tmp_path: Path) -> None:
    async with rig(tmp_path, settings("https://login.hospital.example/keys")) as api:
        api.peers.answers = [Answer(200, jwks(rsa=RSA).encode())]
        for _ in range(3):
            assert (await asked(api, f"Bearer {token()}"))[0] == 200
        assert api.peers.asked == [("GET", "https://login.hospital.example/keys", None)]
        # an unknown key is asked for, but not at every request: a stranger must not make us call the issuer
        for _ in range(3):
            assert (await asked(api, f"Bearer {token(OTHER, {'kid': 'new'})}"))[0] == 401
        assert len(api.peers.asked) == 1


async def test_an_issuer_that_cannot_be_reached_is_no_open_door(tmp_path: Path) -> None:
    async with rig(tmp_path, settings("https://login.hospital.example/keys")) as api:
        for _ in range(2):
            status, answer = await asked(api, f"Bearer {token()}")
            assert (status, answer[0]["type"]) == (503, "ServiceUnavailable")
        assert len(api.peers.asked) == 1
