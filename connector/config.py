"""Settings: `connector.toml`, overridden by `CONNECTOR_*` environment variables.

`CONNECTOR_PUBLIC_PORT=8443` sets `[public] port`; a list is comma-separated. Unknown keys are errors that name the file
and line and the nearest known key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Public:
    """The listener that partners reach. `url` is its address as they see it; DSP lives at `url` + `/dsp/2025-1`."""

    host: str = "127.0.0.1"
    port: int = 8080
    url: str = "http://127.0.0.1:8080"
    max_body: int = 1_000_000  # bytes of a DSP message
    body_timeout: timedelta = timedelta(seconds=15)  # a body slower than this is refused


@dataclass(frozen=True, slots=True)
class Management:
    """The private listener: management API, health, metrics. Refuses a non-loopback host without `api_key`."""

    host: str = "127.0.0.1"
    port: int = 8081
    api_key: str | None = field(default=None, repr=False)
    max_body: int = 4_000_000


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """`trust`: participants and public keys in `trust_file`. `plain`: test tokens, loopback listeners only."""

    kind: Literal["trust", "plain"] = "trust"
    trust_file: str = "trust.toml"
    keys: str = "keys"
    plain_tokens: tuple[str, ...] = ()  # "TOKEN=PARTICIPANT": this Authorization value is that participant


@dataclass(frozen=True, slots=True)
class Deciding:
    """How negotiations are decided: by `policy`, or `manual`: pending until an operator approves."""

    approval: Literal["policy", "manual"] = "policy"
    deadline: timedelta = timedelta(days=1)  # a negotiation or requested transfer that nothing moves ends then


@dataclass(frozen=True, slots=True)
class Delivering:
    """Retries of outgoing messages: `first`, doubled up to `longest`, jittered, until `give_up`."""

    first: timedelta = timedelta(milliseconds=500)
    longest: timedelta = timedelta(minutes=5)
    give_up: timedelta = timedelta(hours=6)
    timeout: timedelta = timedelta(seconds=30)  # one HTTP request


@dataclass(frozen=True, slots=True)
class Data:
    token_lifetime: timedelta = timedelta(minutes=10)
    refresh_lifetime: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Network:
    """`allow`: CIDRs and host names that may be called although they are private; development mode allows all."""

    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator can set. Relative paths are relative to `root`, the folder of `connector.toml`."""

    root: Path
    participant: str
    name: str = ""
    development: bool = False
    database: str = "connector.sqlite"
    catalog: str = "catalog"
    policies: str = "policies"
    log_level: str = "info"
    public: Public = Public()
    management: Management = Management()
    identity: IdentitySettings = IdentitySettings()
    deciding: Deciding = Deciding()
    delivering: Delivering = Delivering()
    data: Data = Data()
    network: Network = Network()
    source_options: dict[str, str] = field(default_factory=dict)
