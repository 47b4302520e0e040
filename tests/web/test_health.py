"""Health and metrics as a monitoring system reads them: what is wrong is named, and a scrape alone keeps figures true."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession

from connector.app import build
from connector.config import Delivering, IdentitySettings, Settings
from connector.odrl.model import Policy, PolicyKind
from connector.web import health
from tests.pair.conftest import free_port, settings


@pytest.fixture
def trusting(tmp_path: Path) -> Settings:
    """A connector with an (empty) trust file."""
    (tmp_path / "trust.toml").write_text("")
    return replace(settings(tmp_path, "odense"), identity=IdentitySettings(), delivering=Delivering())


async def ready(session: ClientSession, url: str) -> tuple[int, dict[str, str], bool]:
    """Return the status of readiness, its notices, and whether the metric calls the files valid."""
    async with session.get(f"{url}/health/ready") as answer, session.get(f"{url}/metrics") as shown:
        valid = "connector_files_valid 1.0" in (await shown.text()).splitlines()
        return answer.status, (await answer.json())["notices"], valid


async def test_a_broken_edit_is_noticed_and_the_connector_serves_on(trusting: Settings) -> None:
    file = trusting.root / "trust.toml"
    async with build(trusting) as connector, ClientSession() as session:
        assert await ready(session, connector.management_url) == (200, {}, True)
        file.write_text("[[participant]\n")
        status, notices, valid = await ready(session, connector.management_url)
        assert (status, f"{file}:1:" in notices["trust"], valid) == (200, True, False)
        file.write_text("# nobody yet\n")
        assert await ready(session, connector.management_url) == (200, {}, True)


async def test_a_key_that_others_can_read_is_noticed(trusting: Settings) -> None:
    async with build(trusting) as connector, ClientSession() as session:
        loose = trusting.root / "keys" / "loose.jwk"
        loose.write_text("{}")
        loose.chmod(0o644)
        status, notices, valid = await ready(session, connector.management_url)
    assert (status, f"chmod 600 {loose}" in notices["keys"], valid) == (200, True, False)


async def test_without_a_key_that_is_valid_now_the_connector_is_not_ready(trusting: Settings) -> None:
    async with build(trusting) as connector, ClientSession() as session:
        connector.keys.rotate(timedelta(0), datetime.now(UTC) - timedelta(days=1))
        for file in (trusting.root / "keys").iterdir():
            if json.loads(file.read_text()).get("exp") is None:
                file.unlink()
        status, _, _ = await ready(session, connector.management_url)
    assert status == 503


async def test_a_scrape_alone_shows_the_messages_that_no_partner_takes(tmp_path: Path) -> None:
    odense = settings(tmp_path, "odense")
    async with build(odense) as connector, ClientSession() as session:
        offer = Policy(PolicyKind.OFFER, "urn:offer", (), target="lung")
        await connector.negotiations.request("aarhus", f"http://127.0.0.1:{free_port()}/dsp/2025-1", offer)
        async with session.get(f"{connector.management_url}/metrics") as answer:
            shown = await answer.text()
    assert "connector_outbox_messages 1.0" in shown.splitlines()


@pytest.mark.parametrize("base", ["/api", "/observability"])
async def test_edcs_checks_and_versions_are_answered_as_edc_answers(trusting: Settings, base: str) -> None:
    """management-api.md: 200 or 503 with the same body, without a key."""
    keyed = replace(trusting, management=replace(trusting.management, api_key="a key"))
    async with build(keyed) as connector, ClientSession(connector.management_url) as session:
        for probe in ("health", "readiness", "liveness", "startup"):
            async with session.get(f"{base}/check/{probe}") as answer:
                found = await answer.json()
                assert (answer.status, found["isSystemHealthy"]) == (200, True)
                assert all(part["isHealthy"] and part["component"] for part in found["componentResults"])
        async with session.get("/v1/version") as answer:
            management = (await answer.json())["management"]
            assert [row["urlPath"] for row in management] == ["/v3", "/v4"]
            assert all(row.keys() == {"version", "urlPath", "lastUpdated", "maturity"} for row in management)


def test_what_is_wrong_is_told_in_edcs_words() -> None:
    wrong, code = health.status({"store": "the disk is full", "files": None})
    assert code == 503
    assert wrong == {
        "isSystemHealthy": False,
        "componentResults": [
            {"component": "store", "isHealthy": False, "failure": {"messages": ["the disk is full"]}},
            {"component": "files", "isHealthy": True},
        ],
    }
