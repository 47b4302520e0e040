"""What is SQLite's own: durability, group commit, one process at a time, indices, triggers, a disk that is full."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from connector.dsp.offering import Criterion
from connector.errors import Conflict, OperatorError, Unavailable
from connector.ports import AuditRecord, Envelope, Query, Transaction, Use
from connector.store.connection import Connection
from connector.store.ledgers import ENVELOPE, RECORD
from connector.store.migrations import migrate, shipped
from connector.store.sqlite import SqliteStore
from connector.store.tables import Tables
from tests.store.records import NOW, agreement, envelope, event, negotiation, transfer, use


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(path, lambda: NOW)
    yield store
    await store.close()


def raw(tx: Transaction) -> sqlite3.Connection:
    """Return the connection under a transaction."""
    assert isinstance(tx, Tables)
    return tx.outbox._db.raw


async def hold(store: SqliteStore) -> tuple[asyncio.Task[None], Callable[[], None]]:
    """Keep the writer busy; return the task and what lets it go on."""
    begun, go = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        begun.set()
        go.wait(10)

    task = asyncio.create_task(store.transact(work))
    await asyncio.to_thread(begun.wait, 10)
    return task, go.set


# --- durability ----------------------------------------------------------------------------------------------------


async def test_an_answer_leaves_only_after_the_disk_has_it(store: SqliteStore) -> None:
    def settings(tx: Transaction) -> dict[str, Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
        return {name: raw(tx).execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    full = 2
    expected = {"journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "recursive_triggers": 1}
    assert await store.transact(settings) == expected


async def test_many_transactions_share_one_commit(store: SqliteStore) -> None:
    busy, go_on = await hold(store)
    before = store.commits
    many = [asyncio.create_task(store.transact(lambda tx, n=n: tx.audit.add(event(str(n))))) for n in range(100)]
    await asyncio.sleep(0)
    go_on()
    await asyncio.gather(busy, *many)
    assert store.commits - before == 2  # the one that kept the writer busy, and one for all that gathered meanwhile
    assert store.transactions == 101


async def test_who_is_cancelled_in_the_queue_takes_the_work_along(store: SqliteStore) -> None:
    busy, go_on = await hold(store)
    waiting = asyncio.create_task(store.transact(lambda tx: tx.negotiations.put(negotiation())))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    go_on()
    await busy
    assert await store.read(lambda tx: tx.negotiations.count()) == 0


async def test_a_reader_sees_one_state_however_long_it_looks(store: SqliteStore) -> None:
    loop = asyncio.get_running_loop()

    def work(tx: Transaction) -> tuple[int, int]:
        before = tx.negotiations.count()
        written = asyncio.run_coroutine_threadsafe(store.transact(lambda tx: tx.negotiations.put(negotiation())), loop)
        written.result(10)
        return before, tx.negotiations.count()

    assert await store.read(work) == (0, 0)
    assert await store.read(lambda tx: tx.negotiations.count()) == 1


async def test_a_full_disk_fails_every_transaction_of_the_batch_and_is_said(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    def full(tx: Transaction, pages: int) -> None:
        raw(tx).execute(f"PRAGMA max_page_count = {pages}")

    def big(tx: Transaction) -> None:
        tx.secrets.put("big", "x" * 1_000_000)

    await store.transact(lambda tx: tx.secrets.put("before", "kept"))
    await store.transact(lambda tx: full(tx, 1))  # no page more than there are
    busy, go_on = await hold(store)
    batch = [asyncio.create_task(store.transact(work)) for work in (lambda tx: tx.audit.add(event()), big)]
    await asyncio.sleep(0)
    go_on()
    results = await asyncio.gather(*batch, return_exceptions=True)
    await busy
    assert [type(result) for result in results] == [Unavailable, Unavailable]
    assert "check the disk" in str(results[0])
    assert store.trouble
    assert "2 transactions were undone" in caplog.text
    await store.transact(lambda tx: full(tx, 1_000_000))
    assert await store.read(lambda tx: (tx.audit.since(0, 9), tx.secrets.get("before"), tx.secrets.get("big"))) == (
        [],
        "kept",
        None,
    )
    await store.transact(big)
    assert store.trouble is None


# --- one process ---------------------------------------------------------------------------------------------------


async def test_a_second_instance_is_refused_and_told_who_is_first(store: SqliteStore, path: Path) -> None:
    with pytest.raises(OperatorError, match=rf"in use by another connector \(process {os.getpid()}\)"):
        SqliteStore.open(path, lambda: NOW)


async def test_a_closed_store_can_be_opened_again(path: Path) -> None:
    for _ in range(2):
        await SqliteStore.open(path, lambda: NOW).close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"missing/s.sqlite.lock: No such file"):
        SqliteStore.open(tmp_path / "missing" / "s.sqlite", lambda: NOW)


async def test_only_the_owner_can_read_the_files(store: SqliteStore, path: Path) -> None:
    await store.transact(lambda tx: tx.secrets.put("k", "v"))
    files = list(path.parent.iterdir())
    assert len(files) >= 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


# --- what the schema refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET event = 'nothing'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT seq, at, 'nothing', correlation_id, subject, peer, detail FROM audit",
    ],
)
async def test_nothing_changes_what_the_audit_holds(store: SqliteStore, sql: str) -> None:
    await store.transact(lambda tx: tx.audit.add(event()))
    with pytest.raises(Conflict, match="audit records are never"):
        await store.transact(lambda tx: Connection(raw(tx)).run(sql))
    assert [r.event for r in await store.read(lambda tx: tx.audit.since(0, 9))] == ["negotiation.received"]


def test_the_ledgers_have_a_column_for_every_field() -> None:
    """They are kept column by column, so a new field needs a migration; this says so when it is forgotten."""
    assert {f.name for f in fields(Envelope)} == set(ENVELOPE.split(", "))
    assert {f.name for f in fields(AuditRecord)} == {*RECORD.split(", "), "seq"}
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, shipped(), NOW)
    assert [f.name for f in fields(Use)] == [row[1] for row in connection.execute("PRAGMA table_info(uses)")]
    connection.close()


# --- indices -------------------------------------------------------------------------------------------------------

HOT: dict[str, Callable[[Transaction], Any]] = {
    "a record by id": lambda tx: tx.negotiations.get("n1"),
    "storing a record": lambda tx: tx.transfers.put(transfer()),
    "a process by the peer's pid": lambda tx: tx.negotiations.by_peer_pid("aarhus", "p"),
    "overdue processes": lambda tx: tx.transfers.overdue(NOW, 10),
    "the next deadline": lambda tx: tx.negotiations.next_deadline(),
    "transfers of an agreement": lambda tx: tx.transfers.query(Query((Criterion("agreement_id", "=", "a1"),), limit=None)),
    "agreements on a dataset": lambda tx: tx.agreements.count((Criterion("dataset_id", "=", "lung"),)),
    "a page by age": lambda tx: tx.negotiations.query(Query()),
    "queueing": lambda tx: tx.outbox.add(envelope()),
    "what is due": lambda tx: tx.outbox.due(NOW, 10, NOW),
    "a failed attempt": lambda tx: tx.outbox.retry(envelope()),
    "a delivered message": lambda tx: tx.outbox.remove("e1"),
    "messages of a process": lambda tx: tx.outbox.of_process("n1"),
    "the next try": lambda tx: tx.outbox.next_try(),
    "uses of an agreement": lambda tx: tx.uses.count("a1"),
    "reserving a use": lambda tx: tx.uses.reserve(use()),
    "settling a use": lambda tx: tx.uses.settle("u1", 1),
    "releasing a use": lambda tx: tx.uses.release("u1"),
    "the audit of a process": lambda tx: tx.audit.of_subject("n1"),
    "the audit from here on": lambda tx: tx.audit.since(5, 10),
    "a secret": lambda tx: tx.secrets.get("k"),
}


@pytest.mark.parametrize("name", HOT)
async def test_the_hot_path_searches_by_index(store: SqliteStore, name: str) -> None:
    def plans(tx: Transaction) -> list[str]:
        tx.agreements.put(agreement())
        seen: list[str] = []
        raw(tx).set_trace_callback(seen.append)
        HOT[name](tx)
        raw(tx).set_trace_callback(None)
        statements = [sql for sql in seen if not sql.startswith("--")]
        return [row[3] for sql in statements for row in raw(tx).execute(f"EXPLAIN QUERY PLAN {sql}")]

    for step in await store.transact(plans):
        in_order = re.match(r"SCAN \w+ USING (COVERING )?INDEX", step)  # stops at the limit
        assert step.startswith(("SEARCH", "CORRELATED", "USE TEMP B-TREE")) or in_order, step


# --- crashes -------------------------------------------------------------------------------------------------------

CHILD = """
import asyncio, sys
from connector.store.sqlite import SqliteStore
from tests.store.records import NOW, envelope, event, negotiation

async def main():
    store = SqliteStore.open(sys.argv[1], lambda: NOW)
    async def one(worker):
        step = 0
        while True:
            id = f"{sys.argv[2]}-{worker}-{step}"
            def work(tx):
                tx.negotiations.put(negotiation(id))
                tx.outbox.add(envelope(id, id))
                tx.audit.add(event(id))
            await store.transact(work)
            print(id, flush=True)
            step += 1
    await asyncio.gather(*(one(worker) for worker in range(8)))

asyncio.run(main())
"""


@pytest.mark.slow
async def test_what_was_acknowledged_is_there_after_kill_9(path: Path) -> None:
    """Issue 3, `Store`: durable before an answer leaves; nothing of a step is there without the rest of it."""
    acknowledged: set[str] = set()
    for number in range(5):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(number)], stdout=subprocess.PIPE, text=True)
        assert child.stdout
        told = [child.stdout.readline().strip() for _ in range(20 + 37 * number)]
        child.send_signal(signal.SIGKILL)
        acknowledged |= {*told, *child.stdout.read().split("\n")[:-1]}
        child.stdout.close()
        child.wait()
        store = SqliteStore.open(path, lambda: NOW)  # no stale lock
        found = await store.read(lambda tx: {n.id for n in tx.negotiations.query(Query(limit=None))})
        sent = await store.read(lambda tx: {r.subject for r in tx.audit.since(0, 10**6)})
        queued = await store.transact(lambda tx: {e.id for e in tx.outbox.due(NOW, 10**6, NOW)})
        await store.close()
        assert acknowledged - {""} <= found
        assert found == sent == queued
