"""Health and metrics on the private listener: alive, ready (and what is not), Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web
from prometheus_client import generate_latest

from connector.observe import Metrics

Check = Callable[[], Awaitable[str | None]]  # what is wrong, in words; None: ready


def routes(checks: Mapping[str, Check], metrics: Metrics, measure: Callable[[], Awaitable[None]]) -> list[web.RouteDef]:
    """Return the routes. `measure` brings the gauges up to date, right before they are read."""

    async def live(request: web.Request) -> web.Response:
        return _json({"status": "live"})

    async def ready(request: web.Request) -> web.Response:
        found = {name: await check() for name, check in checks.items()}
        wrong = {name: text for name, text in found.items() if text}
        parts = {name: text or "ready" for name, text in found.items()}
        return _json({"status": "not ready" if wrong else "ready", "parts": parts}, 503 if wrong else 200)

    async def prometheus(request: web.Request) -> web.Response:
        await measure()
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    return [web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", prometheus)]


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
