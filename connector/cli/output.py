"""What a command says: results on stdout (text, or one JSON document), everything else on stderr.

Much of it was written by partners: a title or a reason must not move the cursor, recolour what stands above it or read
backwards, so whatever could is shown and not done. Progress shows only on a terminal. rich is imported when a table or a bar
is drawn, not before.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from connector.client.download import Progress
from connector.errors import ConnectorError, InvalidFiles
from connector.odrl.model import Json

# What a terminal acts on instead of showing it: control characters (C0, DEL, C1) and what turns the direction of writing.
ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class _Mode:
    """How this run of the program answers; set once, by `--json`."""

    as_json = False


def _choose(value: bool) -> bool:
    _Mode.as_json = _Mode.as_json or value
    return value


JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on stdout and nothing else.", callback=_choose, is_eager=True),
]


def shown(text: str) -> str:
    """Return `text` with each character that a terminal would act on written out."""
    return ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def line(text: object) -> None:
    """Print a line of the result."""
    print(shown(str(text)), flush=True)


def result(document: object, text: Callable[[], None] | str | None = None) -> None:
    """Print a command's result: `document` with --json, else `text` (a string, or a function that prints)."""
    if _Mode.as_json:
        line(json.dumps(document, indent=2, ensure_ascii=False))
    elif callable(text):
        text()
    elif text:
        line(text)


def note(text: str) -> None:
    """Say something beside the result."""
    print(shown(text), file=sys.stderr)


def failure(error: ConnectorError) -> None:
    """Say what went wrong and what to do: on stderr for people, and as the JSON document where one was asked for."""
    if _Mode.as_json:
        document: dict[str, Json] = {"code": error.code, "message": str(error)}
        if isinstance(error, InvalidFiles):
            document["problems"] = [problem_json(p) for p in error.problems]
        line(json.dumps({"error": document}, indent=2, ensure_ascii=False))
    note(f"connector: {error}" if "\n" not in str(error) else str(error))


def problem_json(problem: object) -> Json:
    """Return a finding as JSON, without its empty fields."""
    from dataclasses import asdict

    return {k: v for k, v in asdict(problem).items() if v not in (None, "")}  # type: ignore[call-overload]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print rows under headings, or `empty` where there are none."""
    if not rows:
        note(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        grid.add_row(*(Text(shown(" ".join(cell.split()))) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:  # a pipe has no width: nothing is folded or cut, so `grep` and `cut` work
        console = Console(highlight=False, width=10_000)
    console.print(grid)


@contextmanager
def working(text: str) -> Iterator[Callable[[str], None]]:
    """Show that something is going on, on a terminal; the yielded function changes the words."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(shown(text))) as status:
        yield lambda words: status.update(Text(shown(words)))


@contextmanager
def progress(text: str) -> Iterator[Progress]:
    """Show a bar with bytes and speed, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
