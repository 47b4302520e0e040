"""One suite for every store: a test that takes `open_store` runs on each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from connector.store.sqlite import SqliteStore
from tests.store.records import NOW

Open = Callable[[], SqliteStore]


@pytest.fixture(params=["file", "memory"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return what opens a store of one kind; PostgreSQL will be the next parameter."""
    path = tmp_path / "store.sqlite" if request.param == "file" else ":memory:"
    return lambda: SqliteStore.open(path, lambda: NOW)


@pytest.fixture
async def store(open_store: Open) -> AsyncIterator[SqliteStore]:
    store = open_store()
    yield store
    await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"
