"""Tokens: what is signed verifies, and every attack of RFC 8725 is refused with words and without the token."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from connector.config import Data, Public, Settings
from connector.dsp.messages import Role
from connector.dsp.offering import EDC, Agreement
from connector.dsp.transfer import State, TransferProcess
from connector.errors import Unauthorized
from connector.identity.keys import Key, Keys
from connector.identity.tokens import TX_AUTH, AccessTokens, sign, verify
from connector.odrl.model import Policy, PolicyKind

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = Key.of(JWK.generate(kty="EC", crv="P-256"))
CLAIMS = {"iss": "a", "sub": "a", "aud": "b", "iat": NOW.timestamp(), "exp": NOW.timestamp() + 60, "jti": "1"}


def check(
    token: str, key: Key | None = KEY, typ: str = "JWT", audience: str = "b", now: datetime = NOW
) -> Mapping[str, Any]:
    return verify(token, typ, audience, now, lambda header, claims: key).claims


def token(
    header: Mapping[str, object] | None = None, claims: Mapping[str, object] | None = None, signature: str = "AAAA"
) -> str:
    """Return a token with any header, whose signature is nonsense."""
    parts = ({"alg": "ES256", "typ": "JWT"} | dict(header or {}), {**CLAIMS, **(claims or {})})
    return ".".join([*(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts), signature])


# --- vectors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, jwk, compact, payload",
    [
        (
            "RFC 7515 A.3 (ES256)",
            {
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            },
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
            ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True},
        ),
    ],
)
def test_a_published_vector_fails_on_its_claims_only_after_its_signature_held(
    name: str, jwk: dict[str, str], compact: str, payload: dict[str, object]
) -> None:
    """RFC 7515: the example has no `typ` and no `aud`; so its signature is checked by what is refused after it."""
    key = Key.of(JWK(**jwk))
    with pytest.raises(Unauthorized, match="another audience"):
        verify(compact, "", "us", NOW, lambda header, claims: key)
    broken = compact[:-10] + "A" + compact[-9:]
    with pytest.raises(Unauthorized, match="signature"):
        verify(broken, "", "us", NOW, lambda header, claims: key)


@pytest.mark.parametrize("kty, crv", [("EC", "P-256"), ("OKP", "Ed25519")])
def test_what_one_signs_the_other_reads(kty: str, crv: str) -> None:
    key = Key.of(JWK.generate(kty=kty, crv=crv))
    assert check(sign(key, "JWT", CLAIMS), key) == CLAIMS


# --- attacks -----------------------------------------------------------------------------------------------------------


def refused(compact: str, match: str, **how: Any) -> None:
    with pytest.raises(Unauthorized, match=match) as error:
        check(compact, **how)
    longest = max(compact.split("."), key=len)
    assert longest[:20] not in str(error.value), "the error quotes the token"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_alg_none_is_refused(alg: str) -> None:
    refused(token({"alg": alg}, signature=""), "alg does not fit")


def test_a_token_without_alg_is_refused() -> None:
    compact = token()
    header = urlsafe_b64encode(b'{"typ":"JWT"}').rstrip(b"=").decode()
    refused(header + compact[compact.index(".") :], "alg does not fit")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_the_public_key_as_an_hmac_secret_is_refused(alg: str) -> None:
    public = KEY.jwk.export_to_pem()
    secret = JWK(kty="oct", k=urlsafe_b64encode(public).rstrip(b"=").decode())
    forged = JWS(json.dumps(CLAIMS))
    forged.add_signature(secret, protected=json.dumps({"alg": alg, "typ": "JWT"}))
    refused(forged.serialize(compact=True), "alg does not fit")


def test_another_algorithm_than_the_keys_is_refused() -> None:
    refused(sign(Key.of(JWK.generate(kty="OKP", crv="Ed25519")), "JWT", CLAIMS), "alg does not fit")


def test_another_key_of_the_same_kind_is_refused() -> None:
    refused(sign(Key.of(JWK.generate(kty="EC", crv="P-256")), "JWT", CLAIMS), "signature")


def test_an_unknown_key_is_refused() -> None:
    refused(sign(KEY, "JWT", CLAIMS), "not known here", key=None)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"])
def test_a_header_that_says_where_trust_comes_from_is_refused(name: str) -> None:
    attacker = JWK.generate(kty="EC", crv="P-256")
    value: object = attacker.export_public(as_dict=True) if name == "jwk" else ["exp"]
    forged = token({name: value})
    refused(forged, f"not {name}")


def test_a_signature_moved_onto_other_claims_is_refused() -> None:
    header, _, signature = sign(KEY, "JWT", CLAIMS).split(".")
    other = urlsafe_b64encode(json.dumps(CLAIMS | {"sub": "admin"}).encode()).rstrip(b"=").decode()
    refused(f"{header}.{other}.{signature}", "signature")


@pytest.mark.parametrize("signature", ["", "AAAA", "A" * 86])
def test_a_signature_of_zeros_or_none_is_refused(signature: str) -> None:
    """CVE-2022-21449: r = s = 0 verified for every message."""
    refused(token(signature=signature), "signature")


def test_a_member_given_twice_is_refused() -> None:
    compact = token()
    twice = urlsafe_b64encode(b'{"alg":"none","alg":"ES256","typ":"JWT"}').rstrip(b"=").decode()
    refused(twice + compact[compact.index(".") :], "header cannot be read")


def test_a_token_of_another_use_is_refused() -> None:
    refused(sign(KEY, "at+jwt", CLAIMS), "typ has to be JWT")


def test_a_token_for_another_audience_is_refused() -> None:
    refused(sign(KEY, "JWT", CLAIMS | {"aud": "c"}), "another audience")
    refused(sign(KEY, "JWT", CLAIMS | {"aud": ["c", "d"]}), "another audience")
    refused(sign(KEY, "JWT", {k: v for k, v in CLAIMS.items() if k != "aud"}), "another audience")
    assert check(sign(KEY, "JWT", CLAIMS | {"aud": ["c", "b"]}))


def test_time_is_held_with_thirty_seconds_of_skew() -> None:
    signed = sign(KEY, "JWT", CLAIMS)
    assert check(signed, now=NOW + timedelta(seconds=89))
    refused(signed, "expired", now=NOW + timedelta(seconds=91))
    assert check(signed, now=NOW - timedelta(seconds=29))
    refused(signed, "not valid yet", now=NOW - timedelta(seconds=31))
    refused(sign(KEY, "JWT", CLAIMS | {"nbf": NOW.timestamp() + 40}), "not valid yet")
    refused(sign(KEY, "JWT", CLAIMS | {"exp": CLAIMS["iat"]}), "expires before")


@pytest.mark.parametrize("name", ["iat", "exp"])
@pytest.mark.parametrize("value", [None, "1", True, -1, 1e300, [1]])
def test_a_time_that_is_none_is_refused(name: str, value: object) -> None:
    refused(sign(KEY, "JWT", CLAIMS | {name: value}), f"no {name} claim")  # type: ignore[dict-item]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_time_that_is_no_number_is_refused(value: str) -> None:
    forged = JWS(json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), value))
    forged.add_signature(KEY.jwk, protected=json.dumps({"alg": "ES256", "typ": "JWT"}))
    refused(forged.serialize(compact=True), "no exp claim")


@pytest.mark.parametrize(
    "compact",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d",
        "...",
        "!.!.!",
        "\u00e6.\u00f8.\u00e5",
        "e30.e30",
        "WzFd.e30.AA",
        "a" * 10_000,
        "[" * 4000 + ".e30.AA",
    ],
)
def test_nonsense_is_refused_in_words(compact: str) -> None:
    with pytest.raises(Unauthorized):
        check(compact)


PARTS = st.one_of(
    st.text(max_size=40), st.binary(max_size=40).map(lambda data: urlsafe_b64encode(data).decode().rstrip("="))
)
OBJECTS = st.dictionaries(
    st.sampled_from([*CLAIMS, "alg", "typ", "kid", "jwk"]), st.none() | st.text(max_size=5) | st.integers()
)


@given(st.lists(PARTS, max_size=4).map(".".join) | st.builds(token, OBJECTS, OBJECTS, PARTS))
def test_whatever_comes_is_refused_and_never_an_error_of_ours(compact: str) -> None:
    with pytest.raises(Unauthorized):
        check(compact)


def test_deep_nesting_in_a_payload_is_refused_in_words() -> None:
    deep = urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    refused(f"{token().split('.')[0]}.{deep}.AA", "payload cannot be read")


# --- access tokens -------------------------------------------------------------------------------------------------------

AGREEMENT = Agreement(
    id="urn:a",
    negotiation_id="urn:n",
    policy=Policy(PolicyKind.AGREEMENT, "urn:a", ()),
    policy_hash="sha256:1",
    provider="odense",
    consumer="aarhus",
    dataset_id="lung",
    signed_at=NOW,
    purpose="urn:research",
    in_force=True,
)
TRANSFER = TransferProcess(
    id="urn:t",
    role=Role.PROVIDER,
    peer="aarhus",
    peer_address="http://aarhus",
    correlation_id="c",
    created_at=NOW,
    updated_at=NOW,
    state=State.STARTED,
    agreement_id="urn:a",
    dataset_id="lung",
    format="HttpData-PULL",
    epoch=3,
)


class Hand:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def tokens(tmp_path: Path, clock: Hand) -> AccessTokens:
    return access_tokens(tmp_path, clock)


def access_tokens(
    folder: Path, clock: Hand, participant: str = "odense", url: str = "https://odense.example"
) -> AccessTokens:
    keys = Keys.generate(folder / participant, NOW)
    settings = Settings(folder, participant, public=Public(url=url), data=Data(timedelta(minutes=10)))
    counter = iter(range(1000))
    return AccessTokens(keys, settings, clock, lambda: f"urn:{next(counter)}", {"aarhus": "thumb"}.get)


def test_the_data_address_of_a_start_is_what_edc_consumers_understand(tokens: AccessTokens) -> None:
    """DSP-085, DSP-086; names as on the wire of EDC 0.15.1."""
    address = tokens.issue(TRANSFER, AGREEMENT)
    assert address.endpoint_type == "https://w3id.org/idsa/v4.1/HTTP"
    properties = {prop.name: prop.value for prop in address.properties}
    assert properties[EDC + "endpoint"] == "https://odense.example/data"
    assert properties[EDC + "endpointType"] == "https://w3id.org/idsa/v4.1/HTTP"
    assert properties[EDC + "authType"] == "bearer"
    assert properties[TX_AUTH + "expiresIn"] == "600"
    assert properties[TX_AUTH + "refreshEndpoint"] == "https://odense.example/data/token"
    assert properties[EDC + "authorization"] not in repr(address)


def test_an_access_token_opens_one_transfer_in_one_epoch(tokens: AccessTokens) -> None:
    claims = tokens.verify(tokens.issue(TRANSFER, AGREEMENT).get("authorization") or "")
    assert (claims.consumer, claims.agreement_id, claims.transfer_id, claims.epoch) == ("aarhus", "urn:a", "urn:t", 3)
    assert (claims.policy_hash, claims.purpose) == ("sha256:1", "urn:research")
    assert claims.expires_at == NOW + timedelta(minutes=10)


def test_an_access_token_names_the_consumers_key(tokens: AccessTokens) -> None:
    """RFC 7800, 9449: `cnf.jkt`."""
    signed = JWS()
    signed.deserialize(tokens.issue(TRANSFER, AGREEMENT).get("authorization"))
    assert json.loads(signed.objects["payload"])["cnf"] == {"jkt": "thumb"}


def test_a_refresh_token_opens_no_data_and_an_access_token_renews_nothing(tokens: AccessTokens) -> None:
    address = tokens.issue(TRANSFER, AGREEMENT)
    with pytest.raises(Unauthorized, match="not for this use"):
        tokens.verify(address.get("refreshToken") or "")
    with pytest.raises(Unauthorized, match="not for this use"):
        tokens.verify_refresh(address.get("authorization") or "")
    assert tokens.verify_refresh(address.get("refreshToken") or "").transfer_id == "urn:t"


def test_a_verified_token_still_expires(tokens: AccessTokens, clock: Hand) -> None:
    token = tokens.issue(TRANSFER, AGREEMENT).get("authorization") or ""
    assert tokens.verify(token) is tokens.verify(token)
    clock.now += timedelta(minutes=10, seconds=31)
    with pytest.raises(Unauthorized, match="expired"):
        tokens.verify(token)


def test_a_verified_token_falls_with_its_key(tokens: AccessTokens, tmp_path: Path) -> None:
    token = tokens.issue(TRANSFER, AGREEMENT).get("authorization") or ""
    tokens.verify(token)
    Keys.generate(tmp_path / "odense", NOW)
    next(file for file in (tmp_path / "odense").iterdir() if file.stem in json.dumps(_header(token))).unlink()
    with pytest.raises(Unauthorized, match="not known here"):
        tokens.verify(token)


def test_tokens_of_another_connector_and_another_endpoint_are_refused(
    tokens: AccessTokens, tmp_path: Path, clock: Hand
) -> None:
    other = access_tokens(tmp_path, clock, "aalborg")
    with pytest.raises(Unauthorized, match="not known here"):
        tokens.verify(other.issue(TRANSFER, AGREEMENT).get("authorization") or "")
    keys = Keys.load(tmp_path / "odense")
    moved = AccessTokens(keys, Settings(tmp_path, "odense", public=Public(url="https://elsewhere")), clock, lambda: "1")
    with pytest.raises(Unauthorized, match="another audience"):
        tokens.verify(moved.issue(TRANSFER, AGREEMENT).get("authorization") or "")


def test_the_memory_of_verified_tokens_is_bounded(tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.identity.tokens.REMEMBERED", 3)
    for epoch in range(10):
        tokens.verify(tokens.issue(replace(TRANSFER, epoch=epoch), AGREEMENT).get("authorization") or "")
    assert len(tokens._known) == 3


def _header(compact: str) -> object:
    signed = JWS()
    signed.deserialize(compact)
    return signed.jose_header
