"""The management API of a running connector, call by call (EDC's paths, version 3): ours, or any that speaks it.

The API's error bodies become the project's own errors, so that a program can tell a refusal from a peer that sleeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from connector import errors
from connector.client.wire import objects, plain, text
from connector.odrl.model import Json

if TYPE_CHECKING:
    import httpx

CONTEXT: Json = {"@vocab": "https://w3id.org/edc/v0.0.1/ns/"}
States = Callable[[str], None]  # told each state a process is seen in
_BY_STATUS: dict[int, type[errors.ConnectorError]] = {
    400: errors.Malformed,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}
_BY_CAUSE = {error.code: error for error in (errors.NotFound, errors.Denied)}  # of a 502: it is the partner that says so


class Api:
    """One connector's management API. `url` is the listener's address, or the API's own where that has another path."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        import httpx

        self.url = url.rstrip("/")
        self._base = self.url if urlsplit(self.url).path else self.url + "/management"
        headers = {"x-api-key": api_key} if api_key else {}
        # trust_env off: a proxy of the operator's shell has no business between a program and its own connector
        self._http = httpx.AsyncClient(timeout=90, trust_env=False, headers=headers)

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, *path: str, **params: str) -> Any:
        return await self._call("GET", path, None, params)

    async def post(self, *path: str, body: dict[str, Json] | None = None) -> Any:
        return await self._call("POST", path, {"@context": CONTEXT, **(body or {})})

    async def query(self, family: str, limit: int = 50, offset: int = 0, /, **equal: str) -> list[dict[str, Json]]:
        """Return records of a family, where the given fields have the given values."""
        criteria: list[Json] = [{"operandLeft": k, "operator": "=", "operandRight": v} for k, v in equal.items()]
        body: dict[str, Json] = {"offset": offset, "limit": limit, "filterExpression": criteria}
        return objects(await self.post(family, "request", body=body))

    async def wait(self, family: str, id: str, wanted: frozenset[str], within: float, seen: States = lambda _: None) -> str:
        """Return the first of the `wanted` states that a process reaches.

        Raises:
            Unavailable: `within` seconds went by.
        """
        give_up, pause = time.monotonic() + within, 0.005
        while (state := text((await self.get(family, id, "state")).get("state"))) not in wanted:
            seen(state)
            if time.monotonic() > give_up:
                raise errors.Unavailable(
                    f"{id} is still {state} after {within:g} s. It goes on by itself; look at it with "
                    f"`connector {'negotiations' if 'negotiation' in family else 'transfers'} show {id}`"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        seen(state)
        return state

    async def raw(self, method: str, *path: str, body: Json = None, params: Mapping[str, str] | None = None) -> Any:
        """Return an answer as it came, contexts and prefixes included."""
        import httpx

        url = f"{self._base}/v3/" + "/".join(quote(part, safe="") for part in path)
        try:
            response = await self._http.request(method, url, json=body, params=params)
        except httpx.TransportError as error:
            raise NotRunning(
                f"no connector answers at {self.url} ({type(error).__name__}). Start it with `connector serve DIR`, "
                "or name another one with --dir or --management"
            ) from error
        if response.is_error:
            raise _error(response)
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise errors.Unavailable(f"what answers at {self._base} is no management API: its answer is not JSON") from error

    async def _call(self, method: str, path: tuple[str, ...], body: Json, params: Mapping[str, str] | None = None) -> Any:
        return plain(await self.raw(method, *path, body=body, params=params))


class NotRunning(errors.Unavailable):
    """The own connector does not answer; a peer that does not answer is a plain Unavailable."""


def _error(response: httpx.Response) -> errors.ConnectorError:
    kind = _BY_STATUS.get(response.status_code, errors.ConnectorError)
    try:
        told = objects(response.json())
    except ValueError:
        told = []
    if response.status_code == 502:
        kind = next((_BY_CAUSE[code] for one in told if (code := text(one.get("cause"))) in _BY_CAUSE), kind)
    words = [text(item.get("message")) for item in told]
    message = "; ".join(filter(None, words)) or f"the connector answered {response.status_code}"
    if response.status_code == 401:
        message += ". Name the connector's folder with --dir, or its key in CONNECTOR_MANAGEMENT_API_KEY"
    return kind(message)
