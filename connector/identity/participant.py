"""A participant of the data space as this connector knows it after authentication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Participant:
    """An authenticated caller.

    `claims` are what its token proves or declares, by name: `purpose` (an IRI, declared and signed), `spatial`
    (ISO 3166-1 alpha-2 country of its seat, from the trust file), and so on. `key` is the RFC 7638 thumbprint of the
    key it proved to hold, where there is one.
    """

    id: str
    claims: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
