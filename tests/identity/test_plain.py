"""The test profile: EDC's mock identity and a kit's fixed tokens (peers/edc/README.md, "Authorization")."""

import json
from pathlib import Path

import pytest

from connector.config import IdentitySettings, Settings
from connector.errors import OperatorError, Unauthorized
from connector.identity.plain import PlainIdentity


def identity(*tokens: str) -> PlainIdentity:
    return PlainIdentity(Settings(Path(), "us", identity=IdentitySettings("plain", plain_tokens=tokens)))


async def test_edcs_mock_identity_is_understood_as_edc_sends_it() -> None:
    caller = await identity().verify(
        '{"region":"eu","audience":"http://127.0.0.1:29192/protocol/2025-1","clientId":"provider"}'
    )
    assert (caller.id, caller.claims) == ("provider", {"region": "eu"})


async def test_we_speak_edcs_mock_identity_and_give_a_purpose_only_where_there_is_one() -> None:
    assert json.loads(await identity().authorize("them", None)) == {"region": "eu", "clientId": "us", "audience": "them"}
    said = await identity().authorize("them", "urn:research")
    assert (await identity().verify(said)).claims["purpose"] == "urn:research"


async def test_a_fixed_token_is_a_participant() -> None:
    assert (await identity("secret==kit").verify("secret=")).id == "kit"


@pytest.mark.parametrize("written", [None, "", "Bearer x", "{", "[]", "{}", '{"clientId":1}', "[" * 3000])
async def test_anything_else_is_refused(written: str | None) -> None:
    with pytest.raises(Unauthorized):
        await identity("a=b").verify(written)


def test_a_fixed_token_without_a_participant_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(OperatorError, match="TOKEN=PARTICIPANT"):
        identity("secret")
