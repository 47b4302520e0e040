"""The key folder: what is made, who may read it, how keys follow each other."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jwcrypto.jwk import JWK

from connector.errors import OperatorError
from connector.identity.keys import Key, Keys, Unusable, public_key

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)

# RFC 8037, appendix A.3: the thumbprint of the Ed25519 key of appendix A.2.
RFC8037 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC8037_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_id_of_a_key_is_its_rfc_7638_thumbprint() -> None:
    assert public_key(RFC8037).kid == RFC8037_THUMBPRINT


def test_a_generated_key_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys = Keys.generate(folder, NOW)
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file.stem == keys.signing(NOW).kid
    assert keys.signing(NOW).algorithm == "ES256"


def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    Keys.generate(tmp_path, NOW)
    (file,) = tmp_path.iterdir()
    file.chmod(0o640)
    with pytest.raises(OperatorError, match=f"chmod 600 {file}"):
        Keys.load(tmp_path)


def test_rotation_signs_with_the_new_key_and_verifies_with_both_until_the_overlap_ends(tmp_path: Path) -> None:
    old = Keys.generate(tmp_path, NOW)
    first = old.signing(NOW).kid
    keys = old.rotate(overlap=DAY, signs_from=NOW + timedelta(seconds=1))
    later = NOW + timedelta(hours=1)
    assert keys.signing(later).kid != first
    assert keys.find(first, later) is not None
    assert keys.find(first, NOW + 2 * DAY) is None
    assert {key["kid"] for key in keys.jwks(later)["keys"]} == {first, keys.signing(later).kid}
    assert {key["kid"] for key in keys.jwks(NOW + 2 * DAY)["keys"]} == {keys.signing(later).kid}


def test_a_key_announced_for_tomorrow_is_published_today_and_signs_tomorrow(tmp_path: Path) -> None:
    keys = Keys.generate(tmp_path, NOW)
    first = keys.signing(NOW).kid
    keys = keys.rotate(overlap=DAY, signs_from=NOW + DAY)
    assert keys.signing(NOW).kid == first
    assert len(keys.jwks(NOW)["keys"]) == 2
    assert keys.signing(NOW + DAY).kid != first


def test_a_running_process_sees_a_rotation_made_by_another(tmp_path: Path) -> None:
    running = Keys.generate(tmp_path, NOW)
    rotated = Keys.load(tmp_path).rotate(DAY, NOW)
    newest = rotated.signing(NOW + DAY / 2).kid
    assert running.signing(NOW + DAY / 2).kid == newest


def test_a_folder_that_breaks_under_a_running_process_leaves_its_keys_as_they_are(tmp_path: Path) -> None:
    running = Keys.generate(tmp_path, NOW)
    kid = running.signing(NOW).kid
    (tmp_path / "broken.jwk").write_text("{")
    os.chmod(tmp_path / "broken.jwk", 0o600)
    assert running.signing(NOW).kid == kid


def test_an_operators_pem_signs_and_gets_its_end_with_the_first_rotation(tmp_path: Path) -> None:
    pem = tmp_path / "hospital.pem"
    jwk = JWK.generate(kty="OKP", crv="Ed25519")
    pem.write_bytes(jwk.export_to_pem(private_key=True, password=None))
    pem.chmod(0o600)
    keys = Keys.load(tmp_path)
    assert keys.signing(NOW).algorithm == "EdDSA"
    assert keys.signing(NOW).kid == jwk.thumbprint()
    keys = keys.rotate(DAY, NOW)
    assert not pem.exists()
    assert keys.find(jwk.thumbprint(), NOW) is not None
    assert keys.find(jwk.thumbprint(), NOW + DAY) is None


def test_no_private_key_shows_in_any_text(tmp_path: Path) -> None:
    keys = Keys.generate(tmp_path, NOW)
    (file,) = tmp_path.iterdir()
    secret = json.loads(file.read_text())["d"]
    shown = [repr(keys), repr(keys.signing(NOW)), str(keys.jwks(NOW)), str(keys.signing(NOW).public())]
    file.write_text(json.dumps({"kty": "EC", "crv": "P-256", "d": secret}))
    with pytest.raises(OperatorError) as refused:
        Keys.load(tmp_path)
    shown += [str(refused.value), repr(refused.value)]
    assert all(secret not in text for text in shown)


@pytest.mark.parametrize(
    "jwk",
    [JWK.generate(kty="oct", size=256), JWK.generate(kty="RSA", size=2048), JWK.generate(kty="EC", crv="P-384")],
    ids=["symmetric", "RSA", "P-384"],
)
def test_keys_of_other_kinds_are_not_used(jwk: JWK) -> None:
    with pytest.raises(Unusable, match="ES256"):
        Key.of(jwk)


def test_a_partners_private_key_is_not_taken_for_its_public_one() -> None:
    with pytest.raises(Unusable, match="private key"):
        public_key(JWK.generate(kty="EC", crv="P-256").export(private_key=True, as_dict=True))


def test_a_rotation_within_the_same_second_counts(tmp_path: Path) -> None:
    first = Keys.generate(tmp_path, NOW).signing(NOW)
    moment = NOW + timedelta(milliseconds=1)
    assert Keys.load(tmp_path).rotate(DAY, moment).signing(moment).kid != first.kid


def test_an_empty_or_missing_folder_says_what_makes_a_key(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="connector keys rotate"):
        Keys.load(tmp_path)
    with pytest.raises(OperatorError, match="connector init"):
        Keys.load(tmp_path / "nowhere")
