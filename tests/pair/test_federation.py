"""The catalogues of the partners in the trust file, held and fetched behind the queries."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from connector.cli.template import trust_entry
from connector.config import Federation, IdentitySettings, Settings
from connector.identity.keys import Keys
from connector.services.federation import LAST_SEEN, ORIGINATOR
from tests.pair.conftest import publish, running, settings


def trusting(here: Settings, partner: Settings) -> None:
    """Write a trust file with one partner in it."""
    keys = Keys.load(partner.root / "keys").jwks(datetime.now(UTC))["keys"]
    address = partner.public.url + "/dsp/2025-1"
    (here.root / "trust.toml").write_text(trust_entry(partner.participant, "", "DK", address, keys))


async def test_partners_of_the_trust_file_are_in_the_federated_catalogue(tmp_path: Path) -> None:
    by_trust = {"identity": IdentitySettings()}
    odense = settings(tmp_path / "odense", "urn:odense", **by_trust)
    aarhus = settings(tmp_path / "aarhus", "urn:aarhus", federation=Federation(partners=True), **by_trust)
    publish(odense.root, "lung", "open")
    trusting(odense, aarhus)
    trusting(aarhus, odense)
    async with running(odense, aarhus) as pair, asyncio.timeout(10):
        assert not pair.provider.federation.wanted  # who does not ask for it makes no calls
        while not (held := pair.consumer.federation.catalogs()):
            await asyncio.sleep(0.02)
    (catalog,) = held
    assert catalog["participantId"] == "urn:odense"
    assert catalog[ORIGINATOR] == odense.public.url + "/dsp/2025-1"
    assert datetime.fromisoformat(str(catalog[LAST_SEEN])) <= datetime.now(UTC)
    assert [dataset["@id"] for dataset in catalog["dataset"]] == ["lung"]  # type: ignore[union-attr,index,call-overload]
