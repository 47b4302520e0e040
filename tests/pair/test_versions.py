"""Older versions of the protocol between the same two connectors: one model, and what is begun in one goes on in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from connector.dsp import dialects
from connector.dsp.dialects import DIALECTS, NEWEST, Dialect
from connector.errors import Malformed
from connector.odrl.model import Policy, PolicyKind
from connector.odrl.read import policy as read_policy

from .conftest import ROWS, Pair, until

OLDER = [dialect for dialect in DIALECTS if dialect is not NEWEST]
NAMES = ["2024-1", "0.8"]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def at(pair: Pair, dialect: Dialect) -> str:
    return dialect.address(pair.address)


async def offer(pair: Pair, dialect: Dialect, dataset: str) -> Policy:
    found = await pair.consumer.catalogs.dataset("odense", at(pair, dialect), dataset, dialect.protocol)
    first: Any = found["hasPolicy"]
    return replace(read_policy(first[0], kind=PolicyKind.OFFER), target=dataset)


async def agreed(pair: Pair, dialect: Dialect, dataset: str = "open", **more: Any) -> Any:
    begun = await pair.consumer.negotiations.request(
        "odense", at(pair, dialect), await offer(pair, dialect, dataset), protocol=dialect.protocol, **more
    )
    return await until(pair.consumer.negotiations.get, begun.id, "FINALIZED")


async def pulled(http: aiohttp.ClientSession, pair: Pair, transfer: str) -> bytes:
    address = (await pair.consumer.transfers.get(transfer)).data_address
    assert address is not None
    headers = {"Authorization": address.get("authorization") or ""}
    async with http.get(address.get("endpoint") or "", headers=headers) as answer:
        assert answer.status == 200
        return await answer.read()


@pytest.mark.parametrize("dialect", OLDER, ids=NAMES)
async def test_from_the_catalogue_to_the_last_byte(pair: Pair, http: aiohttp.ClientSession, dialect: Dialect) -> None:
    """DSP-100, DSP-102: both sides hold the version, and every address they give each other is that version's."""
    done = await agreed(pair, dialect)
    begun = await pair.consumer.transfers.request(done.agreement_id)
    started = await until(pair.consumer.transfers.get, begun.id, "STARTED")
    assert await pulled(http, pair, begun.id) == ROWS
    theirs = await pair.provider.transfers.get(started.peer_pid or "")
    negotiated = await pair.provider.negotiations.get(done.peer_pid)
    assert {p.protocol for p in (done, started, theirs, negotiated)} == {dialect.protocol}
    assert {theirs.peer_address, negotiated.peer_address} == {dialect.address(pair.consumer.public_url + "/dsp/2025-1")}
    await pair.provider.transfers.suspend(theirs.id, "maintenance")
    await until(pair.consumer.transfers.get, begun.id, "SUSPENDED")
    await pair.consumer.transfers.resume(begun.id)
    await until(pair.provider.transfers.get, theirs.id, "STARTED")
    await pair.consumer.transfers.complete(begun.id)
    await until(pair.provider.transfers.get, theirs.id, "COMPLETED")


@pytest.mark.parametrize("dialect", OLDER, ids=NAMES)
async def test_the_catalogue_says_the_same_in_every_version(pair: Pair, dialect: Dialect) -> None:
    """What differs is where to go on from there (DSP-042), and the assigner that 2024-1 asks for."""
    newest = await pair.consumer.catalogs.request("odense", pair.address)
    older = await pair.consumer.catalogs.request("odense", at(pair, dialect), protocol=dialect.protocol)
    spec = {"filterExpression": [{"operandLeft": "id", "operator": "=", "operandRight": "twice"}], "limit": 5}
    one = await pair.consumer.catalogs.request("odense", at(pair, dialect), spec, dialect.protocol)

    def offers(catalog: Any) -> dict[str, list[str]]:
        return {d["@id"]: [policy["@id"] for policy in d["hasPolicy"]] for d in catalog["dataset"]}

    def addresses(catalog: Any) -> set[str]:
        services = [s for d in catalog["dataset"] for s in (e["accessService"] for e in d["distribution"])]
        return {service["endpointURL"] for service in [*services, *catalog["service"]]}

    assert offers(older) == offers(newest)
    assert offers(one) == {"twice": offers(newest)["twice"]}
    assert addresses(older) == {at(pair, dialect)}
    assert older["participantId"] == newest["participantId"] == "odense"
    assert all(p["assigner"] == "odense" for d in older["dataset"] for p in d["hasPolicy"])  # type: ignore[union-attr,index,call-overload]


async def test_versions_mix_between_the_same_two(pair: Pair, http: aiohttp.ClientSession) -> None:
    """A transfer may speak another version than the negotiation of its agreement; each keeps its own."""
    older = OLDER[0]
    done = await agreed(pair, older)
    begun = await pair.consumer.transfers.request(done.agreement_id, address=pair.address, protocol=NEWEST.protocol)
    assert (await until(pair.consumer.transfers.get, begun.id, "STARTED")).protocol == NEWEST.protocol
    assert await pulled(http, pair, begun.id) == ROWS
    with pytest.raises(Malformed, match="counterPartyAddress is missing"):
        await pair.consumer.transfers.request(done.agreement_id, protocol=NEWEST.protocol)


async def test_what_began_in_one_version_does_not_go_on_in_another(pair: Pair, http: aiohttp.ClientSession) -> None:
    """DSP-102, DSP-103."""
    done = await agreed(pair, OLDER[0])
    body = {
        "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@type": "ContractNegotiationTerminationMessage",
        "consumerPid": done.id, "providerPid": done.peer_pid, "code": "1", "reason": ["no"],
    }  # fmt: skip
    headers = {"Authorization": '{"region":"eu","clientId":"aarhus","audience":"x"}'}
    url = f"{pair.address}/negotiations/{done.peer_pid}/termination"
    async with http.post(url, json=body, headers=headers) as answer:
        assert answer.status == 400
        assert "dataspace-protocol-http:2024/1" in (await answer.json())["reason"][0]


async def test_a_message_of_another_version_means_nothing_at_a_versions_address(
    pair: Pair, http: aiohttp.ClientSession
) -> None:
    """DSP-100: a namespace is never taken for another, and the refusal is in the words of the path."""
    headers = {"Authorization": '{"region":"eu","clientId":"aarhus","audience":"x"}'}
    body = {"@context": {"dspace": "https://w3id.org/dspace/2025/1/"}, "@type": "dspace:CatalogRequestMessage"}
    async with http.post(at(pair, OLDER[0]) + "/catalog/request", json=body, headers=headers) as answer:
        refusal = await answer.json()
        assert (answer.status, refusal["@type"]) == (400, "dspace:CatalogError")
    assert "https://w3id.org/dspace/2024/1/" in refusal["dspace:reason"][0]


async def test_a_refusal_is_understood_and_ends_the_negotiation(pair: Pair) -> None:
    older = OLDER[0]
    unknown = replace(await offer(pair, older, "open"), uid="urn:uuid:no-such-offer")
    begun = await pair.consumer.negotiations.request("odense", at(pair, older), unknown, protocol=older.protocol)
    ended = await until(pair.consumer.negotiations.get, begun.id, "TERMINATED")
    assert ended.cause is not None
    assert "request the catalog again" in ended.cause.detail


async def test_terms_survive_the_older_words(pair: Pair) -> None:
    """A purpose that the policy asks for is asked for in 2024-1 as well: refused without, agreed with."""
    older = OLDER[0]
    without = await pair.consumer.negotiations.request(
        "odense", at(pair, older), await offer(pair, older, "research"), protocol=older.protocol
    )
    assert (await until(pair.consumer.negotiations.get, without.id, "TERMINATED")).cause is not None
    purpose = "https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch"
    assert (await agreed(pair, older, "research", purpose=purpose)).agreement_id


async def test_a_provider_begins_in_an_older_version(pair: Pair) -> None:
    older = OLDER[0]
    ours = next(o for (_, dataset), o in pair.provider.offerings.current._offers.items() if dataset == "open")
    base = older.address(pair.consumer.public_url + "/dsp/2025-1")
    begun = await pair.provider.negotiations.offer("aarhus", base, ours.policy, protocol=older.protocol)
    offered = await until(pair.provider.negotiations.get, begun.id, "OFFERED")
    await pair.consumer.negotiations.approve(offered.peer_pid or "")
    assert (await until(pair.provider.negotiations.get, begun.id, "FINALIZED")).protocol == older.protocol


async def test_every_version_is_announced_in_the_spellings_that_peers_look_for(
    pair: Pair, http: aiohttp.ClientSession
) -> None:
    """EDC 0.15.1 writes `2024/1` and `v0.8`; the specification `2024-1`."""
    async with http.get(pair.provider.public_url + "/.well-known/dspace-version") as answer:
        entries = (await answer.json())["protocolVersions"]
    assert [(entry["version"], entry["path"]) for entry in entries] == [
        ("2025-1", "/dsp/2025-1"), ("2024-1", "/dsp/2024-1"), ("2024/1", "/dsp/2024-1"), ("v0.8", "/dsp"), ("0.8", "/dsp"),
    ]  # fmt: skip
    assert dialects.of("dataspace-protocol-http:2024-1") is dialects.of("dataspace-protocol-http:2024/1")
