"""Migrations: applied at start, each once, and never guessed at."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from connector.errors import OperatorError
from connector.store.migrations import Migration, migrate, shipped
from connector.store.sqlite import SqliteStore
from tests.store.records import NOW, negotiation


def schema(path: Path) -> list[tuple[str, ...]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    connection.close()
    return rows


def migrated(path: Path, *migrations: Migration) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, migrations, NOW)
    connection.close()


ADDED = Migration(len(shipped()) + 1, "9999_added.sql", "ALTER TABLE negotiations ADD COLUMN note TEXT;")


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [m.number for m in shipped()] == list(range(1, len(shipped()) + 1))


@pytest.mark.parametrize("steps", range(1, len(shipped()) + 2))
def test_a_database_of_any_age_gets_the_schema_of_a_fresh_one(tmp_path: Path, steps: int) -> None:
    every = (*shipped(), ADDED)
    migrated(tmp_path / "old", *every[:steps])
    migrated(tmp_path / "old", *every)
    migrated(tmp_path / "fresh", *every)
    assert schema(tmp_path / "old") == schema(tmp_path / "fresh")


async def test_records_outlive_a_migration(path: Path) -> None:
    store = SqliteStore.open(path, lambda: NOW)
    await store.transact(lambda tx: tx.negotiations.put(negotiation()))
    await store.close()
    store = SqliteStore.open(path, lambda: NOW, (*shipped(), ADDED))
    assert await store.read(lambda tx: tx.negotiations.get("n1")) == negotiation()
    await store.close()


def test_each_migration_is_applied_once_and_recorded(path: Path) -> None:
    migrated(path, *shipped())
    migrated(path, *shipped())
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT number, name, checksum, applied_at FROM migrations").fetchall()
    connection.close()
    assert rows == [(m.number, m.name, m.checksum, NOW.isoformat()) for m in shipped()]


def test_a_database_of_a_newer_connector_is_left_alone(path: Path) -> None:
    migrated(path, *shipped(), ADDED)
    with pytest.raises(OperatorError, match=r"newer connector .* Install that version again"):
        SqliteStore.open(path, lambda: NOW)


def test_a_migration_that_was_changed_after_its_release_is_noticed(path: Path) -> None:
    first, *others = shipped()
    migrated(path, Migration(first.number, first.name, first.sql + "\n-- improved"), *others)
    with pytest.raises(OperatorError, match=rf"another {first.name} than this version ships"):
        SqliteStore.open(path, lambda: NOW)


def test_a_migration_that_fails_leaves_nothing_of_itself(path: Path) -> None:
    migrated(path, *shipped())
    before = schema(path)
    broken = Migration(ADDED.number, ADDED.name, "CREATE TABLE half (id TEXT);\nCREATE TABLE half (id TEXT);")
    with pytest.raises(OperatorError, match="half already exists"):
        SqliteStore.open(path, lambda: NOW, (*shipped(), broken))
    assert schema(path) == before


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE patients (id TEXT)")
    connection.close()
    with pytest.raises(OperatorError, match="belongs to another program"):
        SqliteStore.open(path, lambda: NOW)
    assert [name for _, name, *_ in schema(path)] == ["patients"]


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_text("name,age\n" * 200)
    with pytest.raises(OperatorError, match="file is not a database"):
        SqliteStore.open(path, lambda: NOW)
    assert path.read_text() == "name,age\n" * 200
