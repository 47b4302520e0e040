"""Events as they happen, for user interfaces: server-sent events (WHATWG HTML, section 9.2), each data a CloudEvent.

`id` is the place in the audit, so a browser that was cut off goes on where it was: it sends Last-Event-ID by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import orjson
from aiohttp import web

from connector.errors import Malformed
from connector.identity.issuers import Caller
from connector.services.events import Event
from connector.services.notifying import Notifications

PATH = "/events"
BEAT = 15.0  # seconds without an event after which a comment keeps proxies from closing the connection
STALLED = 30.0  # seconds after which a reader that takes nothing is given up: it comes back with Last-Event-ID
LATEST = 2**63 - 1  # of what the store can count

Handler = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]


def stream(notifications: Notifications) -> Handler:
    async def handler(request: web.Request, caller: Caller) -> web.StreamResponse:
        after, prefixes = _after(request), request.query.getall("events", [])
        start = await notifications.latest() if after is None else after
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        with suppress(TimeoutError, ConnectionError):  # the reader has gone, or takes nothing
            await response.write(b"retry: 1000\n\n")
            async for event in notifications.follow(start, prefixes, BEAT):
                async with asyncio.timeout(STALLED):
                    await response.write(b":\n\n" if event is None else _written(event, notifications))
        return response

    return handler


def _written(event: Event, notifications: Notifications) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.seq, event.type.encode(), orjson.dumps(notifications.document(event)),
    )  # fmt: skip


def _after(request: web.Request) -> int | None:
    """Return the seq after which the reader wants to go on; None: from now on. Raises Malformed."""
    given = request.headers.get("Last-Event-ID") or request.query.get("after")
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or int(given) > LATEST:
        raise Malformed("Last-Event-ID (or ?after=) is the id of an event that came from here: a number")
    return int(given)
