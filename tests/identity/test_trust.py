"""Static trust: who is in the file, what its tokens prove, and what is refused at the door."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.errors import InvalidFiles, Unauthorized, Unavailable
from connector.identity.keys import Keys
from connector.identity.tokens import sign
from connector.identity.trust import Replays, TrustIdentity, read_trust

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RESEARCH = "https://w3id.org/dpv#ScientificResearch"


class Hand:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Two:
    """Odense and Aarhus, who trust each other."""

    def __init__(self, folder: Path) -> None:
        self.clock = Hand()
        self.folder = folder
        self.keys = {name: Keys.generate(folder / name, NOW - timedelta(days=1)) for name in ("odense", "aarhus")}
        self.file = folder / "trust.toml"
        self.file.write_text("".join(self.entry(name) for name in self.keys))
        counter = iter(range(10_000))
        self.odense, self.aarhus = (
            TrustIdentity(self.file, self.keys[name], name, self.clock, lambda: f"urn:{next(counter)}") for name in self.keys
        )

    def entry(self, name: str) -> str:
        jwk = self.keys[name].signing(NOW).public()
        written = ", ".join(f'{key} = "{value}"' for key, value in jwk.items())
        return f'[[participant]]\nid = "{name}"\nname = "{name.title()}"\nspatial = "DK"\nkeys = [{{ {written} }}]\n'

    def token(self, **changes: object) -> str:
        """Return a token of Aarhus for Odense, with changed claims."""
        now = self.clock().timestamp()
        claims = {"iss": "aarhus", "sub": "aarhus", "aud": "odense", "iat": now, "exp": now + 60, "jti": "x"} | changes
        return "Bearer " + sign(self.keys["aarhus"].signing(NOW), "JWT", claims)  # type: ignore[arg-type]


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


async def test_a_partner_proves_who_it_is_and_says_what_for(two: Two) -> None:
    """DSP-007."""
    caller = await two.odense.verify(await two.aarhus.authorize("odense", RESEARCH))
    assert caller.id == "aarhus"
    assert caller.claims == {"name": "Aarhus", "spatial": "DK", "purpose": RESEARCH}
    assert caller.key == two.keys["aarhus"].signing(NOW).kid == two.odense.thumbprint("aarhus")


async def test_name_and_country_come_from_the_trust_file_and_never_from_the_token(two: Two) -> None:
    caller = await two.odense.verify(two.token(name="King of Denmark", spatial="US", role="admin"))
    assert caller.claims == {"name": "Aarhus", "spatial": "DK"}


async def test_a_token_works_once(two: Two) -> None:
    token = await two.aarhus.authorize("odense", None)
    await two.odense.verify(token)
    with pytest.raises(Unauthorized, match="used before"):
        await two.odense.verify(token)


async def test_a_token_for_a_third_party_cannot_be_passed_on(two: Two) -> None:
    with pytest.raises(Unauthorized, match="another audience"):
        await two.odense.verify(await two.aarhus.authorize("aalborg", None))


async def test_a_token_about_somebody_else_is_refused(two: Two) -> None:
    with pytest.raises(Unauthorized, match="iss and sub"):
        await two.odense.verify(two.token(sub="odense"))


async def test_a_partner_cannot_sign_as_another(two: Two) -> None:
    with pytest.raises(Unauthorized, match="signature"):
        await two.aarhus.verify(two.token(iss="odense", sub="odense", aud="aarhus"))


async def test_a_stranger_is_refused(two: Two) -> None:
    with pytest.raises(Unauthorized, match="not a participant known here"):
        await two.odense.verify(two.token(iss="stranger", sub="stranger"))


async def test_a_token_may_live_five_minutes_and_no_longer(two: Two) -> None:
    now = NOW.timestamp()
    await two.odense.verify(two.token(exp=now + 300, jti="a"))
    with pytest.raises(Unauthorized, match="lives longer than 300"):
        await two.odense.verify(two.token(exp=now + 301, jti="b"))


async def test_a_token_older_than_the_process_is_refused_because_it_may_be_a_replay(two: Two) -> None:
    old = two.token(exp=NOW.timestamp() + 300)
    two.clock.now += timedelta(seconds=31)
    restarted = TrustIdentity(two.file, two.keys["odense"], "odense", two.clock, lambda: "urn:1")
    with pytest.raises(Unauthorized, match="older than this process"):
        await restarted.verify(old)


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "iat", "exp", "jti"])
async def test_no_claim_may_be_missing(two: Two, claim: str) -> None:
    with pytest.raises(Unauthorized):
        await two.odense.verify(two.token(**{claim: None}))


@pytest.mark.parametrize("written", [None, "", "Bearer", "Bearer ", "Basic QTpC", "e30.e30.AA", '{"clientId":"aarhus"}'])
async def test_anything_but_a_bearer_token_is_refused(two: Two, written: str | None) -> None:
    with pytest.raises(Unauthorized, match="Bearer TOKEN"):
        await two.odense.verify(written)


async def test_a_partner_removed_from_the_file_is_out_at_once(two: Two) -> None:
    await two.odense.verify(two.token(jti="a"))
    two.file.write_text(two.entry("odense"))
    with pytest.raises(Unauthorized, match="not a participant"):
        await two.odense.verify(two.token(jti="b"))


async def test_a_broken_edit_changes_nothing_and_is_told(two: Two) -> None:
    two.file.write_text("[[participant]\n")
    await two.odense.verify(two.token())
    assert two.odense.problem is not None
    assert f"{two.file}:1:" in str(two.odense.problem)


def test_the_memory_of_tokens_is_bounded_forgets_what_expired_and_never_more() -> None:
    replays = Replays(at_most=2)
    replays.take("a", "1", NOW + timedelta(seconds=60), NOW)
    replays.take("a", "2", NOW + timedelta(seconds=60), NOW)
    with pytest.raises(Unavailable):
        replays.take("a", "3", NOW + timedelta(seconds=60), NOW)
    with pytest.raises(Unauthorized):
        replays.take("a", "1", NOW + timedelta(seconds=60), NOW)
    replays.take("b", "1", NOW + timedelta(seconds=60), NOW)
    replays.take("a", "3", NOW + timedelta(seconds=122), NOW + timedelta(seconds=61))


# --- the file ------------------------------------------------------------------------------------------------------------

KEY = '{ kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }'


@pytest.mark.parametrize(
    "text, where, words",
    [
        ("[[participant]\n", "1:", "not TOML"),
        (f'\n[[participant]]\nid = "a"\nspacial = "DK"\nkeys = [{KEY}]\n', "4:", "did you mean spatial"),
        (f'[[participant]]\nid = "a"\nkeys = [{KEY}]\n[[participant]]\nid = "a"\nkeys = [{KEY}]\n', "5:", "here twice"),
        (f'[[participant]]\nid = "a"\nspatial = "Denmark"\nkeys = [{KEY}]\n', "3:", "two capital letters"),
        (f"[[participant]]\nkeys = [{KEY}]\n", "1:", "needs an id"),
        (f"[[participant]]\nid = 7\nkeys = [{KEY}]\n", "2:", "text in quotation marks"),
        ('[[participant]]\nid = "a"\n', "1:", "at least one public key"),
        ('[[participant]]\nid = "a"\nkeys = ["gone.pem"]\n', "3:", "no such key file"),
        ('[[participant]]\nid = "a"\nkeys = [{ kty = "oct", k = "AAAA" }]\n', "3:", "ES256"),
        (f'[[partner]]\nid = "a"\nkeys = [{KEY}]\n', "1:", "unknown table 'partner'"),
        (f'[participant]\nid = "a"\nkeys = [{KEY}]\n', "1:", "two brackets"),
    ],
)
def test_a_wrong_line_in_the_trust_file_is_named_with_what_to_write(
    tmp_path: Path, text: str, where: str, words: str
) -> None:
    file = tmp_path / "trust.toml"
    file.write_text(text)
    with pytest.raises(InvalidFiles) as error:
        read_trust(file)
    assert f"{file}:{where}" in str(error.value)
    assert words in str(error.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "trust.toml"
    file.write_text('[[participant]]\nspatial = "x"\nfoo = 1\n')
    with pytest.raises(InvalidFiles) as error:
        read_trust(file)
    assert len(error.value.problems) == 4


def test_a_key_may_be_a_jwk_a_pem_or_a_file_with_either(tmp_path: Path) -> None:
    key = Keys.generate(tmp_path / "keys", NOW).signing(NOW)
    pem = key.jwk.export_to_pem().decode()
    (tmp_path / "odense.pem").write_text(pem)
    (tmp_path / "odense.jwk").write_text(json.dumps(key.public()))
    file = tmp_path / "trust.toml"
    file.write_text(f'[[participant]]\nid = "a"\nkeys = ["odense.pem", "odense.jwk", {KEY}, """{pem}"""]\n')
    kids = [key.kid for key in read_trust(file)["a"].keys]
    assert kids == [key.kid, key.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", key.kid]
