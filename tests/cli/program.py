"""Runs the command line as a person does: as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def connector(*arguments: object, **variables: str) -> Ran:
    """Run `connector` with these arguments, without a terminal and without the tester's own settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")}
    done = subprocess.run(
        [sys.executable, "-m", "connector.cli", *map(str, arguments)],
        env={**environment, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)
