"""QuerySpec: paging, sorting and filters on every field that is shown (management-api.md, QuerySpec and states)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.dsp.messages import Kind, Role
from connector.dsp.negotiation import State as N
from connector.dsp.offering import EDC
from connector.dsp.process import Cause, CauseCode
from connector.dsp.transfer import State as T
from tests.store.records import agreement, negotiation, transfer
from tests.web.management_rig import NOW, PEER, US, Rig, asset, criterion, definition, policy

NEGOTIATIONS = (
    negotiation("n1", peer=PEER, peer_pid="p1", state=N.REQUESTED, pending=Kind.AGREE, role=Role.PROVIDER),
    negotiation("n2", peer=PEER, peer_pid="p2", state=N.REQUESTED, role=Role.PROVIDER, dataset_id="heart"),
    negotiation("n3", peer="urn:b", peer_pid="p3", state=None, pending=Kind.REQUEST, role=Role.CONSUMER),
    negotiation("n4", peer="urn:b", peer_pid="p4", state=N.FINALIZED, role=Role.CONSUMER, agreement_id="a1"),
    negotiation(
        "n5", peer="urn:b", peer_pid="p5", state=N.TERMINATED, role=Role.CONSUMER,
        cause=Cause(CauseCode.DEADLINE, "nothing moved it", Role.CONSUMER),
    ),
)  # fmt: skip
TRANSFERS = (
    transfer("t1", peer=PEER, peer_pid="p1", state=T.STARTED),
    transfer("t2", peer=PEER, peer_pid="p2", state=T.SUSPENDED, pending=Kind.START, role=Role.CONSUMER),
    transfer("t3", peer=PEER, peer_pid="p3", state=T.COMPLETED, agreement_id="a2"),
)


@pytest.fixture
async def full(api: Rig) -> AsyncIterator[Rig]:
    older = [replace(n, created_at=NOW - timedelta(hours=i)) for i, n in enumerate(NEGOTIATIONS)]
    agreements = [agreement("a1", provider=PEER, consumer=US), agreement("a2", negotiation_id="n9", dataset_id="heart")]
    await api.put(negotiations=older, transfers=TRANSFERS, agreements=agreements)
    for i in range(3):
        await api.ok("POST", "/assets", asset(f"set-{i}", topic=f"t{i}", size=10 - i, tags=["a", f"b{i}"]))
    return api


async def asked(api: Rig, family: str, *filters: dict[str, Any], **more: Any) -> list[str]:
    body = {"filterExpression": list(filters), **more}
    return [item["@id"] for item in await api.ok("POST", f"/{family}/request", body)]


@pytest.mark.parametrize(
    "left, operator, right, found",
    [
        ("state", "=", "REQUESTED", {"n2"}),
        ("state", "=", "AGREEING", {"n1"}),
        ("state", "=", 1200, {"n4"}),
        ("state", "=", 825, {"n1"}),
        ("state", "=", 12, set()),
        ("state", "in", ["FINALIZED", 1400], {"n4", "n5"}),
        ("state", "!=", "TERMINATED", {"n1", "n2", "n3", "n4"}),
        ("state", "not in", [1200, 1400], {"n1", "n2", "n3"}),
        ("state", "<", 200, {"n3"}),
        ("state", ">=", 825, {"n1", "n4", "n5"}),
        ("state", "like", "REQUEST%", {"n2", "n3"}),
        ("id", "=", "n1", {"n1"}),
        ("@id", "in", ["n1", "n5"], {"n1", "n5"}),
        (EDC + "id", "=", "n1", {"n1"}),
        (f"'{EDC}counterPartyId'", "=", PEER, {"n1", "n2"}),
        ("counterPartyId", "=", PEER, {"n1", "n2"}),
        ("counterPartyId", "!=", PEER, {"n3", "n4", "n5"}),
        ("type", "=", "CONSUMER", {"n3", "n4", "n5"}),
        ("assetId", "=", "heart", {"n2"}),
        ("correlationId", "=", "p4", {"n4"}),
        ("contractAgreementId", "=", "a1", {"n4"}),
        ("errorDetail", "ilike", "deadline%", {"n5"}),
        ("cause.code", "=", "deadline", {"n5"}),
        ("protocol", "=", "dataspace-protocol-http:2025-1", {"n1", "n2", "n3", "n4", "n5"}),
        ("createdAt", ">", int((NOW - timedelta(hours=1, minutes=30)).timestamp() * 1000), {"n1", "n2"}),
        ("noSuchField", "=", "x", set()),
    ],
)
async def test_negotiations_are_filtered_by_what_is_shown(
    full: Rig, left: str, operator: str, right: Any, found: set[str]
) -> None:
    assert set(await asked(full, "contractnegotiations", criterion(left, operator, right))) == found


@pytest.mark.parametrize(
    "left, right, found",
    [
        ("state", 600, {"t1"}),
        ("state", "RESUMING", {"t2"}),
        ("state", 800, {"t3"}),
        ("contractId", "a2", {"t3"}),
        ("correlationId", "p2", {"t2"}),
        ("type", "CONSUMER", {"t2"}),
        ("transferType", "HttpData-PULL", {"t1", "t2", "t3"}),
    ],
)
async def test_transfers_are_filtered_by_what_is_shown(full: Rig, left: str, right: Any, found: set[str]) -> None:
    assert set(await asked(full, "transferprocesses", criterion(left, "=", right))) == found


async def test_agreements_are_filtered_by_what_is_shown(full: Rig) -> None:
    assert await asked(full, "contractagreements", criterion("assetId", "=", "heart")) == ["a2"]
    assert await asked(full, "contractagreements", criterion("providerId", "=", PEER)) == ["a1"]
    assert await asked(full, "contractagreements", criterion("inForce", "=", True)) == []


async def test_criteria_are_anded(full: Rig) -> None:
    both = criterion("counterPartyId", "=", "urn:b"), criterion("state", "in", [1200, "AGREEING"])
    assert await asked(full, "contractnegotiations", *both) == ["n4"]


async def test_without_an_order_the_newest_come_first(full: Rig) -> None:
    assert await asked(full, "contractnegotiations") == ["n1", "n2", "n3", "n4", "n5"]


@pytest.mark.parametrize("field", ["createdAt", "correlationId", "counterPartyId"])
async def test_pages_are_disjoint_and_complete_in_any_order(full: Rig, field: str) -> None:
    order = {"sortField": field, "sortOrder": "DESC"}
    whole = await asked(full, "contractnegotiations", **order)
    pages = [await asked(full, "contractnegotiations", offset=at, limit=2, **order) for at in (0, 2, 4, 6)]
    assert [id for page in pages for id in page] == whole
    assert [len(page) for page in pages] == [2, 2, 1, 0]


async def test_a_state_filter_pages_what_it_found(full: Rig) -> None:
    spec = criterion("state", "!=", "INITIAL")
    pages = [await asked(full, "contractnegotiations", spec, offset=at, limit=2) for at in (0, 2, 4)]
    assert [id for page in pages for id in page] == ["n1", "n2", "n3", "n4", "n5"]


async def test_the_default_page_has_fifty(api: Rig) -> None:
    await api.put(negotiations=[negotiation(f"n{i}", peer_pid=f"p{i}") for i in range(60)])
    assert len(await api.ok("POST", "/contractnegotiations/request")) == 50
    assert len(await api.ok("POST", "/contractnegotiations/request", {"limit": 100})) == 60
    assert len(await api.ok("POST", "/contractnegotiations/request", {"offset": 55})) == 5


@pytest.mark.parametrize(
    "left, operator, right, found",
    [
        (EDC + "topic", "=", "t1", {"set-1"}),
        (f"'{EDC}topic'", "=", "t1", {"set-1"}),
        ("id", "like", "set-%", {"set-0", "set-1", "set-2"}),
        (EDC + "id", "=", "set-2", {"set-2"}),
        (EDC + "tags", "contains", "b2", {"set-2"}),
        (EDC + "size", "<", 10, {"set-1", "set-2"}),
        ("topic", "=", "t1", set()),  # as EDC: assets are asked by full IRI
    ],
)
async def test_assets_are_filtered_by_full_iri(full: Rig, left: str, operator: str, right: Any, found: set[str]) -> None:
    assert set(await asked(full, "assets", criterion(left, operator, right))) == found


async def test_assets_are_sorted_and_paged(full: Rig) -> None:
    only = criterion("id", "like", "set-%")
    assert await asked(full, "assets", only, sortField=EDC + "size") == ["set-2", "set-1", "set-0"]
    assert await asked(full, "assets", only, sortField=EDC + "size", sortOrder="DESC", offset=1, limit=1) == ["set-1"]


async def test_policies_and_definitions_are_filtered_and_paged(api: Rig) -> None:
    for i in range(3):
        await api.ok("POST", "/policydefinitions", policy(f"p{i}"))
        await api.ok("POST", "/contractdefinitions", definition(f"d{i}", f"p{i}"))
    assert await asked(api, "policydefinitions", criterion("id", "in", ["p1", "open-use"])) == ["open-use", "p1"]
    assert await asked(api, "contractdefinitions", criterion("accessPolicyId", "=", "p2")) == ["d2"]
    assert await asked(api, "contractdefinitions", sortField="id", sortOrder="DESC", limit=2) == ["filed-offer", "d2"]


@pytest.mark.parametrize(
    "spec, field",
    [
        ({"limit": 0}, "limit"),
        ({"limit": -1}, "limit"),
        ({"limit": 10**18 * 9}, None),
        ({"limit": 1.5}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"sortOrder": "UP"}, "sortOrder"),
        ({"sortField": 5}, "sortField"),
        ({"filterExpression": "x"}, "filterExpression"),
        ({"filterExpression": [5]}, "filterExpression"),
        ({"filterExpression": [criterion("state", "=", "x")] * 101}, "filterExpression"),
        ({"filterExpression": [criterion("", "=", "x")]}, f"filterExpression/{EDC}operandLeft"),
        ({"filterExpression": [criterion("state", "~", "x")]}, f"filterExpression/{EDC}operator"),
        ({"filterExpression": [{"operandLeft": "a", "operator": "="}]}, f"filterExpression/{EDC}operandRight"),
    ],
)
async def test_a_wrong_query_is_refused_with_its_path(api: Rig, spec: dict[str, Any], field: str | None) -> None:
    for family in ("assets", "policydefinitions", "contractdefinitions", "contractnegotiations", "contractagreements",
                   "transferprocesses", "edrs"):  # fmt: skip
        status, answer = await api.call("POST", f"/{family}/request", spec)
        if field is None:
            assert status == 200
            continue
        assert (status, answer[0]["type"]) == (400, "ValidationFailure"), family
        assert answer[0]["path"] == EDC + field


@pytest.mark.parametrize("body", [None, {}, {"@context": {"@vocab": EDC}}, {"@context": {}}, {"@type": "QuerySpec"}])
async def test_an_empty_query_asks_for_everything(full: Rig, body: object) -> None:
    """management-api.md: a body of only `@context` is an empty QuerySpec; so is no body at all."""
    assert len(await full.ok("POST", "/contractnegotiations/request", body)) == 5
