"""What a partner wrote is shown on the operator's terminal, and does nothing there."""

from __future__ import annotations

import json

import pytest

from connector.cli import output
from connector.cli.timeline import print_timeline
from connector.errors import Denied

# recolours, sets the window's title, writes over the line above, reads backwards; the last is ESC [ as one C1 character
HOSTILE = "trial\x1b[31m\x1b]0;owned\x07\r\x1b[1A\u202egpj.exe\u2066\x9b2J"
ACTS = "\x1b\x07\r\x9b\u202e\u2066"


def harmless(printed: str) -> bool:
    return "trial" in printed and not any(character in printed for character in ACTS)


def test_a_hostile_title_in_a_table_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["DATASET"], [[HOSTILE], [r"\[red]trial[/red]"], ["two\nlines"]], "")
    printed = capsys.readouterr().out
    assert harmless(printed)
    assert r"\[red]trial[/red]" in printed
    assert "two lines" in printed


def test_a_hostile_reason_in_an_error_a_note_and_a_result_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.failure(Denied(HOSTILE))
    output.result({}, HOSTILE)
    printed = capsys.readouterr()
    assert harmless(printed.err)
    assert harmless(printed.out)


def test_a_hostile_reason_in_a_timeline_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"at": "2026-11-23T08:00:00Z", "event": "negotiations.refused", "detail": HOSTILE}
    print_timeline({"@id": "urn:n", "errorDetail": HOSTILE}, {"peer": {"answers": True}, "events": [event], "pending": []})
    assert harmless(capsys.readouterr().out)


def test_json_output_is_harmless_and_still_the_same_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output._Mode, "as_json", True)
    output.result({"title": HOSTILE})
    printed = capsys.readouterr().out
    assert harmless(printed)
    assert json.loads(printed) == {"title": HOSTILE}
