"""Reading request bodies: bounded in size and time, whatever the caller sends."""

from __future__ import annotations

import asyncio
import zlib
from datetime import timedelta

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from connector.errors import Malformed, TooLarge, UnsupportedMedia

JSON_TYPES = frozenset({"application/json", "application/ld+json"})


async def read_json_body(request: web.Request, limit: int, within: timedelta) -> bytes:
    """Return the body of a JSON request.

    Raises:
        UnsupportedMedia: the media type is not JSON.
        TooLarge: more than `limit` bytes (after decompression), or slower than `within`.
        Malformed: the transfer or content coding is broken.
    """
    declared = request.headers.get("Content-Type")
    if declared is not None and request.content_type not in JSON_TYPES:
        raise UnsupportedMedia(f"send application/json, not {request.content_type[:80]}")
    if (request.content_length or 0) > limit:
        raise TooLarge(f"the body has {request.content_length} bytes, at most {limit} are taken")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(within.total_seconds()):
            async for part in request.content.iter_chunked(1 << 16):
                size += len(part)
                if size > limit:
                    raise TooLarge(f"the body has more than {limit} bytes")
                parts.append(part)
    except TimeoutError as error:
        raise TooLarge(f"the body did not arrive within {within.total_seconds():g} s") from error
    except (web.HTTPException, web.RequestPayloadError, HttpProcessingError, zlib.error, ValueError, OSError) as error:
        raise Malformed("the body cannot be read: check Content-Encoding and Transfer-Encoding") from error
    return b"".join(parts)
