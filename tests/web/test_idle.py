"""Connections that nobody uses are given back: anyone on the network may open them, and there is an end to how many."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from connector import app
from tests.pair.conftest import settings

HALF = b"POST /dsp/2025-1/catalog/request HTTP/1.1\r\nHost: odense\r\nX-Slow: a"
WHOLE = b"GET /.well-known/dspace-version HTTP/1.1\r\nHost: odense\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", HALF, WHOLE, WHOLE + HALF], ids=["nothing", "half", "whole", "whole and a half"])
async def test_a_connection_without_a_whole_request_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(app, "IDLE", timedelta(seconds=0.3))
    async with app.build(settings(tmp_path, "odense")) as connector:
        address = urlsplit(connector.public_url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(sent)
        async with asyncio.timeout(5):
            while await reader.read(1 << 16):
                pass
        writer.close()
