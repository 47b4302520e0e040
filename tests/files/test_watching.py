"""Reload: a change waits for quiet, is checked as a whole, and the last good version stays (product.md 4)."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from connector import files
from connector.config import Settings
from connector.errors import InvalidFiles
from connector.files.publication import Published
from connector.files.watching import Watcher

OPEN = '"@type": Set\npermission:\n  - action: use\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("policies", "catalog"):
        (tmp_path / name).mkdir()
    (tmp_path / "policies" / "open.yaml").write_text(OPEN)
    return Settings(tmp_path, "urn:odense")


@pytest.fixture
def watcher(settings: Settings) -> Watcher:
    watcher = Watcher(settings, files.load(settings).digest)
    assert [watcher.look(), watcher.look(), watcher.look()] == [None, None, None]
    return watcher


def test_a_change_is_reported_once_when_two_looks_see_the_same(settings: Settings, watcher: Watcher) -> None:
    (settings.root / "policies" / "second.yaml").write_text(OPEN)
    assert watcher.look() is None
    found = watcher.look()
    assert isinstance(found, Published)
    assert [policy.id for policy in found.policies] == ["open", "second"]
    assert [watcher.look(), watcher.look()] == [None, None]


def test_a_half_written_file_waits(settings: Settings, watcher: Watcher) -> None:
    file = settings.root / "policies" / "second.yaml"
    for end in (10, 20, 30):
        file.write_text(OPEN[:end])
        assert watcher.look() is None
    file.write_text(OPEN)
    assert watcher.look() is None
    assert isinstance(watcher.look(), Published)


def test_a_broken_edit_is_reported_with_its_place_and_the_mended_one_is_put_in_force(
    settings: Settings, watcher: Watcher
) -> None:
    file = settings.root / "policies" / "open.yaml"
    file.write_text(OPEN.replace("use", "fly"))
    assert watcher.look() is None
    broken = watcher.look()
    assert isinstance(broken, InvalidFiles)
    assert str(broken).startswith(f"{file}:3:5: error odrl-action")
    assert [watcher.look(), watcher.look()] == [None, None], "said once"
    file.write_text(OPEN)
    assert watcher.look() is None
    assert isinstance(watcher.look(), Published), "although this is what was in force all the time: the alarm ends"


def test_a_file_that_is_touched_only_is_no_change(settings: Settings, watcher: Watcher) -> None:
    (settings.root / "policies" / "open.yaml").touch()
    assert [watcher.look(), watcher.look(), watcher.look()] == [None, None, None]


def test_a_missing_source_is_noticed_when_it_comes(settings: Settings, watcher: Watcher, tmp_path: Path) -> None:
    data = tmp_path / "elsewhere.csv"
    dataset = {
        "@id": "t",
        "@type": "Dataset",
        "title": "T",
        "source": {"type": "file", "path": str(data)},
        "policies": ["open"],
    }
    (settings.root / "catalog" / "t.jsonld").write_text(json.dumps(dataset))
    assert watcher.look() is None
    assert isinstance(watcher.look(), InvalidFiles)
    assert watcher.look() is None
    data.write_text("a,b\n")
    found = watcher.look()
    assert isinstance(found, Published)
    assert [asset.id for asset in found.assets] == ["t"]


def test_data_beside_the_descriptions_may_change_all_the_time(settings: Settings, watcher: Watcher) -> None:
    (settings.root / "policies" / "second.yaml").write_text(OPEN)
    data = settings.root / "catalog" / "stream.csv"
    data.write_text("1\n")
    assert watcher.look() is None
    data.write_text("1\n2\n")
    assert isinstance(watcher.look(), Published)


def test_a_folder_that_disappears_is_an_alarm_not_an_empty_catalogue(settings: Settings, watcher: Watcher) -> None:
    (settings.root / "catalog").rmdir()
    assert watcher.look() is None
    found = watcher.look()
    assert isinstance(found, InvalidFiles)
    assert found.problems[0].code == "folder-missing"


async def test_watch_calls_back_until_it_is_cancelled(settings: Settings) -> None:
    seen: asyncio.Queue[Published | InvalidFiles] = asyncio.Queue()
    task = asyncio.create_task(files.watch(settings, seen.put, None, timedelta(milliseconds=1)))
    assert isinstance(await asyncio.wait_for(seen.get(), 5), Published)
    (settings.root / "policies" / "open.yaml").write_text("permission: [")
    assert isinstance(await asyncio.wait_for(seen.get(), 5), InvalidFiles)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
