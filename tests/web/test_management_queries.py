"""QuerySpec: paging, sorting and filters on every field that is shown (management-api.md, QuerySpec and states)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.dsp.messages import DataAddress, EndpointProperty, Kind, Role
from connector.dsp.negotiation import State as N
from connector.dsp.offering import EDC, Criterion
from connector.dsp.process import Cause, CauseCode
from connector.dsp.transfer import State as T
from connector.ports import Query
from connector.web.management import agreements, negotiations, transfers
from connector.web.management import query as query_
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


# --- every operator on every field ----------------------------------------------------------------------------------

FAMILIES = (
    "contractnegotiations", "transferprocesses", "contractagreements", "policydefinitions", "contractdefinitions", "edrs",
    "assets",
)  # fmt: skip


HIDDEN = ("@context", "properties", "privateProperties", "dataAddress", "assetsSelector")  # asked otherwise, or an array


def fields(node: Any, path: str = "") -> dict[str, Any]:
    """Return the values of an answer by the path that a query calls them; what is in an array is asked as the array."""
    found: dict[str, Any] = {}
    for name, value in node.items():
        if name in HIDDEN or (path and name.startswith("@")):
            continue
        if isinstance(value, dict):
            found |= fields(value, f"{path}{name}.")
        else:
            found[path + name] = value
    return found


def holds(value: Any, operator: str, right: Any) -> bool:
    """What management-api.md says of each operator, once more and in other words."""
    number, text = (int, float), str
    if value is None:
        return False
    if operator in ("=", "!="):
        return (value == right and isinstance(value, bool) == isinstance(right, bool)) == (operator == "=")
    if operator in ("in", "not in"):
        return any(holds(value, "=", one) for one in right) == (operator == "in")
    if operator == "contains":
        return isinstance(value, list) and right in value
    if operator in ("like", "ilike"):
        fold = str.casefold if operator == "ilike" else str
        inner = fold(right).strip("%")
        return isinstance(value, str) and (inner in fold(value) if right[:1] == "%" else fold(value).startswith(inner))
    alike = any(isinstance(value, kind) and isinstance(right, kind) for kind in (number, text))
    if not alike or isinstance(value, bool):
        return False
    return {"<": value < right, "<=": value <= right, ">": value > right, ">=": value >= right}[operator]


def questions(value: Any) -> list[tuple[str, Any]]:
    """Return what can be asked so that some answers fit and some do not."""
    if isinstance(value, list):
        return [("contains", item) for item in value if isinstance(item, str)]
    if not isinstance(value, (str, int, float)):
        return []
    asked: list[tuple[str, Any]] = [(operator, value) for operator in ("=", "!=", "<", "<=", ">", ">=")]
    asked += [(operator, [value, "another"]) for operator in ("in", "not in")]
    if isinstance(value, str):
        return [*asked, ("like", f"%{value[1:]}"), ("ilike", f"{value[:3].upper()}%"), ("like", f"%{value.upper()}%")]
    return asked


@pytest.mark.parametrize("family", FAMILIES)
async def test_every_operator_decides_every_field_as_it_is_shown(full: Rig, family: str) -> None:
    """Whether the store answers from an index, in SQL or not at all: the answer is that of the operator on what is shown."""
    address = DataAddress("urn:http", None, (EndpointProperty(EDC + "endpoint", "http://x"),))
    await full.put(transfers=[replace(TRANSFERS[1], id=f"e{i}", peer_pid=f"e{i}", data_address=address) for i in range(2)])
    for i in range(3):
        await full.ok("POST", "/policydefinitions", policy(f"p{i}"))
        await full.ok("POST", "/contractdefinitions", definition(f"d{i}", f"p{i}"))
    shown = await full.ok("POST", f"/{family}/request", {"limit": 1000})
    assert len(shown) >= 2
    values = {node["@id"]: fields(node) for node in shown}
    if family == "assets":  # their fields are their properties, by full IRI
        values = {node["@id"]: {EDC + name: value for name, value in node["properties"].items()} for node in shown}
    operators = set()
    for field in {name for fields in values.values() for name in fields if name not in ("@type", "state")}:
        for value in {str(found.get(field)): found.get(field) for found in values.values()}.values():
            for operator, right in questions(value):
                operators.add(operator)
                expected = {id for id, found in values.items() if holds(found.get(field), operator, right)}
                found = await asked(full, family, criterion(field, operator, right), limit=1000)
                assert set(found) == expected, (field, operator, right)
    assert operators >= {"=", "!=", "<", "<=", ">", ">=", "in", "not in", "like", "ilike"}


async def test_common_questions_are_answered_from_an_index(full: Rig) -> None:
    """EXPLAIN QUERY PLAN of what a UI asks all day: no table is read as a whole."""
    lines: list[str] = []

    def plans(tx: Any) -> None:
        raw = tx.negotiations._db.raw
        seen: list[str] = []
        raw.set_trace_callback(seen.append)
        for table, module, fields in INDEXED:
            for field in fields:
                right: Any = 5 if field in module.COLUMNS.times else "x"
                query_.answer(getattr(tx, table), Query((Criterion(field, "=", right),)), module.COLUMNS, module.show)
        raw.set_trace_callback(None)
        lines.extend(row[3] for sql in seen if sql.startswith("SELECT") for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}"))

    await full.store.read(plans)
    assert sum(line.startswith("SEARCH") for line in lines) == sum(len(fields) for _, _, fields in INDEXED)
    assert not [line for line in lines if line.startswith("SCAN")]


INDEXED = (
    (
        "negotiations", negotiations,
        ("@id", "counterPartyId", "assetId", "contractAgreementId", "traceId", "createdAt", "stateTimestamp"),
    ),
    (
        "transfers", transfers,
        ("@id", "counterPartyId", "assetId", "contractId", "traceId", "createdAt", "stateTimestamp"),
    ),
    ("agreements", agreements, ("@id", "assetId", "providerId", "consumerId", "negotiationId")),
)  # fmt: skip
