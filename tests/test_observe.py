"""The log: one JSON object a line, whoever writes it."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from connector.observe import configure_logging, take_correlation
configure_logging("warning")
take_correlation("trace-1")
structlog.get_logger().warning("ours", peer="aarhus")
structlog.get_logger().info("too fine")
logging.getLogger("asyncio").error("a task of %s failed unseen", "delivery")
"""


def test_the_standard_librarys_log_is_json_with_the_correlation_id_too() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    ours, theirs = map(json.loads, ran.stderr.splitlines())
    assert (ours["event"], ours["peer"], ours["correlation_id"]) == ("ours", "aarhus", "trace-1")
    assert (theirs["event"], theirs["level"], theirs["correlation_id"]) == (
        "a task of delivery failed unseen", "error", "trace-1",
    )  # fmt: skip
