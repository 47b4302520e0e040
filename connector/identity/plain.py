"""The test profile: whoever says who they are is believed. For conformance kits and EDC's mock identity, on loopback only.

Two forms come in: a fixed `Authorization` value from the settings (`TOKEN=PARTICIPANT`, the last `=` divides), and the bare
JSON of EDC's mock identity, `{"region", "clientId", "audience"}`, whose other texts become claims. The second goes out.
"""

from __future__ import annotations

import json

from connector.config import Settings
from connector.errors import OperatorError, Unauthorized
from connector.identity.participant import Participant

OWN = frozenset({"clientId", "audience"})


class PlainIdentity:
    """ports.Identity that proves nothing."""

    def __init__(self, settings: Settings) -> None:
        self._participant = settings.participant
        self._known = dict(map(_divide, settings.identity.plain_tokens))

    async def authorize(self, audience: str, purpose: str | None) -> str:
        said = {"region": "eu", "clientId": self._participant, "audience": audience}
        return json.dumps(said | ({} if purpose is None else {"purpose": purpose}))

    async def verify(self, authorization: str | None) -> Participant:
        if not authorization:
            raise Unauthorized("send an Authorization header")
        if (participant := self._known.get(authorization)) is not None:
            return Participant(participant)
        return _mock(authorization)


def _mock(authorization: str) -> Participant:
    try:
        said = json.loads(authorization)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("clientId"), str) or not said["clientId"]:
        raise Unauthorized('Authorization is none of the fixed tokens, nor {"region", "clientId", "audience"}')
    return Participant(said["clientId"], {k: v for k, v in said.items() if isinstance(v, str) and k not in OWN})


def _divide(written: str) -> tuple[str, str]:
    token, divided, participant = written.rpartition("=")
    if not divided or not token or not participant:
        raise OperatorError("[identity] plain_tokens: each is TOKEN=PARTICIPANT")
    return token, participant
