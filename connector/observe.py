"""One correlation id through log, audit, outbox, metrics and API; structured logs; the metrics' names.

Imported by services and adapters alike: it depends on nothing of the house.
"""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

HEADER = "X-Correlation-Id"
_SHAPE = re.compile(r"[A-Za-z0-9._:-]{1,64}")

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")


def take_correlation(value: str | None) -> str:
    """Adopt the caller's correlation id when it has a harmless shape, else a new one; return it."""
    chosen = value if value and _SHAPE.fullmatch(value) else uuid4().hex
    correlation_id.set(chosen)
    return chosen


def current_correlation() -> str:
    return correlation_id.get() or take_correlation(None)


class Metrics:
    """Counters of one connector, in a registry of its own (two connectors can live in one process)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.messages = Counter(
            "connector_messages", "Protocol messages by direction, kind and outcome",
            ("direction", "kind", "outcome"), registry=self.registry,
        )  # fmt: skip
        self.states = Counter(
            "connector_transitions", "Processes that reached a state", ("family", "state"), registry=self.registry
        )
        self.outbox = Gauge("connector_outbox_messages", "Messages committed and not yet answered", registry=self.registry)
        self.events = Counter(
            "connector_events", "Events told to webhooks and callbacks by outcome", ("outcome",), registry=self.registry
        )
        self.requests = Histogram(
            "connector_http_seconds", "HTTP requests by surface and status class", ("surface", "status"),
            registry=self.registry, buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )  # fmt: skip
        self.accesses = Counter("connector_data_accesses", "Data accesses by outcome", ("outcome",), registry=self.registry)
        self.bytes = Counter("connector_data_bytes", "Bytes that left through the data plane", registry=self.registry)
        self.files_valid = Gauge(
            "connector_files_valid", "1 while the files on disk are the ones in force", registry=self.registry
        )


def configure_logging(level: str) -> None:
    """JSON lines on standard error, each with the correlation id of the exchange it belongs to; libraries' own included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_correlation,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # The store, asyncio and aiohttp speak through the standard library: a task that failed unseen is told in the same form.
    foreign = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    foreign.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[foreign], force=True)


def _add_correlation(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if value := correlation_id.get():
        event.setdefault("correlation_id", value)
    return event
