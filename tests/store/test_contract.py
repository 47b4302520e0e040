"""What every store does: `ports.Store` and its tables, as their docstrings promise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest

from connector.dsp.messages import Kind
from connector.dsp.negotiation import State
from connector.dsp.offering import Asset, ContractDefinition, PolicyDefinition
from connector.errors import Conflict, Denied, Malformed, Unavailable
from connector.ports import Query, Store, Transaction
from connector.store.sqlite import SqliteStore
from tests.store.records import NOW, POLICY, agreement, at, envelope, event, negotiation, transfer, use

Open = Callable[[], SqliteStore]
CORRELATION: ContextVar[str] = ContextVar("correlation", default="")


async def put(store: Store, *records: Any) -> None:
    """Store each record in the table of its type."""

    def work(tx: Transaction) -> None:
        tables: dict[str, Any] = {
            "Negotiation": tx.negotiations,
            "TransferProcess": tx.transfers,
            "Agreement": tx.agreements,
            "Asset": tx.assets,
            "PolicyDefinition": tx.policies,
            "ContractDefinition": tx.definitions,
        }
        for record in records:
            tables[type(record).__name__].put(record)

    await store.transact(work)


async def send(store: Store, *envelopes: Any) -> None:
    await store.transact(lambda tx: [tx.outbox.add(each) for each in envelopes])


# --- transactions --------------------------------------------------------------------------------------------------


async def test_a_transaction_returns_what_its_work_returned(store: Store) -> None:
    assert await store.transact(lambda tx: 42) == 42
    assert await store.read(lambda tx: tx.outbox.depth()) == 0


async def test_an_exception_undoes_its_own_transaction_and_rises(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.negotiations.put(negotiation())
        tx.audit.add(event())
        raise Denied("the purpose is not permitted")

    with pytest.raises(Denied, match="purpose"):
        await store.transact(work)
    assert await store.read(lambda tx: (tx.negotiations.count(), tx.audit.since(0, 10))) == (0, [])


async def test_an_exception_undoes_no_transaction_beside_it(store: Store) -> None:
    def work(number: int) -> Callable[[Transaction], None]:
        def run(tx: Transaction) -> None:
            tx.negotiations.put(negotiation(f"n{number:03}"))
            if number % 3 == 0:
                raise Denied(str(number))

        return run

    results = await asyncio.gather(*(store.transact(work(n)) for n in range(60)), return_exceptions=True)
    assert [str(r) for r in results if r is not None] == [str(n) for n in range(0, 60, 3)]
    stored = await store.read(lambda tx: [n.id for n in tx.negotiations.query(Query(limit=None))])
    assert stored == [f"n{n:03}" for n in range(60) if n % 3]


async def test_state_message_and_audit_row_commit_together(store: Store) -> None:
    """House rule 3.6: nothing of a step is there unless all of it is."""

    def work(tx: Transaction) -> None:
        tx.negotiations.put(negotiation())
        tx.audit.add(event())
        tx.outbox.add(envelope("e1"))
        tx.outbox.add(envelope("e1"))  # the second is refused

    with pytest.raises(Conflict):
        await store.transact(work)
    assert await store.read(lambda tx: (tx.negotiations.count(), tx.audit.since(0, 9), tx.outbox.depth())) == (0, [], 0)


async def test_a_transaction_that_catches_a_conflict_goes_on(store: Store) -> None:
    def work(tx: Transaction) -> str:
        tx.outbox.add(envelope("e1"))
        try:
            tx.outbox.add(envelope("e1"))
        except Conflict:
            return "told apart"
        return "doubled"

    assert await store.transact(work) == "told apart"
    assert await store.read(lambda tx: tx.outbox.depth()) == 1


async def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(Unavailable, match="readonly"):
        await store.read(lambda tx: tx.negotiations.put(negotiation()))
    await put(store, negotiation())
    assert await store.read(lambda tx: tx.negotiations.count()) == 1


async def test_a_cancelled_caller_harms_nobody(store: Store) -> None:
    tasks = [asyncio.create_task(put(store, negotiation(f"n{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    stored = {n.id for n in await store.read(lambda tx: tx.negotiations.query(Query(limit=None)))}
    assert {f"n{n}" for n in range(1, 20, 2)} <= stored
    await put(store, negotiation("after"))


async def test_closing_finishes_what_is_queued_and_refuses_what_comes_after(open_store: Open) -> None:
    store = open_store()
    queued = [asyncio.create_task(put(store, negotiation(f"n{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*queued)
    for refused in (store.transact, store.read):
        with pytest.raises(Unavailable, match="shutting down"):
            await refused(lambda tx: None)
    await store.close()


async def test_work_that_raises_stop_iteration_is_told_to_its_caller(store: Store) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.transact(lambda tx: next(iter(())))


async def test_work_runs_in_its_callers_context(store: Store) -> None:
    """The correlation id of a request is the same inside its transaction."""
    token = CORRELATION.set("c-17")
    seen = [await run(lambda tx: CORRELATION.get()) for run in (store.transact, store.read)]
    CORRELATION.reset(token)
    assert seen == ["c-17", "c-17"]


async def test_what_cannot_be_an_id_is_malformed(store: Store) -> None:
    with pytest.raises(Malformed):
        await store.read(lambda tx: tx.negotiations.get("\udcff"))


# --- records -------------------------------------------------------------------------------------------------------


async def test_every_type_of_record_is_put_got_replaced_and_deleted(store: Store) -> None:
    records = {
        "negotiations": (negotiation("x"), negotiation("x", state=State.AGREED, agreement_id="a")),
        "transfers": (transfer("x"), transfer("x", epoch=2)),
        "agreements": (agreement("x"), agreement("x", in_force=True)),
        "assets": (Asset("x"), Asset("x", {"name": "Lung"}, created_at=NOW)),
        "policies": (PolicyDefinition("x", POLICY), PolicyDefinition("x", replace(POLICY, target=None))),
        "definitions": (ContractDefinition("x", "p", "q"), ContractDefinition("x", "p", "r")),
    }

    def work(tx: Transaction) -> None:
        for table, (first, second) in records.items():
            of = getattr(tx, table)
            assert of.get("x") is None
            of.put(first)
            assert of.get("x") == first
            of.put(second)
            assert of.query(Query()) == [second]
            assert of.delete("x")
            assert not of.delete("x")
            assert of.count() == 0

    await store.transact(work)


async def test_a_process_is_found_by_what_its_peer_calls_it(store: Store) -> None:
    """DSP-088: a creating message that comes twice finds the process that the first one made."""
    await put(store, negotiation("n1", peer_pid="p"), negotiation("n2", peer="bergen", peer_pid="p"), transfer(peer_pid="p"))

    def found(tx: Transaction) -> list[str | None]:
        keys = [("aarhus", "p"), ("bergen", "p"), ("aarhus", "q"), ("", "")]
        return [n.id if (n := tx.negotiations.by_peer_pid(*key)) else None for key in keys]

    assert await store.read(found) == ["n1", "n2", None, None]
    assert await store.read(lambda tx: tx.transfers.by_peer_pid("aarhus", "p")) == transfer(peer_pid="p")


async def test_only_processes_that_go_on_are_overdue(store: Store) -> None:
    await put(
        store,
        negotiation("late", deadline=at(-5)),
        negotiation("later", deadline=at(-9)),
        negotiation("now", deadline=NOW),
        negotiation("ended", deadline=at(-5), state=State.TERMINATED),
        negotiation("in time", deadline=at(5)),
        negotiation("no deadline"),
    )
    assert [n.id for n in await store.read(lambda tx: tx.negotiations.overdue(NOW, 10))] == ["later", "late", "now"]
    assert [n.id for n in await store.read(lambda tx: tx.negotiations.overdue(NOW, 1))] == ["later"]
    assert await store.read(lambda tx: tx.negotiations.next_deadline()) == at(-9)
    assert await store.read(lambda tx: tx.transfers.next_deadline()) is None


# --- outbox --------------------------------------------------------------------------------------------------------


async def test_an_envelope_is_the_same_when_it_comes_out(store: Store) -> None:
    sent = envelope(give_up_at=at(60), attempts=2, last_error="refused", last_status=503, purpose="research")
    await send(store, sent)
    assert await store.read(lambda tx: tx.outbox.get("e1")) == sent
    assert await store.read(lambda tx: tx.outbox.of_process("n1")) == [sent]


async def test_due_envelopes_are_leased_oldest_first_and_only_once(store: Store) -> None:
    await send(store, envelope("e2", "n2"), envelope("e1", "n1"), envelope("e3", "n3", next_try=at(9)), envelope("e4", "n4"))
    due = [await store.transact(lambda tx: [e.id for e in tx.outbox.due(NOW, 2, at(30))]) for _ in range(3)]
    assert due == [["e2", "e1"], ["e4"], []]


async def test_two_that_ask_at_once_never_get_the_same_envelope(store: Store) -> None:
    await send(store, *(envelope(f"e{n}", f"n{n}") for n in range(40)))
    taken = await asyncio.gather(*(store.transact(lambda tx: tx.outbox.due(NOW, 7, at(30))) for _ in range(10)))
    ids = [e.id for batch in taken for e in batch]
    assert len(ids) == len(set(ids)) == 40


async def test_a_lease_that_ran_out_is_given_again(store: Store) -> None:
    await send(store, envelope())
    await store.transact(lambda tx: tx.outbox.due(NOW, 1, at(30)))
    assert await store.transact(lambda tx: tx.outbox.due(at(29), 1, at(60))) == []
    assert await store.transact(lambda tx: tx.outbox.due(at(30), 1, at(60))) == [envelope()]


async def test_an_envelope_born_leased_is_left_to_whoever_sends_it(store: Store) -> None:
    await store.transact(lambda tx: tx.outbox.add(envelope(), at(30)))
    assert await store.transact(lambda tx: tx.outbox.due(at(29), 1, at(60))) == []
    assert await store.read(lambda tx: tx.outbox.next_try()) == at(30)
    assert await store.transact(lambda tx: tx.outbox.due(at(30), 1, at(60))) == [envelope()]


async def test_a_failed_attempt_comes_back_when_it_is_due(store: Store) -> None:
    await send(store, envelope())
    failed = envelope(attempts=1, next_try=at(2), last_error="connection refused", last_status=None)

    def attempt(tx: Transaction) -> None:
        tx.outbox.due(NOW, 1, at(30))
        tx.outbox.retry(failed)

    await store.transact(attempt)
    assert await store.read(lambda tx: tx.outbox.next_try()) == at(2)
    assert await store.transact(lambda tx: tx.outbox.due(at(1), 1, at(60))) == []
    assert await store.transact(lambda tx: tx.outbox.due(at(2), 1, at(60))) == [failed]


async def test_messages_of_one_process_leave_one_after_the_other(store: Store) -> None:
    first, second, third = envelope("e1"), envelope("e2", kind=Kind.TERMINATE), envelope("e3", next_try=at(-9))
    await send(store, first, second, third, envelope("e4", "n2"))
    assert [e.id for e in await store.transact(lambda tx: tx.outbox.due(NOW, 9, at(30)))] == ["e1", "e4"]
    await store.transact(lambda tx: tx.outbox.remove("e1"))
    assert [e.id for e in await store.transact(lambda tx: tx.outbox.due(NOW, 9, at(30)))] == ["e2"]
    assert [e.id for e in await store.read(lambda tx: tx.outbox.of_process("n1"))] == ["e2", "e3"]


async def test_the_next_try_is_that_of_a_message_that_may_leave(store: Store) -> None:
    """A message that waits behind an older one must not wake the delivery for nothing, again and again."""
    assert await store.read(lambda tx: tx.outbox.next_try()) is None
    await send(
        store, envelope("e1", next_try=at(60)), envelope("e2", next_try=at(-60)), envelope("e3", "n2", next_try=at(80))
    )
    assert await store.read(lambda tx: tx.outbox.next_try()) == at(60)


async def test_a_removed_envelope_is_gone_and_retrying_it_does_not_bring_it_back(store: Store) -> None:
    await send(store, envelope())

    def work(tx: Transaction) -> int:
        tx.outbox.remove("e1")
        tx.outbox.remove("e1")
        tx.outbox.retry(envelope())
        return tx.outbox.depth()

    assert await store.transact(work) == 0
    assert await store.read(lambda tx: (tx.outbox.get("e1"), tx.outbox.of_process("n1"), tx.outbox.next_try())) == (
        None,
        [],
        None,
    )


# --- uses ----------------------------------------------------------------------------------------------------------


async def test_a_use_counts_from_its_reservation_until_it_is_released(store: Store) -> None:
    """odrl.md 37: bytes may already flow, so a reservation counts."""
    steps = []

    def work(tx: Transaction) -> None:
        for step in (
            lambda: None,
            lambda: tx.uses.reserve(use("u1")),
            lambda: tx.uses.reserve(use("u2")),
            lambda: tx.uses.reserve(use("u3", "a2")),
            lambda: tx.uses.settle("u1", 100),
            lambda: tx.uses.release("u1"),  # settled: bytes left, so it stays
            lambda: tx.uses.release("u2"),
            lambda: tx.uses.release("u2"),
        ):
            step()
            steps.append(tx.uses.count("a1"))

    await store.transact(work)
    assert steps == [0, 1, 2, 2, 2, 2, 1, 1]
    assert await store.read(lambda tx: (tx.uses.count("a2"), tx.uses.count("none"))) == (1, 0)


async def test_a_use_that_is_reserved_again_counts_once_and_cannot_be_given_back(store: Store) -> None:
    """A push that is tried again: its first try may have sent bytes."""
    assert not await store.read(lambda tx: tx.uses.has(use().id))
    for _ in range(2):
        await store.transact(lambda tx: tx.uses.reserve(use()))
    await store.transact(lambda tx: tx.uses.release(use().id))
    assert await store.read(lambda tx: (tx.uses.count("a1"), tx.uses.has(use().id))) == (1, True)


async def test_a_hundred_at_once_never_use_an_agreement_more_often_than_it_allows(store: Store) -> None:
    """odrl.md 37: counted and decided in one transaction, no two callers see the same count."""

    def reserve(id: str) -> Callable[[Transaction], bool]:
        def work(tx: Transaction) -> bool:
            free = tx.uses.count("a1") < 7
            if free:
                tx.uses.reserve(use(id))
            return free

        return work

    granted = await asyncio.gather(*(store.transact(reserve(f"u{n}")) for n in range(100)))
    assert sum(granted) == 7
    assert await store.read(lambda tx: tx.uses.count("a1")) == 7


# --- audit and secrets ---------------------------------------------------------------------------------------------


async def test_the_audit_keeps_everything_in_order(store: Store) -> None:
    await store.transact(lambda tx: [tx.audit.add(event("n1", f"event.{n}", step=n)) for n in range(5)])
    await store.transact(lambda tx: tx.audit.add(event("n2", detail={"nested": [1, None, True]})))
    records = await store.read(lambda tx: tx.audit.since(0, 100))
    assert [(r.seq, r.event) for r in records[:5]] == [(n + 1, f"event.{n}") for n in range(5)]
    assert records[5] == replace(event("n2", detail={"nested": [1, None, True]}), seq=6)
    assert await store.read(lambda tx: tx.audit.since(4, 1)) == [records[4]]
    assert await store.read(lambda tx: tx.audit.of_subject("n1")) == records[:5]


async def test_of_a_long_history_the_newest_part_is_shown(store: Store) -> None:
    await store.transact(lambda tx: [tx.audit.add(event("n1", f"event.{n}")) for n in range(5)])
    assert [r.event for r in await store.read(lambda tx: tx.audit.of_subject("n1", 2))] == ["event.3", "event.4"]


async def test_a_secret_is_kept_until_it_is_deleted(store: Store) -> None:
    def work(tx: Transaction) -> list[Any]:
        seen: list[Any] = [tx.secrets.get("k")]
        tx.secrets.put("k", "first")
        tx.secrets.put("k", "second")
        return [*seen, tx.secrets.get("k"), tx.secrets.delete("k"), tx.secrets.delete("k"), tx.secrets.get("k")]

    assert await store.transact(work) == [None, "second", True, False, None]


# --- what is there after a restart ---------------------------------------------------------------------------------


async def test_after_a_restart_everything_is_there_and_no_lease_is_held(tmp_path: Any) -> None:
    first = SqliteStore.open(tmp_path / "s.sqlite", lambda: NOW)
    await put(first, negotiation(), agreement())
    await first.transact(lambda tx: (tx.uses.reserve(use()), tx.audit.add(event())))
    await first.transact(lambda tx: (tx.outbox.add(envelope("e1"), at(900)), tx.outbox.add(envelope("e2", "n2"))))
    await first.transact(lambda tx: tx.outbox.due(NOW, 9, at(900)))
    await first.close()
    second = SqliteStore.open(tmp_path / "s.sqlite", lambda: NOW)
    assert await second.read(lambda tx: tx.negotiations.get("n1")) == negotiation()
    assert await second.read(lambda tx: tx.uses.count("a1")) == 1  # a crash leaves a reservation counted
    assert len(await second.read(lambda tx: tx.audit.since(0, 9))) == 1
    assert await second.transact(lambda tx: tx.outbox.due(NOW, 9, at(30))) == [envelope("e1"), envelope("e2", "n2")]
    await second.close()
