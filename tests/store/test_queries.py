"""Queries: every operator, every kind of operand, and the same answers as `dsp.criteria` gives for records in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.dsp import criteria
from connector.dsp.messages import Role
from connector.dsp.negotiation import State
from connector.dsp.offering import EDC, Asset, Criterion
from connector.errors import Malformed
from connector.ports import Query, Store
from connector.store.sqlite import SqliteStore
from tests.store.records import NOW, POLICY, agreement, at, negotiation, transfer

TOPIC, SIZE, TAGS, OPEN = EDC + "topic", EDC + "size", EDC + "tags", EDC + "open"
ASSETS = (
    Asset("lung", {TOPIC: "Lung", SIZE: 5, TAGS: ["cancer", "Ø"], OPEN: True}, {EDC + "owner": "ward 3"}, created_at=at(1)),
    Asset("breast", {TOPIC: "Bryst Ærø", SIZE: 5.5, TAGS: [], OPEN: False}, created_at=at(2)),
    Asset("heart", {TOPIC: {"@value": "heart"}, SIZE: {"@value": 80, "@type": "xsd:integer"}}, created_at=at(3)),
    Asset("empty", {TOPIC: None, EDC + "nested": {"a.b": {"c": 1}}}, {TOPIC: "private"}, created_at=at(4)),
)


async def ids(store: Store, table: str, *filters: Criterion, **query: Any) -> list[str]:
    wanted = Query(filters, **query)
    found = await store.read(lambda tx: getattr(tx, table).query(wanted))
    if not query:
        assert await store.read(lambda tx: getattr(tx, table).count(filters)) == len(found)
    return [record.id for record in found]


@pytest.fixture
async def assets(store: SqliteStore) -> SqliteStore:
    await store.transact(lambda tx: [tx.assets.put(asset) for asset in ASSETS])
    return store


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        (TOPIC, "=", "Lung", "lung"),
        (f"'{TOPIC}'", "=", "Lung", "lung"),
        ("topic", "=", "Lung", ""),  # the short name finds nothing, as in EDC
        (TOPIC, "=", "heart", "heart"),  # a JSON-LD value object is its value
        (TOPIC, "=", "private", "empty"),
        (EDC + "owner", "=", "ward 3", "lung"),
        (TOPIC, "!=", "Lung", "breast heart empty"),
        (SIZE, "=", 5, "lung"),
        (SIZE, "=", 5.0, "lung"),
        (SIZE, "=", "5", ""),  # a text is no number
        (SIZE, "!=", 5, "breast heart"),  # what is not there satisfies nothing
        (OPEN, "=", True, "lung"),
        (OPEN, "=", 1, ""),
        (OPEN, "!=", True, "breast"),
        (SIZE, ">", 5, "breast heart"),
        (SIZE, ">=", 5, "lung breast heart"),
        (SIZE, "<", 80, "lung breast"),
        (SIZE, "<=", 80, "lung breast heart"),
        (SIZE, "<", "9", ""),
        (TOPIC, "<", "C", "breast"),
        (TOPIC, "in", ["Lung", "heart"], "lung heart"),
        (TOPIC, "not in", ["Lung", "heart"], "breast empty"),
        (SIZE, "in", [5, 80], "lung heart"),
        (SIZE, "in", [], ""),
        (TOPIC, "like", "%u_g", "lung"),
        (TOPIC, "like", "lung", ""),
        (TOPIC, "ilike", "LUNG", "lung"),
        (TOPIC, "ilike", "%æRØ", "breast"),  # folds more than ASCII
        (SIZE, "like", "5", ""),
        (TOPIC, "like", "L*", ""),  # no other wildcards than % and _
        (TAGS, "contains", "cancer", "lung"),
        (TAGS, "contains", "Ø", "lung"),
        (TOPIC, "contains", "Lung", ""),
        ("id", "=", "lung", "lung"),
        (EDC + "id", "in", ["lung", "heart"], "lung heart"),
        ("@id", "like", "%r%t", "breast heart"),
        ("id", "!=", "lung", "breast heart empty"),
        (f"properties.'{TOPIC}'", "=", "Lung", "lung"),
        (f"'{EDC}nested'.'a.b'.c", "=", 1, "empty"),
        (f"'{EDC}nested'.'a.b'.c.d", "=", 1, ""),
        ("created_at", "=", "2026-03-01T12:00:01.250Z", "lung"),
        ("created_at", ">", 1772366402250, "heart empty"),
        ("created_at", "<=", "2026-03-01T13:00:02.25+01:00", "lung breast"),
        ("created_at", "in", ["2026-03-01T12:00:01.250Z", 1772366403250], "lung heart"),
    ],
)
async def test_a_criterion_finds_just_these_assets(
    assets: SqliteStore, left: str, operator: str, right: Any, expected: str
) -> None:
    """management-api.md, QuerySpec."""
    assert await ids(assets, "assets", Criterion(left, operator, right)) == expected.split()


@pytest.mark.parametrize(
    ("left", "operator", "right"),
    [
        ("id", "~", "x"),
        ("id", "LIKE", "x"),
        ("id", "= 1 OR 1", "x"),
        (TOPIC, "in", "Lung"),
        (TOPIC, "like", 5),
        ("", "=", "x"),
        ("a..b", "=", "x"),
        ("'a", "=", "x"),
        ("created_at", "=", "yesterday"),
        ("created_at", "=", "2026-03-01T12:00:00"),
    ],
)
async def test_what_is_not_a_criterion_is_malformed(assets: SqliteStore, left: str, operator: str, right: Any) -> None:
    with pytest.raises(Malformed):
        await ids(assets, "assets", Criterion(left, operator, right))


async def test_too_many_filters_are_malformed(assets: SqliteStore) -> None:
    with pytest.raises(Malformed, match="at most 100"):
        await ids(assets, "assets", *[Criterion("id", "=", "x")] * 101)


HOSTILE = ["' OR '1'='1", "x' UNION SELECT value FROM secrets --", '"; DROP TABLE assets; --', "$.a", "?", ":1", "\0", "%"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("operator", ["=", "in", "like", "<", "contains"])
async def test_no_operand_becomes_sql(assets: SqliteStore, text: str, operator: str) -> None:
    right = [text] if operator == "in" else text
    for left in ("id", TOPIC, "origin"):
        found = await ids(assets, "assets", Criterion(left, operator, right))
        assert not found or (text, operator) == ("%", "like") or operator == "<"
    for place in ("left", "sort"):
        try:
            if place == "left":
                assert await ids(assets, "assets", Criterion(text, operator, right)) == []
            else:
                assert len(await ids(assets, "assets", sort=text)) == len(ASSETS)
        except Malformed:
            pass
    assert await assets.read(lambda tx: tx.assets.count()) == len(ASSETS)


async def test_pages_follow_age_unless_told_otherwise(assets: SqliteStore) -> None:
    assert await ids(assets, "assets") == ["lung", "breast", "heart", "empty"]
    assert await ids(assets, "assets", descending=True) == ["empty", "heart", "breast", "lung"]
    assert await ids(assets, "assets", sort="id") == ["breast", "empty", "heart", "lung"]
    assert await ids(assets, "assets", sort=SIZE) == ["empty", "lung", "breast", "heart"]  # without a value: first
    assert await ids(assets, "assets", sort=f"'{SIZE}'", descending=True) == ["heart", "breast", "lung", "empty"]
    nested = f"'{EDC}nested'.'a.b'.c"
    assert await ids(assets, "assets", sort=nested, descending=True) == ["empty", "lung", "heart", "breast"]
    assert await ids(assets, "assets", offset=1, limit=2) == ["breast", "heart"]
    assert await ids(assets, "assets", offset=9) == []
    assert await ids(assets, "assets", limit=10**30, offset=1) == ["breast", "heart", "empty"]


async def test_records_of_one_age_are_paged_by_id(store: SqliteStore) -> None:
    await store.transact(lambda tx: [tx.transfers.put(transfer(f"t{n}")) for n in (3, 1, 2, 5, 4)])
    pages = [await ids(store, "transfers", offset=offset, limit=2) for offset in (0, 2, 4)]
    assert pages == [["t1", "t2"], ["t3", "t4"], ["t5"]]


async def test_processes_and_agreements_are_found_by_their_fields(store: SqliteStore) -> None:
    consumer = negotiation("n1", role=Role.CONSUMER, created_at=at(-1))
    agreed = negotiation("n2", state=State.AGREED, purpose="research", claims={"spatial": "DK"})
    await store.transact(lambda tx: (tx.negotiations.put(consumer), tx.negotiations.put(agreed)))
    await store.transact(lambda tx: tx.agreements.put(agreement(policy=replace(POLICY, uid="a1"), in_force=True)))
    for left, operator, right, expected in [
        ("role", "=", "consumer", ["n1"]),
        ("state", "in", ["AGREED", "FINALIZED"], ["n2"]),
        ("state", "!=", "AGREED", ["n1"]),
        ("state", "=", 850, []),
        ("purpose", "=", "research", ["n2"]),
        ("claims.spatial", "=", "DK", ["n2"]),
        ("offer.target", "=", "lung", ["n1", "n2"]),
        ("agreement_id", "!=", "x", []),
        ("nonsense", "=", "x", []),
    ]:
        assert await ids(store, "negotiations", Criterion(left, operator, right)) == expected, (left, operator)
    assert await ids(store, "agreements", Criterion("in_force", "=", True), Criterion("policy.uid", "=", "a1")) == ["a1"]
    assert await ids(store, "agreements", Criterion("in_force", "=", False)) == []


# --- the same answers as in memory -----------------------------------------------------------------------------------

NAMES = st.sampled_from([TOPIC, SIZE, TAGS, EDC + "with'quote", EDC + 'with"quote'])
SCALARS = st.one_of(
    st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.0**70]), st.sampled_from(["", "a", "A", "ab", "1"])
)
VALUES = st.one_of(SCALARS, st.none(), st.lists(SCALARS, max_size=3), SCALARS.map(lambda value: {"@value": value}))
SOME_ASSETS = st.lists(
    st.builds(
        lambda properties, private: (properties, private),
        st.dictionaries(NAMES, VALUES, max_size=3),
        st.dictionaries(NAMES, VALUES, max_size=2),
    ),
    max_size=6,
)
PATTERNS = st.text("aAb1%_.*[", max_size=4)
CRITERIA = st.one_of(
    st.builds(Criterion, NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "contains"]), SCALARS),
    st.builds(Criterion, NAMES, st.sampled_from(["in", "not in"]), st.lists(SCALARS, max_size=3)),
    st.builds(Criterion, NAMES, st.sampled_from(["like", "ilike"]), PATTERNS),
    st.builds(Criterion, st.just("id"), st.sampled_from(["=", "!=", "<", ">"]), st.sampled_from(["0", "1", "9"])),
    st.builds(Criterion, st.just("id"), st.sampled_from(["in", "not in"]), st.lists(SCALARS, max_size=3)),
)


async def test_the_store_and_the_memory_agree_on_every_query(store: SqliteStore) -> None:
    async def run(found: list[tuple[Any, Any]], filters: tuple[Criterion, ...], sort: str, descending: bool) -> None:
        assets = [Asset(str(n), public, private, created_at=NOW) for n, (public, private) in enumerate(found)]
        await store.transact(lambda tx: [tx.assets.delete(str(n)) for n in range(6)])
        await store.transact(lambda tx: [tx.assets.put(asset) for asset in assets])
        lookups = {asset.id: criteria.asset_lookup(asset, private=True) for asset in assets}
        expected = [id for id, lookup in lookups.items() if all(criteria.matches(lookup, c) for c in filters)]
        assert await ids(store, "assets", *filters) == expected
        expected.sort(key=lambda id: (criteria.order(lookups[id](sort)), id), reverse=descending)
        assert await ids(store, "assets", *filters, sort=sort, descending=descending) == expected

    cases: list[Any] = []

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(SOME_ASSETS, st.lists(CRITERIA, max_size=2).map(tuple), NAMES, st.booleans()))
    def collect(case: Any) -> None:
        cases.append(case)

    collect()
    for case in cases:
        await run(*case)
