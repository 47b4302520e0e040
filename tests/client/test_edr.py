"""The EDR that the client pulls with: its token is valid at that moment, however long the transfer has been open."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from connector.client import aio
from connector.config import Data
from tests.pair.conftest import publish, running, settings


async def test_a_token_that_is_about_to_expire_is_renewed_before_it_is_handed_out(tmp_path: Path) -> None:
    odense = settings(tmp_path / "odense", "odense", data=Data(token_lifetime=timedelta(seconds=20)))
    publish(odense.root, "open", "open")
    async with (
        running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair,
        aio.connect(pair.consumer.management_url) as here,
    ):
        transfer = aio.Transfer(here.api, await pair.started(await pair.agreement("open")))
        first, second = await transfer.edr(), await transfer.edr()
    assert first.authorization != second.authorization
