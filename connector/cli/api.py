"""A client of a running connector's management API, as the commands need it (EDC's paths, version 3).

The API's error bodies become the project's own errors, so that a command's exit code says what happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from connector import errors
from connector.cli.wire import objects, plain, text
from connector.odrl.model import Json

if TYPE_CHECKING:
    import httpx

CONTEXT: Json = {"@vocab": "https://w3id.org/edc/v0.0.1/ns/"}
PROTOCOL = "dataspace-protocol-http:2025-1"
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


class Management(AbstractContextManager["Management"]):
    """One connector's management API. `url` is the listener's address, without a path."""

    def __init__(self, url: str, api_key: str | None, *, client: httpx.Client | None = None) -> None:
        import httpx

        self.url = url.rstrip("/")
        self._headers = {"x-api-key": api_key} if api_key else {}
        # trust_env off: a proxy of the operator's shell has no business between the CLI and its own connector
        self._http = client or httpx.Client(timeout=90, trust_env=False)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def get(self, *path: str) -> Any:
        return self._call("GET", path, None)

    def post(self, *path: str, body: dict[str, Json] | None = None) -> Any:
        return self._call("POST", path, {"@context": CONTEXT, **(body or {})})

    def query(self, family: str, *, limit: int = 50, **equal: str) -> list[dict[str, Json]]:
        """Return the newest records of a family, where the given fields have the given values."""
        criteria: list[Json] = [{"operandLeft": k, "operator": "=", "operandRight": v} for k, v in equal.items()]
        body: dict[str, Json] = {"limit": limit, "filterExpression": criteria}
        return objects(self.post(family, "request", body=body))

    def wait(
        self, family: str, id: str, wanted: frozenset[str], timeout: float, seen: Callable[[str], None] = lambda _: None
    ) -> str:
        """Return the first of the `wanted` states that a process reaches.

        Raises:
            Unavailable: `timeout` seconds went by.
        """
        give_up, pause = time.monotonic() + timeout, 0.005
        while (state := text(self.get(family, id, "state").get("state"))) not in wanted:
            seen(state)
            if time.monotonic() > give_up:
                raise errors.Unavailable(
                    f"{id} is still {state} after {timeout:g} s. It goes on by itself; look at it with "
                    f"`connector {'negotiations' if 'negotiation' in family else 'transfers'} show {id}`"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        return state

    def _call(self, method: str, path: tuple[str, ...], body: Json) -> Any:
        import httpx

        url = f"{self.url}/management/v3/" + "/".join(quote(part, safe="") for part in path)
        try:
            response = self._http.request(method, url, json=body, headers=self._headers)
        except httpx.TransportError as error:
            raise NotRunning(
                f"no connector answers at {self.url} ({type(error).__name__}). Start it with `connector serve DIR`, "
                "or name another one with --dir or --management"
            ) from error
        if response.is_error:
            raise _error(response)
        return plain(response.json()) if response.content else None


class NotRunning(errors.Unavailable):
    """The own connector does not answer; a peer that does not answer is a plain Unavailable."""


def _error(response: httpx.Response) -> errors.ConnectorError:
    kind = _BY_STATUS.get(response.status_code, errors.ConnectorError)
    try:
        words = [text(item.get("message")) for item in objects(response.json())]
    except ValueError:
        words = []
    message = "; ".join(filter(None, words)) or f"the connector answered {response.status_code}"
    if response.status_code == 401:
        message += ". Name the connector's folder with --dir, or its key in CONNECTOR_MANAGEMENT_API_KEY"
    return kind(message)
