"""The command line against two running connectors: what a researcher and an operator type, and what they get."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from connector.demo.hospitals import Hospital, founded, free_ports, gbsg2
from tests.cli.program import Ran, connector

RESEARCH = "eu-ehds:HealthcareScientificResearch"
ODENSE = "urn:connector:odense"
Pair = tuple[Hospital, Hospital]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with founded(tmp_path_factory.mktemp("pair")) as hospitals:
        yield hospitals


def fetch(aarhus: Hospital, out: Path, *more: str, purpose: str = RESEARCH, partner: str = ODENSE) -> Ran:
    return connector(
        "fetch", partner, "--dataset", "gbsg2", "--purpose", purpose, "--out", out, "--dir", aarhus.settings.root, *more
    )


def test_the_catalogue_shows_datasets_with_their_terms(pair: Pair) -> None:
    shown = connector("catalog", ODENSE, "--dir", pair[1].settings.root)
    assert shown.code == 0, shown.err
    assert "gbsg2" in shown.out
    assert "used at most 2 times" in shown.out


@pytest.mark.parametrize("form", ["id", "name", "address", "base", "older"])
def test_a_partner_may_be_named_in_any_way(pair: Pair, form: str) -> None:
    odense, aarhus = pair
    url = odense.settings.public.url
    forms = {"address": url, "base": odense.as_peer.address, "older": f"{url}/dsp/2024-1"}
    named = {"id": ODENSE, "name": "Odense", **forms}[form]
    shown = connector("catalog", named, "--dir", aarhus.settings.root, "--json")
    assert shown.document["participantId"] == ODENSE


def test_fetch_brings_the_data_and_prints_the_agreement(pair: Pair, tmp_path: Path) -> None:
    got = fetch(pair[1], tmp_path / "trial.csv", "--json")
    assert got.code == 0, got.err
    assert (tmp_path / "trial.csv").read_bytes() == gbsg2().read_bytes()
    assert got.document["out"]["sha256"] == sha256(gbsg2().read_bytes()).hexdigest()
    assert any("used at most 2 times" in line for line in got.document["agreement"]["terms"])
    agreement = got.document["agreement"]["agreement"]
    for hospital in pair:
        shown = connector("agreements", "show", agreement, "--dir", hospital.settings.root)
        assert f"provider  {ODENSE}" in shown.out
    state = connector("transfers", "show", got.document["transfer"], "--dir", pair[1].settings.root, "--json")
    assert state.document["state"] == "COMPLETED"


def test_the_wrong_purpose_is_refused_with_exit_code_3_and_leaves_no_file(pair: Pair, tmp_path: Path) -> None:
    got = fetch(pair[1], tmp_path / "trial.csv", purpose="dpv:Marketing")
    assert got.code == 3
    assert "purpose" in got.err
    assert list(tmp_path.iterdir()) == []
    story = next(word for word in got.err.split("`") if word.startswith("connector negotiations show"))
    shown = connector(*story.split()[1:], "--dir", pair[1].settings.root)
    assert "TERMINATED" in shown.out
    assert "negotiations.received" in shown.out


def test_a_dataset_that_is_not_there_is_named_in_the_error(pair: Pair, tmp_path: Path) -> None:
    got = connector("fetch", ODENSE, "--dataset", "none", "--out", tmp_path / "x", "--dir", pair[1].settings.root, "--json")
    assert got.code == 1
    assert "no dataset none" in got.document["error"]["message"]


def test_a_partner_that_does_not_know_us_is_exit_code_3(pair: Pair, tmp_path: Path) -> None:
    """Aarhus at another id than the one that Odense trusts."""
    root = tmp_path / "stranger"
    ignored = shutil.ignore_patterns("*.sqlite*", "*.lock", "log")
    shutil.copytree(pair[1].settings.root, root, ignore=ignored)
    toml = (root / "connector.toml").read_text().replace("urn:connector:aarhus", "urn:connector:stranger")
    (root / "connector.toml").write_text(toml)
    public, private = map(str, free_ports(2))
    ports = {"CONNECTOR_PUBLIC_PORT": public, "CONNECTOR_MANAGEMENT_PORT": private}
    ran = connector("catalog", ODENSE, "--dir", root, **ports)
    assert (ran.code, "401" in ran.err) == (3, True), ran.err


def test_negotiate_stops_at_the_agreement_and_the_operator_can_retire_it(pair: Pair) -> None:
    odense, aarhus = pair
    agreed = connector(
        "negotiate", ODENSE, "--dataset", "gbsg2", "--purpose", RESEARCH, "--dir", aarhus.settings.root, "--json"
    )
    assert agreed.code == 0, agreed.err
    listed = connector("negotiations", "list", "--state", "FINALIZED", "--dir", aarhus.settings.root, "--json").document
    assert agreed.document["negotiation"] in [one["@id"] for one in listed]
    id = agreed.document["agreement"]
    assert connector("agreements", "retire", id, "--dir", odense.settings.root).code == 0


def test_suspend_resume_and_terminate_go_through_to_the_partner(pair: Pair, tmp_path: Path) -> None:
    _, aarhus = pair
    kept = fetch(aarhus, tmp_path / "trial.csv", "--keep", "--json")
    assert kept.code == 0, kept.err
    transfer = kept.document["transfer"]
    for verb, state in (("suspend", "SUSPENDED"), ("resume", "STARTED"), ("terminate", "TERMINATED")):
        done = connector("transfers", verb, transfer, "--dir", aarhus.settings.root)
        assert done.code == 0, done.err
        assert aarhus.api.wait("transferprocesses", transfer, frozenset({state}), 10) == state
    again = connector("transfers", "resume", transfer, "--dir", aarhus.settings.root)
    assert again.code == 1
    assert "Traceback" not in again.err


def test_a_partner_that_does_not_answer_is_exit_code_4(pair: Pair) -> None:
    ran = connector("catalog", "http://127.0.0.1:1", "--peer", ODENSE, "--dir", pair[1].settings.root)
    assert ran.code == 4
    assert "does not answer" in ran.err


def test_an_address_that_nobody_vouches_for_asks_whose_it_is(pair: Pair, tmp_path: Path) -> None:
    ran = connector("catalog", pair[1].settings.public.url, "--dir", pair[1].settings.root)
    assert ran.code == 2
    assert "--peer" in ran.err


def test_show_tells_that_the_partner_does_not_answer_and_when_it_is_tried_again(pair: Pair) -> None:
    aarhus = pair[1]
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/dsp/2025-1"
    offer = {"@type": "Offer", "@id": "urn:offer", "assigner": ODENSE, "target": "gbsg2", "permission": {"action": "use"}}
    asked = {"protocol": "dataspace-protocol-http:2025-1", "counterPartyAddress": nobody, "counterPartyId": ODENSE}
    policy = {"@context": "http://www.w3.org/ns/odrl.jsonld", **offer}
    id = aarhus.api.post("contractnegotiations", body={**asked, "policy": policy})["@id"]
    give_up = time.monotonic() + 10
    while "does not answer" not in (shown := connector("negotiations", "show", id, "--dir", aarhus.settings.root)).out:
        assert time.monotonic() < give_up, shown.out + shown.err
    lines = {line.split()[0]: line for line in shown.out.splitlines()[1:]}
    assert lines["correlation"].split()[1] == aarhus.api.get("contractnegotiations", id)["traceId"]
    waiting = next(line for line in shown.out.splitlines() if "on its way: request" in line)
    assert all(word in waiting for word in ("attempts=", "nextTry=", "lastError=", "cannot be reached"))
    assert connector("negotiations", "terminate", id, "--dir", aarhus.settings.root).code == 0


def test_doctor_is_content_with_a_running_pair(pair: Pair) -> None:
    seen = connector("doctor", pair[0].settings.root)
    assert seen.code == 0, seen.out
    assert "urn:connector:aarhus: answers" in seen.out


def test_fetch_without_a_running_connector_runs_one_for_the_time_being(pair: Pair, tmp_path: Path) -> None:
    """Aarhus is stopped, and its partner can call back all the same."""
    with founded(tmp_path) as (odense, aarhus):
        aarhus_root = aarhus.settings.root
        stopped = aarhus.stop()
        assert stopped == 0
        got = connector(
            "fetch", ODENSE, "--dataset", "gbsg2", "--purpose", RESEARCH, "--out", tmp_path / "x.csv", "--dir", aarhus_root
        )
        assert got.code == 0, got.err
        assert "starting it for the time of this command" in got.err
        assert (tmp_path / "x.csv").read_bytes() == gbsg2().read_bytes()
        assert odense.api.query("contractagreements")


def test_the_demo_keeps_its_promises_in_one_screen() -> None:
    began = time.monotonic()
    told = connector("demo", "--once")
    assert told.code == 0, told.out + told.err
    assert time.monotonic() - began < 30
    assert "9 of 9 promises held" in told.out
    assert len(told.out.splitlines()) <= 50
