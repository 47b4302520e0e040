"""Settings: `connector.toml`, overridden by `CONNECTOR_*` environment variables.

`CONNECTOR_PUBLIC_PORT=8443` sets `[public] port`; a list is comma-separated. A duration is written `"30s"`, `"1h30m"` or
`"PT10M"`. `load` reports every problem at once, with file, line and column: unknown keys with the nearest known one,
wrong types, wrong values, and combinations that would leave a door open. An unknown variable that resembles no key is
left alone: Kubernetes gives a pod beside a service called "connector" a dozen of them.
"""

from __future__ import annotations

import base64
import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_type_hints
from urllib.parse import urlsplit

from connector.errors import InvalidFiles, Problem
from connector.values import convert, from_text

FILE = "connector.toml"


@dataclass(frozen=True, slots=True)
class Public:
    """The listener that partners reach. `url` is its address as they see it; DSP lives at `url` + `/dsp/2025-1`."""

    host: str = "127.0.0.1"
    port: int = 8080
    url: str = "http://127.0.0.1:8080"
    max_body: int = 1_000_000  # bytes of a DSP message
    body_timeout: timedelta = timedelta(seconds=15)  # a body slower than this is refused


@dataclass(frozen=True, slots=True)
class Jwt:
    """Who may use the management API with an OAuth2 token: `jwks` are the issuer's keys, a file or an address."""

    issuer: str
    audience: str
    jwks: str


@dataclass(frozen=True, slots=True)
class Management:
    """The private listener: management API, health, metrics. Refuses a non-loopback host without `api_key` or `jwt`."""

    host: str = "127.0.0.1"
    port: int = 8081
    api_key: str | None = field(default=None, repr=False)
    jwt: Jwt | None = None
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
class Node:
    """A connector whose catalogue is fetched: its id, and its DSP address."""

    id: str
    url: str


@dataclass(frozen=True, slots=True)
class Federation:
    """The federated catalogue: whose catalogues are held, how often they are fetched, how long a silent one is kept."""

    nodes: tuple[Node, ...] = ()
    partners: bool = False  # those of the trust file that have a `dsp` address, too
    every: timedelta = timedelta(minutes=10)
    keep: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who is told of events: those whose name one of `events` begins, all where there is none. `secret` signs them."""

    url: str
    secret: str = field(repr=False)
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Events:
    """Webhooks, each written as [[events.subscribers]]."""

    subscribers: tuple[Subscriber, ...] = ()


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
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    public: Public = Public()
    management: Management = Management()
    identity: IdentitySettings = IdentitySettings()
    deciding: Deciding = Deciding()
    delivering: Delivering = Delivering()
    data: Data = Data()
    network: Network = Network()
    events: Events = Events()
    federation: Federation = Federation()


# --- reading -------------------------------------------------------------------------------------------------------

Key = tuple[str, ...]  # ("public", "port")
SECRETS: frozenset[Key] = frozenset({("management", "api_key"), ("identity", "plain_tokens")})


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value was written: a place in the file, or the variable that overrides it."""

    file: str
    line: int | None = None
    column: int | None = None
    path: str = ""

    def problem(self, code: str, message: str) -> Problem:
        return Problem(code, message, self.file, self.line, self.column, self.path)


@dataclass(frozen=True, slots=True)
class Given:
    value: object
    spot: Spot


def load(root: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings of the folder `root`.

    Raises:
        InvalidFiles: with every problem found.
    """
    file = root / FILE
    try:
        text = file.read_bytes().decode()
    except FileNotFoundError as error:
        message = f"is missing; `connector init {root}` writes one"
        raise InvalidFiles((Problem("config-missing", message, str(file)),)) from error
    except UnicodeDecodeError as error:
        raise InvalidFiles((Problem("config-encoding", "is not UTF-8; save it as UTF-8", str(file)),)) from error
    return parse(text, str(file), root, environ)


def parse(text: str, file: str, root: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings that `text`, the content of `file`, and `environ` say. Raises as `load` does."""
    problems: list[Problem] = []
    given = {**_in_file(text, file, problems), **_in_environment(environ, problems)}
    values: dict[Key, Any] = {}
    for key, entry in given.items():
        try:
            values[key] = convert(known()[key], entry.value)
        except ValueError as error:
            wrong = "is not text in quotes" if key in SECRETS else error  # a secret is not repeated
            problems.append(entry.spot.problem("config-value", f"{_name(key)} {wrong}"))
    settings = _build(root, values)
    spots = {key: entry.spot for key, entry in given.items()}
    problems += _contradictions(settings, spots, Spot(file))
    if problems:
        raise InvalidFiles(tuple(sorted(problems, key=lambda p: (p.file or "", p.line or 0, p.column or 0))))
    return settings


@cache
def known() -> Mapping[Key, Any]:
    """Return every key of `connector.toml` with its type."""
    keys: dict[Key, Any] = {}
    for name, kind in get_type_hints(Settings).items():
        if is_dataclass(kind):
            keys |= {(name, inner): of for inner, of in get_type_hints(kind).items()}
        elif name != "root":
            keys[name,] = kind
    return keys


def _build(root: Path, values: Mapping[Key, Any]) -> Settings:
    """Return the settings with `values`, everything else by default (what is wrong has been noted and is left out)."""
    arguments: dict[str, Any] = {"participant": "", **{key[0]: value for key, value in values.items() if len(key) == 1}}
    for name, kind in get_type_hints(Settings).items():
        if is_dataclass(kind):
            make: Any = kind
            arguments[name] = make(**{key[1]: value for key, value in values.items() if len(key) == 2 and key[0] == name})
    return Settings(root=root, **arguments)


def _in_file(text: str, file: str, problems: list[Problem]) -> dict[Key, Given]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(_syntax(error, text, file))
        return {}
    places = _places(text)
    found: dict[Key, Given] = {}
    for key, value in _leaves(document):
        line, column, value_column = places.get(key) or places.get(key[:1]) or (1, 1, 1)
        if key in known():
            found[key] = Given(value, Spot(file, line, value_column))
        else:
            problems.append(Spot(file, line, column).problem("config-key", _unknown(key)))
    return found


def _leaves(document: Mapping[str, object]) -> Iterator[tuple[Key, object]]:
    sections = {key[0] for key in known() if len(key) == 2}
    for name, value in document.items():
        if isinstance(value, dict):
            yield from (((name, inner), of) for inner, of in value.items())
            if not value and name not in sections:
                yield (name,), value
        else:
            yield (name,), value


def _unknown(key: Key) -> str:
    names = {_name(other) for other in known()}
    sections = {f"[{other[0]}]" for other in known() if len(other) == 2}
    if len(key) == 2 and f"[{key[0]}]" not in sections:
        return f"there is no section [{key[0]}]{_nearest(f'[{key[0]}]', sections)}"
    return f"there is no key {_name(key)}{_nearest(_name(key), names)}"


def _nearest(word: str, words: set[str]) -> str:
    near = difflib.get_close_matches(word, sorted(words), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(words))}"


def _name(key: Key) -> str:
    return ".".join(key)


def _syntax(error: tomllib.TOMLDecodeError, text: str, file: str) -> Problem:
    message = str(error)
    at = re.search(r" \(at line (\d+), column (\d+)\)", message)
    if at:
        return Problem("config-toml", message[: at.start()], file, int(at[1]), int(at[2]))
    lines = text.splitlines() or [""]  # "(at end of document)"
    return Problem("config-toml", message, file, len(lines), len(lines[-1]) + 1)


SECTION = re.compile(r"\s*\[\s*([\w-]+)\s*\]")
ENTRY = re.compile(r"\s*(?P<key>[\w-]+(?:\s*\.\s*[\w-]+)*)\s*=\s*")


def _places(text: str) -> dict[Key, tuple[int, int, int]]:
    """Return for each key its line, its column and its value's column; tomllib tells values but no places."""
    places: dict[Key, tuple[int, int, int]] = {}
    section: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := SECTION.match(line):
            section = (header[1],)
            places.setdefault(section, (number, header.start(1) + 1, header.start(1) + 1))
        elif entry := ENTRY.match(line):
            key = section + tuple(part.strip() for part in entry["key"].split("."))
            places.setdefault(key, (number, entry.start("key") + 1, entry.end() + 1))
    return places


def _in_environment(environ: Mapping[str, str], problems: list[Problem]) -> dict[Key, Given]:
    variables = {"_".join(key).upper(): key for key in known()}
    found: dict[Key, Given] = {}
    for variable, value in sorted(environ.items()):
        if not variable.startswith("CONNECTOR_"):
            continue
        spot, name = Spot("environment", path=variable), variable.removeprefix("CONNECTOR_")
        if key := variables.get(name):
            found[key] = Given(from_text(known()[key], value), spot)
        elif near := difflib.get_close_matches(name, variables, 1, 0.8):
            problems.append(spot.problem("config-key", f"sets nothing; did you mean CONNECTOR_{near[0]}?"))
    return found


# --- what must not be combined ---------------------------------------------------------------------------------------


def loopback(host: str) -> bool:
    """Return whether a listener on `host` is out of reach of other machines."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _contradictions(settings: Settings, spots: Mapping[Key, Spot], file: Spot) -> Iterator[Problem]:
    def problem(key: Key, message: str) -> Problem:
        return spots.get(key, file).problem("config-value", f"{_name(key)} {message}")

    public, management, identity = settings.public, settings.management, settings.identity
    if not settings.participant and ("participant",) not in spots:
        yield problem(("participant",), "is missing; write this participant's id in the data space")
    for section, listener in (("public", public), ("management", management)):
        if not 0 <= listener.port <= 65535:
            yield problem((section, "port"), f"is {listener.port}; write a port between 1 and 65535")
        if listener.max_body <= 0:
            yield problem((section, "max_body"), f"is {listener.max_body}; write a number of bytes above zero")
        if identity.kind == "plain" and not loopback(listener.host):
            words = "but the plain identity proves nothing and is for tests on one machine"
            instead = 'write "127.0.0.1", or set [identity] kind = "trust"'
            yield problem((section, "host"), f"is {listener.host}, {words}; {instead}")
    if not loopback(management.host) and management.api_key is None and management.jwt is None:
        words = "open to others, without an api_key; set api_key, [management.jwt] or 127.0.0.1"
        yield problem(("management", "host"), f"is {management.host}, {words}")
    if management.jwt and "://" in management.jwt.jwks and (wrong := _url(management.jwt.jwks, settings.development)):
        yield problem(("management", "jwt"), f"jwks {wrong}")
    for node in settings.federation.nodes:
        if urlsplit(node.url).scheme not in ("http", "https"):
            yield problem(("federation", "nodes"), f"url is {node.url!r}; write a DSP address, https://.../dsp/2025-1")
    for subscriber in settings.events.subscribers:
        if wrong := _hook(subscriber, settings.development):
            yield problem(("events", "subscribers"), wrong)
    if wrong := _url(public.url, settings.development):
        yield problem(("public", "url"), wrong)
    for token in identity.plain_tokens:
        if not all(token.rpartition("=")):
            yield problem(("identity", "plain_tokens"), "has an entry that is not TOKEN=PARTICIPANT")


def _hook(subscriber: Subscriber, development: bool) -> str | None:
    parts = urlsplit(subscriber.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"has the url {subscriber.url!r}; write the address that takes the events, https://..."
    if parts.scheme == "http" and not development:
        return f"has the url {subscriber.url!r}, which anyone on the way can read; write https://"
    try:
        key = base64.b64decode(subscriber.secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) < 24:
        return (
            f"has a secret for {subscriber.url} that is not base64 of 24 bytes or more: `openssl rand -base64 32` makes one"
        )
    return None


def _url(url: str, development: bool) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return f"is {url!r}, which is not a URL"
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        return f"is {url!r}; write the address that partners use, such as https://connector.hospital.example"
    if parts.scheme == "http" and not development:
        return f"is {url!r}, which anyone on the way can read; write https://, or development = true on a test machine"
    return None
