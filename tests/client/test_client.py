"""The client library against two real connectors: what a notebook types, and what it gets."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.client import aio, connect, tables
from connector.client.api import NotRunning
from connector.demo.hospitals import founded
from connector.errors import Conflict, Denied, Malformed, NotFound, OperatorError
from tests.pair.conftest import ROWS, Pair, publish, running, settings, until

RESEARCH = "eu-ehds:HealthcareScientificResearch"
README = Path(__file__).parents[2] / "README.md"
PATIENTS = [{"patient": 1, "age": 71}, {"patient": 2, "age": 64}]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    odense = settings(tmp_path / "odense", "odense")
    for name in ("open", "research", "twice"):
        publish(odense.root, name, name)
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as both:
        yield both


@pytest.fixture
async def here(pair: Pair) -> AsyncIterator[aio.Connection]:
    async with aio.connect(pair.consumer.management_url) as connection:
        yield connection


async def catalog(here: aio.Connection, pair: Pair) -> aio.Catalog:
    return await here.catalog(pair.provider.public_url, id="odense")


async def test_a_dataset_comes_home_with_its_terms_in_plain_words(here: aio.Connection, pair: Pair, tmp_path: Path) -> None:
    found = await catalog(here, pair)
    assert [dataset.id async for dataset in found] == ["open", "research", "twice"]
    dataset = await found.dataset("twice")
    assert (dataset.title, dataset.formats) == ("twice", ["HttpData-PULL", "HttpData-PUSH"])
    assert dataset.offers[0].terms == ["may use, if used at most 2 times"]
    states: list[str] = []
    agreement = await dataset.negotiate(progress=states.append)
    assert states[-1] == "FINALIZED"
    assert agreement.terms == ["may use, if used at most 2 times"]
    assert agreement.duties == []
    seen: list[tuple[int, int | None]] = []
    async with await agreement.transfer() as transfer:
        pulled = await transfer.save(tmp_path / "twice.csv", lambda done, total: seen.append((done, total)))
        assert await transfer.bytes() == ROWS
    assert (tmp_path / "twice.csv").read_bytes() == ROWS
    assert (pulled.bytes, pulled.content_type) == (len(ROWS), "text/csv")
    assert seen[-1] == (len(ROWS), len(ROWS))


async def test_leaving_the_block_completes_the_transfer_and_an_error_in_it_ends_it_with_the_reason(
    here: aio.Connection, pair: Pair
) -> None:
    agreement = await (await (await catalog(here, pair)).dataset("open")).negotiate()
    async with await agreement.transfer() as done:
        await done.bytes()
    await until(pair.consumer.transfers.get, done.id, "COMPLETED")
    with pytest.raises(ZeroDivisionError):
        async with await agreement.transfer() as broken:
            1 / 0  # noqa: B018
    ended = await until(pair.consumer.transfers.get, broken.id, "TERMINATED")
    assert ended.cause is not None
    assert ended.cause.detail == "the consumer gave up: ZeroDivisionError"


async def test_a_pull_ends_by_itself_once_it_was_read(here: aio.Connection, pair: Pair) -> None:
    pull = await (await (await (await catalog(here, pair)).dataset("open")).negotiate()).pull()
    assert await pull.bytes() == ROWS
    await until(pair.consumer.transfers.get, pull.id, "COMPLETED")
    with pytest.raises(Conflict, match="complete"):
        await pull.complete()


async def test_the_wrong_purpose_is_denied_in_the_providers_words(here: aio.Connection, pair: Pair) -> None:
    dataset = await (await catalog(here, pair)).dataset("research")
    with pytest.raises(Denied, match="purpose"):
        await dataset.negotiate(purpose="dpv:Marketing")
    assert (await dataset.negotiate(purpose=RESEARCH)).terms


async def test_what_is_not_offered_is_not_found(here: aio.Connection, pair: Pair) -> None:
    found = await catalog(here, pair)
    with pytest.raises(NotFound, match="there is"):
        await (await found.dataset("open")).negotiate(offer="another")
    with pytest.raises(Exception, match="no dataset none"):
        await found.dataset("none")


async def test_an_address_that_nobody_vouches_for_asks_whose_it_is(here: aio.Connection, pair: Pair) -> None:
    with pytest.raises(OperatorError, match="id="):
        await here.catalog(pair.provider.public_url)


async def test_the_same_without_await(pair: Pair, tmp_path: Path) -> None:
    def story() -> None:
        with connect(pair.consumer.management_url) as here:
            found = here.catalog(pair.provider.public_url, id="odense")
            assert [dataset.id for dataset in found] == ["open", "research", "twice"]
            agreement = found.dataset("research").negotiate(purpose=RESEARCH)
            assert "HealthcareScientificResearch" in agreement.terms[0]
            with agreement.transfer() as transfer:
                assert transfer.save(tmp_path / "x.csv").bytes == len(ROWS)
                assert transfer.bytes() == ROWS
            assert agreement.pull().to_polars().height == 500
            with pytest.raises(Denied, match="purpose"):
                found.dataset("research").negotiate(purpose="dpv:Marketing")

    await asyncio.to_thread(story)


async def test_it_works_where_a_loop_is_running_already_as_in_a_notebook() -> None:
    with connect("http://127.0.0.1:1") as here, pytest.raises(NotRunning):
        here.partners()


async def test_a_table_is_read_by_its_media_type(pair: Pair, here: aio.Connection, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(PATIENTS), columns)
    lines = "".join(json.dumps(row) + "\n" for row in PATIENTS).encode()
    forms = {
        "csv": ("text/csv; charset=utf-8", b"patient,age\n1,71\n2,64\n"),
        "parquet": ("application/vnd.apache.parquet", columns.getvalue()),
        "lines": ("application/x-ndjson", lines),
        "json": ("application/json", json.dumps(PATIENTS).encode()),
        "text": ("text/plain", b"no table"),
    }
    root = pair.provider.settings.root
    for name, (media, data) in forms.items():
        publish(root, name, "open", data)
        described = (root / "catalog" / f"{name}.jsonld").read_text().replace("text/csv", media)
        (root / "catalog" / f"{name}.jsonld").write_text(described)
    async with asyncio.timeout(10):
        while not await offered(here, pair, set(forms)):
            await asyncio.sleep(0.05)
    found = await catalog(here, pair)
    for name in forms.keys() - {"text"}:
        agreement = await (await found.dataset(name)).negotiate()
        assert (await (await agreement.pull()).to_arrow()).to_pylist() == PATIENTS
        assert (await (await agreement.pull()).to_polars()).to_dicts() == PATIENTS
        assert (await (await agreement.pull()).to_pandas()).to_dict("records") == PATIENTS
    with pytest.raises(Malformed, match="save"):
        await (await (await (await found.dataset("text")).negotiate()).pull()).to_arrow()


async def offered(here: aio.Connection, pair: Pair, wanted: set[str]) -> bool:
    return wanted <= {dataset.id async for dataset in await catalog(here, pair)}


def test_a_missing_table_library_is_named_before_any_data_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    with pytest.raises(OperatorError, match=r"needs polars: pip install 'hospital-connector\[notebook\]'"):
        tables.check(tables.to_polars)


@pytest.mark.slow
def test_the_lines_of_the_readme_bring_the_trial_home(tmp_path: Path) -> None:
    (lines,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    with founded(tmp_path) as (_, aarhus):
        own = aarhus.settings.management
        lines = lines.replace("http://127.0.0.1:8081", f"http://127.0.0.1:{own.port}").replace('"..."', repr(own.api_key))
        names: dict[str, Any] = {}
        exec(lines, names)
        assert names["frame"].height == 686
        transfers = aarhus.api.query("transferprocesses")
        assert [one["contractId"] for one in transfers] == [names["agreement"].id]
        assert aarhus.api.wait("transferprocesses", str(transfers[0]["@id"]), frozenset({"COMPLETED"}), 10)
