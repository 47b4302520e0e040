"""What the packaging tests read: where things are built, and the lines of a Dockerfile."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Built:
    source: Path  # a copy of the checkout, so that building leaves nothing behind in it
    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile."""

    word: str
    rest: str

    @property
    def command(self) -> list[str]:
        """The command of a CMD, ENTRYPOINT or HEALTHCHECK in exec form."""
        return json.loads(self.rest[self.rest.index("[") :])


def dockerfile(path: Path) -> Iterator[Step]:
    """Read a Dockerfile: continued lines joined, comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield Step(word, rest.strip())


def environment(steps: list[Step]) -> dict[str, str]:
    """Return what the ENV lines set."""
    pairs = [
        (name, value)
        for step in steps
        if step.word == "ENV"
        for name, _, value in (pair.partition("=") for pair in shlex.split(step.rest))
    ]
    return dict(pairs)
