"""Both listeners: the middleware every request passes, and the applications."""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from connector.errors import ConnectorError
from connector.observe import HEADER, Metrics, correlation_id, take_correlation
from connector.web.dsp import plain_error
from connector.web.errors import status_of

log = structlog.get_logger()


def application(surface: str, routes: Iterable[web.AbstractRouteDef], metrics: Metrics) -> web.Application:
    """Return an application whose every answer carries the correlation id and never a stack trace."""
    app = web.Application(middlewares=[_outermost(surface, metrics)])
    app.add_routes(routes)
    app.on_response_prepare.append(_headers)
    return app


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault(HEADER, correlation_id.get())
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Server"] = "connector"


def _outermost(surface: str, metrics: Metrics) -> Middleware:
    @web.middleware
    async def outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        take_correlation(request.headers.get(HEADER))
        response = await _guarded(request, handler)
        taken = time.perf_counter() - began
        metrics.requests.labels(surface, f"{response.status // 100}xx").observe(taken)
        resource = request.match_info.route.resource
        log.debug("http", surface=surface, method=request.method, route=resource.canonical if resource else "none",
                  status=response.status, ms=round(taken * 1000, 2))  # fmt: skip
        return response

    return outermost


async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return plain_error(
            error.status, error.reason.lower().replace(" ", "-"), f"{request.method} {request.path[:200]}: {error.reason}"
        )
    except ConnectorError as error:
        return plain_error(status_of(error), error.code, str(error))
    except Exception:
        log.exception("http.unexpected", method=request.method, path=request.path[:200])
        return plain_error(
            500, "internal", "something went wrong here; the operator finds it in the log by the correlation id"
        )
