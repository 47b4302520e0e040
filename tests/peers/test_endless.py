"""A provider whose catalogue never ends: each page points to the next, and each is as large as it may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import orjson
import pytest
from aiohttp import web

from connector.config import Network
from connector.errors import Unavailable
from connector.identity.participant import Participant
from connector.peers.client import HttpPeers
from connector.services import catalog
from connector.services.catalog import Catalogs
from connector.services.offerings import Offerings
from connector.store.sqlite import SqliteStore


class Anyone:
    async def verify(self, authorization: str | None) -> Participant:
        return Participant("anyone")

    async def authorize(self, audience: str, purpose: str | None) -> str:
        return "token"


async def test_a_catalogue_without_an_end_is_given_up_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "BYTES", 1_000_000)
    pages, ids = count(1), count(1)

    async def page(request: web.Request) -> web.Response:
        number = next(pages)
        dataset = {"@id": f"urn:{number}", "@type": "Dataset", "title": "x" * 100_000, "hasPolicy": [], "distribution": []}
        body = {
            "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@id": "urn:c", "@type": "Catalog",
            "participantId": "endless", "dataset": [dataset],
        }  # fmt: skip
        return web.Response(body=orjson.dumps(body), headers={"Link": f'<?page={number}>; rel="next"'})

    app = web.Application()
    app.router.add_post("/catalog/request", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    peers = HttpPeers(Network(), True, timedelta(seconds=5))
    store = SqliteStore.open(":memory:", lambda: datetime.now(UTC))
    offerings = Offerings(store, "us", "http://us/dsp")
    catalogs = Catalogs(offerings, peers, Anyone(), lambda: datetime.now(UTC), lambda: f"urn:{next(ids)}", "http://us/dsp")
    try:
        with pytest.raises(Unavailable, match="more than"):
            await catalogs.request("endless", f"http://127.0.0.1:{runner.addresses[0][1]}")
        assert next(pages) <= 12
    finally:
        await peers.close()
        await store.close()
        await runner.cleanup()
