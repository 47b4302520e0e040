"""What EDC 0.15.1 was recorded to send, replayed to our connector as a peer's messages: it reads every one of them.

Messages are EDC's own (what was tried on EDC by hand is not), answers are all of them. The recordings stay where they are,
in `../shared/peers/edc/wire`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.dsp import codec
from connector.dsp.binding import ENDPOINTS, Endpoint
from connector.jsonld.document import normalise, normalise_catalog

WIRE = Path(__file__).parents[4] / "shared" / "peers" / "edc" / "wire"
BASE = "/protocol/2025-1"

pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="comparison with recordings in ../shared, which is not at hand")


def exchanges() -> Iterator[Any]:
    for file in sorted(WIRE.glob("*/*.json")):
        found = json.loads(file.read_text())
        for index, exchange in enumerate(found if isinstance(found, list) else [found]):
            if isinstance(exchange, dict) and isinstance(exchange.get("request"), dict):
                yield pytest.param(exchange, id=f"{file.parent.name}/{file.stem}-{index}")


def endpoint(path: str) -> Endpoint | None:
    """Return the row of the binding that a recorded path is for."""
    parts = path.removeprefix(BASE).split("/")
    for row in ENDPOINTS:
        wanted = row.path.split("/")
        same = len(wanted) == len(parts) and all(w in (p, "{pid}") for w, p in zip(wanted, parts, strict=True))
        if same and row.creates is ("{pid}" not in wanted):
            return row
    return None


RECORDED = list(exchanges())


def by_edc(exchange: dict[str, Any]) -> bool:
    return any("okhttp" in value for name, value in exchange["request"].get("headers", []) if name == "User-Agent")


@pytest.mark.parametrize("exchange", RECORDED)
async def test_a_recorded_message_is_read(exchange: dict[str, Any]) -> None:
    request = exchange["request"]
    row, body = endpoint(request.get("path", "")), request.get("body")
    if row is None or not isinstance(body, dict) or not by_edc(exchange):
        return
    document = await normalise(json.dumps(body).encode(), codec.wire_types(row.kinds))
    message = codec.read_message(document, row.kinds)
    assert message.id == body.get("@id")
    again = codec.read_message(await normalise(codec.write_message(message), codec.wire_types(row.kinds)), row.kinds)
    assert again == message, "what we write of it says the same"


@pytest.mark.parametrize("exchange", RECORDED)
async def test_a_recorded_answer_is_read(exchange: dict[str, Any]) -> None:
    answer = exchange.get("response") or {}
    body = answer.get("body")
    if not isinstance(body, dict) or "@type" not in body:
        return
    raw, kind = json.dumps(body).encode(), str(body["@type"]).rsplit(":", 1)[-1]
    if kind in ("Catalog", "Dataset"):
        assert (await normalise_catalog(raw, frozenset({kind})))["@type"] == kind
    elif kind in ("ContractNegotiation", "TransferProcess"):
        ack = codec.read_ack(raw)
        assert (ack.provider_pid, ack.state) == (body["providerPid"], body["state"])
    elif kind.endswith("Error"):
        code, reasons = codec.read_error(raw)
        assert code or reasons
