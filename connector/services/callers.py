"""Callers of the management API: who they are by an OAuth2 token, with the issuer's keys kept at hand."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from connector.config import Jwt
from connector.errors import ConnectorError, OperatorError, Unavailable
from connector.identity.issuers import Caller, caller, key_set
from connector.identity.keys import Key
from connector.observe import current_correlation
from connector.ports import Clock, Peers

log = structlog.get_logger()

FRESH = timedelta(minutes=10)  # keys are fetched again after this,
SOONEST = timedelta(seconds=30)  # or when a token names an unknown key, but not more often than this


class Callers:
    """`settings.jwks` is a file (below `root`) or an address, which is fetched under the guard of all outgoing calls."""

    def __init__(self, settings: Jwt, root: Path, peers: Peers, clock: Clock) -> None:
        self._settings, self._root, self._peers, self._clock = settings, root, peers, clock
        self._keys: dict[str, Key] = {}
        self._tried: datetime | None = None
        self._turn = asyncio.Lock()

    async def verify(self, token: str) -> Caller:
        """Return who sends `token`. Raises Unauthorized; Unavailable while the issuer's keys cannot be had."""
        known = self._tried
        await self._refresh(FRESH)
        try:
            return self._caller(token)
        except ConnectorError:
            if self._tried != known:
                raise
        await self._refresh(SOONEST)  # the issuer may have a new key
        return self._caller(token)

    def _caller(self, token: str) -> Caller:
        return caller(token, self._settings.issuer, self._settings.audience, self._clock(), self._keys)

    async def _refresh(self, after: timedelta) -> None:
        """Read the keys again if the last try is longer ago than `after`; old keys stay when it fails."""
        async with self._turn:
            now = self._clock()
            wait = after if self._keys else SOONEST
            if self._tried is not None and now - self._tried < wait:
                if not self._keys:
                    raise Unavailable("the keys of the tokens' issuer cannot be had; see the log, and [management.jwt] jwks")
                return
            self._tried = now
            try:
                self._keys = key_set(await self._text())
            except ConnectorError as error:
                log.warning("callers.no-keys", jwks=self._settings.jwks, error=str(error)[:300], kept=len(self._keys))
                if not self._keys:
                    raise Unavailable(f"the keys of the tokens' issuer cannot be had: {error}") from error

    async def _text(self) -> str:
        where = self._settings.jwks
        if "://" in where:
            answer = await self._peers.get(where, None, current_correlation())
            if answer.status != 200:
                raise Unavailable(f"{where} answered {answer.status}")
            return answer.body.decode("utf-8", "replace")
        try:
            return await asyncio.to_thread((self._root / where).read_text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise OperatorError(f"{where} cannot be read as text: {type(error).__name__}") from error
