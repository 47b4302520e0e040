"""The protocol surface as a foreign connector meets it: raw HTTP in, protocol messages out (numbers of ref/dsp.md)."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connector.app import Connector, build
from tests.pair.conftest import publish, settings

DSP = "https://w3id.org/dspace/2025/1/context.jsonld"
ME = '{"region":"eu","clientId":"me","audience":"odense"}'
SOMEBODY = ME.replace('"me"', '"somebody"')


@dataclass
class Foreign:
    """A foreign connector: sends what the test says and keeps what it is sent."""

    http: aiohttp.ClientSession
    base: str
    callback: str = ""
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request: web.Request) -> web.Response:
        self.got.append((request.path, await request.json()))
        self.arrived.set()
        return web.Response(status=200)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            await self.arrived.wait()
        self.arrived.clear()
        return self.got[-1][1]

    async def post(self, path: str, document: object, who: str | None = ME, **headers: str) -> tuple[int, Any]:
        sent = {"Content-Type": "application/json"} | headers | ({"Authorization": who} if who else {})
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        async with self.http.post(self.base + path, data=data, headers=sent) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, who: str = ME) -> tuple[int, Any]:
        async with self.http.get(self.base + path, headers={"Authorization": who}) as answer:
            return answer.status, await answer.json()

    async def offer(self, dataset: str) -> dict[str, Any]:
        status, found = await self.get(f"/catalog/datasets/{dataset}")
        assert status == 200
        return dict(found["hasPolicy"][0]) | {"target": dataset}

    def request(self, offer: dict[str, Any], pid: str = "urn:me:1", **more: object) -> dict[str, Any]:
        return message("ContractRequestMessage", consumerPid=pid, offer=offer, callbackAddress=self.callback, **more)

    async def negotiated(self, pid: str = "urn:me:1") -> tuple[str, str]:
        """Negotiate dataset `open` to the end; return the provider's pid and the agreement's id."""
        status, begun = await self.post("/negotiations/request", self.request(await self.offer("open"), pid))
        assert status == 201
        agreed = await self.next()
        both = {"consumerPid": pid, "providerPid": begun["providerPid"]}
        path = f"/negotiations/{begun['providerPid']}/agreement/verification"
        assert (await self.post(path, message("ContractAgreementVerificationMessage", **both)))[0] == 200
        assert (await self.next())["eventType"] == "FINALIZED"
        return begun["providerPid"], agreed["agreement"]["@id"]


def message(kind: str, **fields: object) -> dict[str, Any]:
    return {"@context": [DSP], "@type": kind} | fields


@pytest.fixture
async def odense(tmp_path: Path) -> AsyncIterator[Connector]:
    made = settings(tmp_path / "odense", "odense")
    for number in range(5):
        publish(made.root, f"open-{number}", "open")
    publish(made.root, "open", "open")
    publish(made.root, "research", "research")
    async with build(made) as connector:
        yield connector


@pytest.fixture
async def me(odense: Connector) -> AsyncIterator[Foreign]:
    async with aiohttp.ClientSession() as http:
        foreign = Foreign(http, odense.public_url + "/dsp/2025-1")
        app = web.Application()
        app.add_routes([web.post("/{tail:.*}", foreign.receive)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        foreign.callback = f"http://127.0.0.1:{runner.addresses[0][1]}/cb"
        yield foreign
        await runner.cleanup()


async def test_the_version_is_told_to_anyone(odense: Connector, me: Foreign) -> None:
    """DSP-012..017: unversioned, unauthenticated, root + path is the base."""
    async with me.http.get(odense.public_url + "/.well-known/dspace-version") as answer:
        entry = (await answer.json())["protocolVersions"][0]
    assert (entry["version"], entry["binding"]) == ("2025-1", "HTTPS")
    assert odense.public_url + entry["path"] == me.base


async def test_the_catalog_names_the_participant_and_its_service(me: Foreign) -> None:
    """DSP-036, DSP-038, DSP-042."""
    status, catalog = await me.post("/catalog/request", message("CatalogRequestMessage"))
    assert (status, catalog["@type"], catalog["participantId"]) == (200, "Catalog", "odense")
    assert catalog["service"][0]["endpointURL"] == me.base
    assert "open" in [dataset["@id"] for dataset in catalog["dataset"]]


async def test_pages_are_followed_by_their_links(me: Foreign) -> None:
    """DSP-047, DSP-048: first page has only next, last only previous; the same message is posted to the link."""
    asking = message("CatalogRequestMessage", filter=[{"@type": "QuerySpec", "limit": 3}])
    found, url, relations = [], me.base + "/catalog/request", []
    while url:
        async with me.http.post(url, json=asking, headers={"Authorization": ME}) as answer:
            found += [dataset["@id"] for dataset in (await answer.json())["dataset"]]
            links = answer.links
            relations.append(sorted(links))
            url = str(links["next"]["url"]) if "next" in links else ""
    assert sorted(found) == ["open", *(f"open-{n}" for n in range(5)), "research"]
    assert relations == [["next"], ["next", "previous"], ["previous"]]


async def test_a_catalog_is_compressed_only_for_who_takes_it(me: Foreign) -> None:
    """DSP-049."""
    raw = aiohttp.ClientSession(auto_decompress=False)
    async with raw:
        headers = {"Authorization": ME, "Accept-Encoding": "gzip"}
        async with raw.post(me.base + "/catalog/request", json=message("CatalogRequestMessage"), headers=headers) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert json.loads(gzip.decompress(await answer.read()))["@type"] == "Catalog"
        headers["Accept-Encoding"] = "identity"
        async with raw.post(me.base + "/catalog/request", json=message("CatalogRequestMessage"), headers=headers) as answer:
            assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    "filter",
    [["SELECT *"], [{"@type": "QuerySpec", "surprise": 1}], [{"filterExpression": [{"operandLeft": "x"}]}], [{}, {}]],
)
async def test_a_filter_we_do_not_understand_is_refused(me: Foreign, filter: list[object]) -> None:
    """DSP-031."""
    status, error = await me.post("/catalog/request", message("CatalogRequestMessage", filter=filter))
    assert (status, error["@type"]) == (400, "CatalogError")


@pytest.mark.parametrize("operand", ["x" * 900_000, "%x" * 400_000, list(range(9_000))])
async def test_a_filter_too_large_to_ask_of_every_dataset_is_refused(me: Foreign, operand: object) -> None:
    """A mebibyte of it, asked of ten thousand datasets, would keep the connector busy for minutes."""
    operator = "not in" if isinstance(operand, list) else "like"
    spec = {"filterExpression": [{"operandLeft": "id", "operator": operator, "operandRight": operand}]}
    document = {"@context": [DSP], "@type": "CatalogRequestMessage", "filter": [spec]}
    async with asyncio.timeout(5):
        status, error = await me.post("/catalog/request", document)
    assert (status, error["@type"]) == (400, "CatalogError")
    assert "4096 bytes" in error["reason"][0]


async def test_an_unknown_dataset_is_a_catalog_error(me: Foreign) -> None:
    """DSP-033..035."""
    status, error = await me.get("/catalog/datasets/urn%3Anone%2Fat%20all")
    assert (status, error["@type"], error["@context"]) == (404, "CatalogError", [DSP])


async def test_a_negotiation_goes_to_the_end_and_both_may_read_it(me: Foreign) -> None:
    """DSP-056, DSP-060, DSP-067."""
    pid, _ = await me.negotiated()
    agreement = next(m for _, m in me.got if m["@type"] == "ContractAgreementMessage")["agreement"]
    assert (agreement["assigner"], agreement["assignee"], agreement["target"]) == ("odense", "me", "open")
    status, seen = await me.get(f"/negotiations/{pid}")
    while seen["state"] == "VERIFIED":  # our answer to FINALIZED is still on its way
        status, seen = await me.get(f"/negotiations/{pid}")
    assert (status, seen["state"], seen["consumerPid"]) == (200, "FINALIZED", "urn:me:1")
    assert (await me.get(f"/negotiations/{pid}", SOMEBODY))[0] == 404


async def test_callbacks_have_one_slash_whatever_the_address_ends_with(me: Foreign) -> None:
    """DSP-010."""
    me.callback += "/"
    await me.post("/negotiations/request", me.request(await me.offer("open")))
    await me.next()
    assert me.got[0][0] == "/cb/negotiations/urn:me:1/agreement"


async def test_a_repeated_request_is_the_same_negotiation(me: Foreign) -> None:
    """DSP-053, DSP-088: by @id, and by who asks with which pid."""
    asked = me.request(await me.offer("open"), **{"@id": "urn:msg:1"})
    first = await me.post("/negotiations/request", asked)
    again = await me.post("/negotiations/request", asked)
    other_id = await me.post("/negotiations/request", asked | {"@id": "urn:msg:2"})
    assert len({answer["providerPid"] for _, answer in (first, again, other_id)}) == 1
    stranger = await me.post("/negotiations/request", asked, SOMEBODY)
    assert stranger[1]["providerPid"] != first[1]["providerPid"]


async def test_an_unknown_offer_creates_nothing(me: Foreign) -> None:
    """DSP-058."""
    offer = await me.offer("open") | {"@id": "urn:offer:invented"}
    status, error = await me.post("/negotiations/request", me.request(offer))
    assert (status, error["@type"]) == (404, "ContractNegotiationError")


@pytest.mark.parametrize(
    "address",
    ["", "ftp://x/y", "http://", "not a url", "http://[::1", "http://x/any/path?x=", "http://x/any/path#", "http://u:p@x/y"],
)
async def test_a_callback_address_that_is_none_creates_nothing(me: Foreign, address: str) -> None:
    """DSP-059."""
    me.callback = address
    status, error = await me.post("/negotiations/request", me.request(await me.offer("open")))
    assert (status, error["@type"]) == (400, "ContractNegotiationError")


async def test_an_event_from_the_wrong_side_is_an_error(me: Foreign) -> None:
    """DSP-062: FINALIZED is not the consumer's to send, ACCEPTED not where the offer is its own."""
    _, begun = await me.post("/negotiations/request", me.request(await me.offer("open")))
    await me.next()
    pid = begun["providerPid"]
    for event in ("FINALIZED", "ACCEPTED"):
        said = message("ContractNegotiationEventMessage", consumerPid="urn:me:1", providerPid=pid, eventType=event)
        status, error = await me.post(f"/negotiations/{pid}/events", said)
        assert (status, error["@type"], error["providerPid"]) == (400, "ContractNegotiationError", pid)


async def test_a_message_for_a_strangers_negotiation_finds_nothing(me: Foreign) -> None:
    """DSP-064: unknown and foreign look the same."""
    pid, _ = await me.negotiated()
    leaving = message("ContractNegotiationTerminationMessage", consumerPid="urn:me:1", providerPid=pid)
    foreign = await me.post(f"/negotiations/{pid}/termination", leaving, SOMEBODY)
    unknown = await me.post("/negotiations/urn:none/termination", leaving | {"providerPid": "urn:none"}, SOMEBODY)
    assert foreign[0] == unknown[0] == 404
    assert (await me.get(f"/negotiations/{pid}"))[1]["state"] == "FINALIZED"


async def test_after_the_end_every_message_is_an_error(me: Foreign) -> None:
    """DSP-050, DSP-054."""
    pid, _ = await me.negotiated()
    both = {"consumerPid": "urn:me:1", "providerPid": pid}
    status, error = await me.post(
        f"/negotiations/{pid}/termination", message("ContractNegotiationTerminationMessage", **both)
    )
    assert (status, error["@type"]) == (400, "ContractNegotiationError")


async def test_an_expanded_message_is_read_like_a_compact_one(me: Foreign) -> None:
    """DSP-002: what is not in the canonical form goes through JSON-LD."""
    offer = await me.offer("open")
    odrl, dspace = "http://www.w3.org/ns/odrl/2/", "https://w3id.org/dspace/2025/1/"
    expanded = {
        "@type": dspace + "ContractRequestMessage",
        dspace + "consumerPid": {"@id": "urn:me:9"},
        dspace + "callbackAddress": me.callback,
        dspace + "offer": {
            "@id": offer["@id"], "@type": odrl + "Offer", odrl + "target": {"@id": "open"},
            odrl + "permission": [{odrl + "action": {"@id": odrl + "use"}}],
        },
    }  # fmt: skip
    status, begun = await me.post("/negotiations/request", expanded)
    assert (status, begun["consumerPid"]) == (201, "urn:me:9")


async def test_a_transfer_is_requested_once_and_started_with_an_address(me: Foreign) -> None:
    """DSP-083, DSP-085, DSP-088."""
    _, agreement = await me.negotiated()
    asked = message(
        "TransferRequestMessage", consumerPid="urn:t:1", agreementId=agreement, format="HttpData-PULL",
        callbackAddress=me.callback,
    )  # fmt: skip
    status, begun = await me.post("/transfers/request", asked)
    started = await me.next()
    again = await me.post("/transfers/request", asked)
    assert (status, begun["state"], again[1]["providerPid"]) == (201, "REQUESTED", begun["providerPid"])
    properties = {p["name"].rpartition("/")[2]: p["value"] for p in started["dataAddress"]["endpointProperties"]}
    async with me.http.get(properties["endpoint"], headers={"Authorization": properties["authorization"]}) as answer:
        assert answer.status == 200
    assert (await me.post("/transfers/request", asked, SOMEBODY))[0] == 404


async def test_a_format_that_is_not_offered_is_refused(me: Foreign) -> None:
    """DSP-084."""
    _, agreement = await me.negotiated()
    asked = message(
        "TransferRequestMessage", consumerPid="urn:t:2", agreementId=agreement, format="Carrier-PIGEON",
        callbackAddress=me.callback,
    )  # fmt: skip
    status, error = await me.post("/transfers/request", asked)
    assert (status, error["@type"]) == (400, "TransferError")


async def test_without_a_token_nothing_is_said(me: Foreign) -> None:
    """DSP-007."""
    for path, kind in (("/catalog/request", "CatalogError"), ("/negotiations/request", "ContractNegotiationError")):
        status, error = await me.post(path, message("CatalogRequestMessage"), None)
        assert (status, error["@type"]) == (401, kind)


async def test_only_json_is_taken(me: Foreign) -> None:
    """DSP-008: application/json, and what derives from it."""
    body = message("CatalogRequestMessage")
    assert (await me.post("/catalog/request", body, **{"Content-Type": "text/plain"}))[0] == 415
    assert (await me.post("/catalog/request", body, **{"Content-Type": "application/ld+json"}))[0] == 200


async def test_one_correlation_id_goes_from_the_peers_message_to_the_audit_log(odense: Connector, me: Foreign) -> None:
    asked = me.request(await me.offer("open"))
    _, begun = await me.post("/negotiations/request", asked, **{"X-Correlation-Id": "from-the-peer"})
    await me.next()
    rows = await odense.store.read(lambda tx: tx.audit.of_subject(begun["providerPid"]))
    assert {row.correlation_id for row in rows} == {"from-the-peer"}


async def test_a_protected_term_cannot_be_given_another_meaning(me: Foreign) -> None:
    """DSP-005: a context that redefines a term of the protocol fails instead of renaming a field."""
    asked = me.request(await me.offer("open")) | {"@context": [DSP, {"ContractRequestMessage": "urn:elsewhere:message"}]}
    status, error = await me.post("/negotiations/request", asked)
    assert (status, error["@type"]) == (400, "ContractNegotiationError")


async def test_ids_of_offers_and_agreements_are_uris_and_new_each_time(me: Foreign) -> None:
    """DSP-011, DSP-089: URIs, and every message after the first names both pids."""
    offer = await me.offer("open")
    agreements = {(await me.negotiated(f"urn:me:{n}"))[1] for n in range(2)}
    assert len(agreements) == 2
    assert all(id.startswith("urn:uuid:") for id in (offer["@id"], *agreements))
    assert all({"consumerPid", "providerPid"} <= set(said) for _, said in me.got)


@pytest.mark.parametrize("address", ["", "mailto:me@example.org", "https://"])
async def test_a_transfer_with_a_callback_address_that_is_none_is_not_begun(me: Foreign, address: str) -> None:
    """DSP-087."""
    _, agreement = await me.negotiated()
    asked = message(
        "TransferRequestMessage", consumerPid="urn:t:3", agreementId=agreement, format="HttpData-PULL",
        callbackAddress=address,
    )  # fmt: skip
    status, error = await me.post("/transfers/request", asked)
    assert (status, error["@type"]) == (400, "TransferError")
