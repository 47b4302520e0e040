"""The demo: two hospitals on this machine exchange real data under contract, and the contract bites.

Each one is a process of its own (`connector serve`) with its own folder, keys and SQLite, driven over the management API as
an operator would. Every promise on the screen is an expectation: `--once` exits with 0 only if all of them held.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory


def run(once: bool, stderr: bool = False) -> dict[str, bool]:
    """Show the exchange; without `once`, leave both running until Ctrl-C. Return each promise and whether it held."""
    from connector.demo.hospitals import founded
    from connector.demo.screen import Screen
    from connector.demo.story import tell

    screen = Screen(stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: the two processes must not outlive us
    with TemporaryDirectory(prefix="connector-demo-") as folder, founded(Path(folder)) as (odense, aarhus):
        tell(screen, odense, aarhus)
        screen.end()
        if not once:
            screen.leave_open(odense, aarhus)
            wait_for_interrupt()
    return screen.promises


def wait_for_interrupt() -> None:
    """Sleep until Ctrl-C or SIGTERM."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
