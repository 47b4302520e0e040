"""Health and metrics on the private listener: alive, ready (and what is not), Prometheus; and the same as EDC shows it.

EDC's checks stand below `/api`, its default port's path, and `/observability`; its version API at `/v1/version`, bare and
below the path of its version port. Like `/health` they need no key: probes have none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import orjson
from aiohttp import web
from prometheus_client import generate_latest

from connector.observe import Metrics

OBSERVED = ("/api", "/observability")
VERSIONED = ("", "/.well-known/api")
UPDATED = "2026-11-23T00:00:00Z"
VERSIONS = {
    "management": [
        {"version": version, "urlPath": path, "lastUpdated": UPDATED, "maturity": "stable"}
        for version, path in (("3.1.6", "/v3"), ("4.1.0", "/v4"))
    ],
    "observability": [{"version": "1.0.0", "urlPath": "/check", "lastUpdated": UPDATED, "maturity": "stable"}],
    "version": [{"version": "1.0.1", "urlPath": "/v1", "lastUpdated": UPDATED, "maturity": "stable"}],
    "catalog": [{"version": "1.0.0-alpha", "urlPath": "/v1alpha", "lastUpdated": UPDATED, "maturity": "alpha"}],
}
Check = Callable[[], Awaitable[str | None]]  # what is wrong, in words; None: ready


def routes(
    checks: Mapping[str, Check], notices: Mapping[str, Check], metrics: Metrics, measure: Callable[[], Awaitable[None]]
) -> list[web.RouteDef]:
    """Return the routes. What `checks` find keeps us from serving; `notices` are for the operator, and we serve on.

    `measure` brings the gauges up to date, right before they are read.
    """

    async def live(request: web.Request) -> web.Response:
        return _json({"status": "live"})

    async def ready(request: web.Request) -> web.Response:
        found = {name: await check() for name, check in checks.items()}
        noticed = {name: text for name, notice in notices.items() if (text := await notice())}
        parts = {name: text or "ready" for name, text in found.items()}
        wrong = any(found.values())
        answer = {"status": "not ready" if wrong else "ready", "parts": parts, "notices": noticed}
        return _json(answer, 503 if wrong else 200)

    async def prometheus(request: web.Request) -> web.Response:
        await measure()
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def checked(request: web.Request) -> web.Response:
        only_alive = request.match_info["probe"] == "liveness"
        found = {"connector": None} if only_alive else {name: await check() for name, check in checks.items()}
        return _json(*status(found))

    async def versions(request: web.Request) -> web.Response:
        return _json(VERSIONS)

    probes = [web.get(base + "/check/{probe:health|readiness|liveness|startup}", checked) for base in OBSERVED]
    return [
        web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", prometheus), *probes,
        *(web.get(base + "/v1/version", versions) for base in VERSIONED),
    ]  # fmt: skip


def status(found: Mapping[str, str | None]) -> tuple[object, int]:
    """Return EDC's HealthStatus and its HTTP status. `found` says what is wrong with each component, or None."""
    results = [
        {"component": name, "isHealthy": text is None} | ({"failure": {"messages": [text]}} if text else {})
        for name, text in found.items()
    ]
    healthy = not any(found.values())
    return {"isSystemHealthy": healthy, "componentResults": results}, 200 if healthy else 503


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")
