"""Two connectors, from the catalogue to the last byte: what every user of the product does first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from connector.client.aio import connect
from connector.client.wire import objects, text
from connector.config import Deciding
from connector.dsp.process import CauseCode
from connector.errors import Conflict
from connector.odrl.model import Json, Policy, Rule, RuleKind
from connector.odrl.read import policy as read_policy
from connector.odrl.terms import USE

from .conftest import ROWS, Pair, publish, running, settings, until

RESEARCH = "https://w3id.org/dpv/legal/eu/ehds#HealthcareScientificResearch"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def pull(http: aiohttp.ClientSession, pair: Pair, transfer: str) -> tuple[int, bytes]:
    found = await pair.consumer.transfers.get(transfer)
    assert found.data_address is not None
    endpoint, token = found.data_address.get("endpoint"), found.data_address.get("authorization")
    assert endpoint
    assert token
    async with http.get(endpoint, headers={"Authorization": token}) as answer:
        return answer.status, await answer.read()


async def at_provider(pair: Pair, transfer: str) -> str:
    consumer = await pair.consumer.transfers.get(transfer)
    assert consumer.peer_pid is not None
    return consumer.peer_pid


async def test_a_dataset_goes_from_the_catalogue_to_the_last_byte(pair: Pair, http: aiohttp.ClientSession) -> None:
    catalog = await pair.consumer.catalogs.request("odense", pair.address)
    datasets = catalog["dataset"]
    assert isinstance(datasets, list)
    assert {d["@id"] for d in datasets if isinstance(d, dict)} == {"open", "research", "twice"}
    transfer = await pair.started(await pair.agreement("open"))
    assert await pull(http, pair, transfer) == (200, ROWS)


async def test_both_sides_hold_the_same_agreement(pair: Pair) -> None:
    agreement = await pair.agreement("open")
    ours = await pair.consumer.store.read(lambda tx: tx.agreements.get(agreement))
    theirs = await pair.provider.store.read(lambda tx: tx.agreements.get(agreement))
    assert ours is not None
    assert theirs is not None
    assert (ours.policy_hash, ours.provider, ours.consumer, ours.in_force) == (
        theirs.policy_hash, "odense", "aarhus", True,
    )  # fmt: skip


async def test_a_dataset_that_could_never_be_agreed_is_not_shown_and_its_offer_is_unknown(pair: Pair) -> None:
    catalog = await pair.consumer.catalogs.request("odense", pair.address)
    assert "not-aarhus" not in str(catalog)
    hidden = next(
        offer for (id, dataset), offer in pair.provider.offerings.current._offers.items() if dataset == "not-aarhus"
    )
    pid = await pair.negotiate("not-aarhus", terms=hidden.policy)
    ended = await until(pair.consumer.negotiations.get, pid, "TERMINATED")
    assert ended.cause is not None
    assert ended.cause.code is CauseCode.PEER_REFUSED


async def test_the_wrong_purpose_ends_the_negotiation_with_a_typed_cause_on_both_sides(pair: Pair) -> None:
    pid = await pair.negotiate("research", purpose="https://w3id.org/dpv#Marketing")
    ours = await until(pair.consumer.negotiations.get, pid, "TERMINATED")
    assert ours.peer_pid is not None
    theirs = await until(pair.provider.negotiations.get, ours.peer_pid, "TERMINATED")
    assert ours.cause is not None
    assert theirs.cause is not None
    assert (ours.cause.code, theirs.cause.code) == (CauseCode.PEER_TERMINATED, CauseCode.POLICY)
    assert "purpose" in ours.cause.detail


async def test_the_right_purpose_is_frozen_into_the_agreement_of_both_sides(pair: Pair) -> None:
    agreement = await pair.agreement("research", purpose=RESEARCH)
    for side in (pair.consumer, pair.provider):
        held = await side.store.read(lambda tx: tx.agreements.get(agreement))
        assert held is not None
        assert held.purpose == RESEARCH


async def test_other_terms_are_answered_with_the_offer_and_wait_for_a_person(pair: Pair) -> None:
    ours = await pair.offer("research")
    wider = replace(ours, rules=tuple(replace(rule, constraints=()) for rule in ours.rules))
    pid = await pair.negotiate("research", purpose=RESEARCH, terms=wider)
    offered = await until(pair.consumer.negotiations.get, pid, "OFFERED")
    assert offered.waiting is not None
    assert "purpose" in offered.waiting
    await pair.consumer.negotiations.approve(pid)
    await until(pair.consumer.negotiations.get, pid, "FINALIZED")


async def test_two_people_bargain_with_counter_offers_from_both_sides(tmp_path: Path) -> None:
    """Aarhus asks for more than is offered; Odense says how often, Aarhus says how often instead, Odense agrees."""
    odense = settings(tmp_path / "odense", "odense", deciding=Deciding(approval="manual"))
    publish(odense.root, "twice", "twice")

    def terms(offer: Policy, uses: int) -> dict[str, Json]:
        constraint: Json = {"leftOperand": "count", "operator": "lteq", "rightOperand": str(uses)}
        rule: Json = {"action": "use", "constraint": [constraint]}
        named: dict[str, Json] = {"@type": "Offer", "@id": offer.uid, "assigner": "odense", "target": "twice"}
        return {"policy": {"@context": "http://www.w3.org/ns/odrl.jsonld", **named, "permission": [rule]}}

    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        offer = await pair.offer("twice")
        pid = await pair.negotiate("twice", terms=replace(offer, rules=(Rule(RuleKind.PERMISSION, USE),)))
        theirs = (await until(pair.consumer.negotiations.get, pid, "REQUESTED")).peer_pid
        assert theirs is not None
        async with connect(pair.provider.management_url) as here, connect(pair.consumer.management_url) as there:
            await here.api.post("contractnegotiations", theirs, "counter", body=terms(offer, 3))
            offered = await until(pair.consumer.negotiations.get, pid, "OFFERED")
            assert "count" in str(offered.waiting)
            await there.api.post("contractnegotiations", pid, "counter", body=terms(offer, 5))
            asked = await until(pair.provider.negotiations.get, theirs, "REQUESTED")
            assert "5" in str(asked.waiting)
            await here.api.post("contractnegotiations", theirs, "approve")
            await until(pair.consumer.negotiations.get, pid, "FINALIZED")
            agreed = await there.api.get("contractnegotiations", pid, "agreement")
    (permission,) = objects(agreed["policy"]["permission"])
    assert [text(one["rightOperand"]) for one in objects(permission["constraint"])] == ["5"]


async def test_unknown_terms_end_the_negotiation_and_are_named(pair: Pair) -> None:
    ours = await pair.offer("open")
    strange = read_policy(
        {"@type": "Offer", "@id": ours.uid, "target": "open", "permission": [{"action": "use", "constraint": [
            {"leftOperand": "urn:example:moonPhase", "operator": "eq", "rightOperand": "full"}]}]}
    )  # fmt: skip
    ended = await until(pair.consumer.negotiations.get, await pair.negotiate("open", terms=strange), "TERMINATED")
    assert ended.cause is not None
    assert "moonPhase" in ended.cause.detail


async def test_a_provider_can_begin_with_an_offer(pair: Pair) -> None:
    offer = next(o for (_, dataset), o in pair.provider.offerings.current._offers.items() if dataset == "open")
    begun = await pair.provider.negotiations.offer("aarhus", pair.consumer.public_url + "/dsp/2025-1", offer.policy)
    theirs = await until(pair.provider.negotiations.get, begun.id, "OFFERED")
    assert theirs.peer_pid is not None
    await pair.consumer.negotiations.approve(theirs.peer_pid)
    await until(pair.provider.negotiations.get, begun.id, "FINALIZED")


async def test_suspension_kills_the_token_and_resumption_gives_a_new_one(pair: Pair, http: aiohttp.ClientSession) -> None:
    transfer = await pair.started(await pair.agreement("open"))
    old = await pair.consumer.transfers.get(transfer)
    await pair.provider.transfers.suspend(await at_provider(pair, transfer), "maintenance")
    assert (await pull(http, pair, transfer))[0] in (401, 403)
    await until(pair.consumer.transfers.get, transfer, "SUSPENDED")
    await until(pair.provider.transfers.get, await at_provider(pair, transfer), "SUSPENDED")
    await pair.provider.transfers.resume(await at_provider(pair, transfer))
    new = await until(pair.consumer.transfers.get, transfer, "STARTED")
    assert await pull(http, pair, transfer) == (200, ROWS)
    assert old.data_address is not None
    stale = old.data_address.get("authorization") or ""
    async with http.get(old.data_address.get("endpoint") or "", headers={"Authorization": stale}) as answer:
        assert answer.status in (401, 403)
    assert new.current == "STARTED"


async def test_a_consumer_that_resumes_gets_a_new_token_from_the_provider(pair: Pair, http: aiohttp.ClientSession) -> None:
    transfer = await pair.started(await pair.agreement("open"))
    theirs = await at_provider(pair, transfer)
    await until(pair.provider.transfers.get, theirs, "STARTED")
    await pair.consumer.transfers.suspend(transfer, "no room")
    for side, pid in ((pair.consumer, transfer), (pair.provider, theirs)):
        await until(side.transfers.get, pid, "SUSPENDED")
    assert (await pull(http, pair, transfer))[0] in (401, 403)
    await pair.consumer.transfers.resume(transfer)
    async with asyncio.timeout(10):
        while (await pull(http, pair, transfer)) != (200, ROWS):
            await asyncio.sleep(0.005)
    for side, pid in ((pair.consumer, transfer), (pair.provider, theirs)):
        await until(side.transfers.get, pid, "STARTED")


@pytest.mark.parametrize("end", ["terminate", "complete"])
async def test_the_consumers_end_closes_the_data(pair: Pair, http: aiohttp.ClientSession, end: str) -> None:
    transfer = await pair.started(await pair.agreement("open"))
    started = await pair.consumer.transfers.get(transfer)
    assert started.data_address is not None
    theirs = await at_provider(pair, transfer)
    ending = pair.consumer.transfers
    await (ending.complete(transfer) if end == "complete" else ending.terminate(transfer, "done"))
    await until(pair.provider.transfers.get, theirs, "COMPLETED" if end == "complete" else "TERMINATED")
    token = started.data_address.get("authorization") or ""
    async with http.get(started.data_address.get("endpoint") or "", headers={"Authorization": token}) as answer:
        assert answer.status in (401, 403)


async def test_the_third_use_of_two_is_denied(pair: Pair, http: aiohttp.ClientSession) -> None:
    transfer = await pair.started(await pair.agreement("twice"))
    held = await pair.consumer.transfers.get(transfer)
    assert held.data_address is not None
    token, endpoint = held.data_address.get("authorization") or "", held.data_address.get("endpoint") or ""
    statuses = []
    for _ in range(3):
        async with http.get(endpoint, headers={"Authorization": token}) as answer:
            statuses.append(answer.status)
            await answer.read()
    assert statuses == [200, 200, 403]


async def test_a_retired_agreement_ends_its_transfers_and_allows_no_more(pair: Pair) -> None:
    agreement = await pair.agreement("open")
    transfer = await pair.started(agreement)
    await pair.provider.transfers.end_agreement(agreement, "the ethics vote was withdrawn")
    ended = await until(pair.consumer.transfers.get, transfer, "TERMINATED")
    assert ended.cause is not None
    assert "ethics vote" in ended.cause.detail
    again = await pair.consumer.transfers.request(agreement)
    refused = await until(pair.consumer.transfers.get, again.id, "TERMINATED")
    assert refused.cause is not None
    assert refused.cause.code is CauseCode.PEER_REFUSED


async def test_a_transfer_ends_when_the_time_of_its_agreement_is_over(tmp_path: Path) -> None:
    odense = settings(tmp_path / "odense", "odense")
    from datetime import UTC, datetime, timedelta

    end = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    publish(
        odense.root, "brief",
        "permission:\n  - action: use\n    constraint:\n"
        f'      - leftOperand: dateTime\n        operator: lt\n        rightOperand: "{end}"\n',
    )  # fmt: skip
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        transfer = await pair.started(await pair.agreement("brief"))
        ended = await until(pair.consumer.transfers.get, transfer, "TERMINATED")
        assert ended.cause is not None
        assert "expired" in ended.cause.detail


async def test_with_manual_approval_nothing_is_agreed_before_a_person_says_so(tmp_path: Path) -> None:
    odense = settings(tmp_path / "odense", "odense", deciding=Deciding(approval="manual"))
    publish(odense.root, "open", "open")
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        pid = await pair.negotiate("open")
        ours = await until(pair.consumer.negotiations.get, pid, "REQUESTED")
        assert ours.peer_pid is not None
        theirs = await pair.provider.negotiations.get(ours.peer_pid)
        assert theirs.waiting == "approve the agreement"
        await pair.provider.negotiations.approve(ours.peer_pid)
        await until(pair.consumer.negotiations.get, pid, "FINALIZED")
        with pytest.raises(Conflict):
            await pair.provider.negotiations.approve(ours.peer_pid)


async def test_many_at_once_all_end_alike(pair: Pair) -> None:
    pids = await asyncio.gather(*(pair.negotiate("open") for _ in range(40)))
    done = await asyncio.gather(*(until(pair.consumer.negotiations.get, pid, "FINALIZED", 30) for pid in pids))
    assert len({n.agreement_id for n in done}) == 40  # type: ignore[attr-defined]
