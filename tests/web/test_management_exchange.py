"""Whole exchanges over the management API: with EDC's recorded requests, and with the clients that drive EDC.

What an EDC answered to the same requests is the expected shape; the two scripts must work against us unchanged.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.app import Connector
from connector.config import Management
from connector.dsp.offering import EDC
from tests.pair.conftest import free_port, running, settings

SHARED = Path(__file__).parents[2].parent / "shared" / "peers"
TRACE, EXCHANGE, BENCH = SHARED / "edc/wire/management-trace.json", SHARED / "edc/exchange.py", SHARED / "bench/bench.py"
KEY = "a key"
CONTENT = b'{"hello": "world"}'
# fields whose values differ from one exchange to the next
OWN = {
    "createdAt",
    "contractSigningDate",
    "agreementId",
    "contractAgreementId",
    "correlationId",
    "authorization",
    "endpoint",
}
# what EDC's EDR of the older jar spells out, and what we add beside EDC's fields
EXTRA = {
    "traceId", "stateTimestamp", "policyHash", "negotiationId", "inForce", "refreshToken", "expiresIn", "refreshEndpoint",
    "refreshAudience", "deadline", "odrl:timestamp", "purpose",
}  # fmt: skip


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"../shared/peers/{path.relative_to(SHARED)} is not there")


class Exchange:
    """A provider with a key and a consumer without, on loopback, and a service whose data the provider offers."""

    def __init__(self, provider: Connector, consumer: Connector, source: str) -> None:
        self.provider, self.consumer, self.source = provider, consumer, source
        self.address = provider.public_url + "/dsp/2025-1"

    def arguments(self) -> list[str]:
        return ["--provider-dsp", self.address, "--provider-id", self.provider.settings.participant]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Exchange]:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(body=CONTENT, content_type="application/json")

    app = web.Application()
    app.router.add_get("/hello.json", hello)
    one = replace(settings(tmp_path / "one", "provider"), management=Management(port=free_port(), api_key=KEY))
    other = settings(tmp_path / "two", "consumer")
    async with TestServer(app) as source, running(one, other) as pair:
        yield Exchange(pair.provider, pair.consumer, str(source.make_url("/hello.json")))


async def script(path: Path, *arguments: str) -> dict[str, Any]:
    """Run a script to its end and return the JSON it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(path), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()[-3000:] + out.decode()[-3000:]
    return dict(json.loads(out))


@needs(EXCHANGE)
@pytest.mark.parametrize("version", ["v3", "v4beta", "v4"])
async def test_the_script_that_drives_edc_drives_us(two: Exchange, version: str) -> None:
    done = await script(
        EXCHANGE, "--version", version, "--provider-mgmt", two.provider.management_url + "/management",
        "--consumer-mgmt", two.consumer.management_url + "/management", "--source", two.source,
        "--provider-header", f"X-Api-Key={KEY}", *two.arguments(),
    )  # fmt: skip
    assert done["ok"] is True
    assert (done["pull_status"], done["bytes"]) == (200, len(CONTENT))
    assert done["pull_with_bad_token"] == 401
    assert done["pull_after_termination"] in (401, 403)


@needs(BENCH)
async def test_the_load_generator_for_edc_loads_us(two: Exchange) -> None:
    management = two.consumer.management_url + "/management/v3"
    seeded = await script(
        BENCH, "seed", "--mgmt", two.provider.management_url + "/management/v3", "--assets", "5", "--source", two.source,
        "--header", f"X-Api-Key={KEY}",
    )  # fmt: skip
    assert (seeded["n"], seeded["errors"]) == (5, 0)
    consumer = [
        "--consumer-mgmt",
        management,
        "--asset",
        "bench-0",
        "-n",
        "4",
        "-c",
        "2",
        "--singles",
        "1",
        *two.arguments(),
    ]
    for what in ("negotiate", "transfer"):
        done = await script(BENCH, what, *consumer)
        assert (done["concurrent"]["n"], done["concurrent"]["errors"]) == (4, 0), done
    pulled = await script(BENCH, "pull", *consumer, "--n-pull", "4", "--bytes", str(len(CONTENT)))
    assert (pulled["n"], pulled["errors"]) == (4, 0), pulled


@needs(TRACE)
async def test_recorded_requests_of_an_edc_client_get_answers_of_the_same_shape(two: Exchange) -> None:
    trace = json.loads(TRACE.read_text())
    known: dict[str, str] = {}  # what the recording called it -> what it is called here

    def here(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: here(item) for key, item in value.items()}
        if isinstance(value, list):
            return [here(item) for item in value]
        return known.get(value, value) if isinstance(value, str) else value

    known["http://127.0.0.1:19192/protocol/2025-1"] = two.address
    known["http://127.0.0.1:18999/hello.json"] = two.source
    async with httpx.AsyncClient(timeout=30) as http:
        for step in trace:
            base = (two.provider if step["side"] == "provider" else two.consumer).management_url
            headers = {"X-Api-Key": KEY} if step["side"] == "provider" else {}
            path = "/".join(here(part) for part in step["path"].split("/"))
            answer = await asked(http, step, base + path, here(step.get("request")), headers)
            assert answer.status_code == step["status"], (step["path"], answer.text)
            if not isinstance(step["response"], dict):
                assert answer.content == b""
                continue
            learn(known, step["response"], answer.json())
            assert shape(answer.json()) == shape(here(step["response"])), step["path"]


async def asked(
    http: httpx.AsyncClient, step: dict[str, Any], url: str, body: Any, headers: dict[str, str]
) -> httpx.Response:
    """Send a recorded request; one that asked for a state is repeated until the state is there."""
    wanted = step["response"].get("state") if step["path"].endswith("/state") else None
    async with asyncio.timeout(20):
        while True:
            answer = await http.request(step["method"], url, json=body, headers=headers)
            if wanted is None or answer.json().get("state") == wanted:
                return answer
            await asyncio.sleep(0.02)


def learn(known: dict[str, str], theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Remember what an object of the recording is called here."""
    if isinstance(theirs.get("@id"), str):
        known[theirs["@id"]] = ours["@id"]
    if "policy" in theirs:
        known[theirs["policy"]["@id"]] = ours["policy"]["@id"]
    for one, other in zip(theirs.get("dataset", []), ours.get("dataset", []), strict=False):
        known[one["hasPolicy"][0]["@id"]] = other["hasPolicy"][0]["@id"]


def shape(value: Any, key: str = "") -> Any:
    """Return an answer without what is each exchange's own: ids and instants by type, catalogues by their outline."""
    if isinstance(value, dict):
        if value.get("@type") == "Catalog":
            return sorted(dataset["@id"] for dataset in value["dataset"])
        bare = {name.removeprefix(EDC).rsplit("/", 1)[-1] if "://" in name else name: item for name, item in value.items()}
        return {name: shape(item, name) for name, item in bare.items() if name not in EXTRA and name != "@context"}
    if isinstance(value, list):
        return [shape(item) for item in value]
    if key in OWN:
        return type(value).__name__
    return value.removeprefix(EDC) if isinstance(value, str) else value
