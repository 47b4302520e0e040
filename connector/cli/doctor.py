"""`connector doctor`: one line per thing that has to be right before two connectors can talk, and what to do about it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from connector.cli import output
from connector.cli.exits import Exit
from connector.cli.folder import problems
from connector.cli.output import JsonOption
from connector.cli.own import DirArgument, private_url, settings
from connector.config import Settings
from connector.dsp import dialects
from connector.dsp.binding import WELL_KNOWN
from connector.dsp.versions import read_version
from connector.errors import ConnectorError, InvalidFiles, Malformed

if TYPE_CHECKING:
    import httpx

SKEW = 30.0  # seconds that two clocks may differ: tokens live for a minute


@dataclass(frozen=True, slots=True)
class Finding:
    """One look. `todo` says what to do where it is not good."""

    name: str
    level: Literal["good", "warning", "bad"]
    text: str
    todo: str = ""

    def __str__(self) -> str:
        mark = {"good": "ok  ", "warning": "warn", "bad": "BAD "}[self.level]
        return f"{mark} {self.name:<12}{self.text}" + (f"\n{'':<17}-> {self.todo}" if self.todo else "")


def doctor(dir: DirArgument, json: JsonOption = False) -> None:
    """Look at everything that has to be right: files, keys, ports, clock, store, own address, every partner."""
    findings: list[Finding] = []
    for finding in examine(dir):
        findings.append(finding)
        if not json:
            output.line(finding)  # each as soon as it is known: a partner that does not answer takes its time
    bad = [f for f in findings if f.level == "bad"]
    output.result({"ok": not bad, "findings": [asdict(f) for f in findings]}, "")
    if bad:
        raise typer.Exit(Exit.FAILED)


def examine(dir: Path) -> Iterator[Finding]:
    """Look at a connector's folder and its surroundings, the near things first."""
    found = problems(dir)
    for problem in found:
        yield Finding("files", "bad" if problem.level == "error" else "warning", str(problem))
    try:
        own = settings(dir)
    except InvalidFiles:
        return
    if not found:
        yield Finding("files", "good", "settings, trust, policies and catalogue are good")
    yield from _permissions(own)
    yield _keys(own)
    yield _store(own)
    alive = _alive(own)
    yield from _listeners(own, alive)
    import httpx

    with httpx.Client(timeout=10, trust_env=False) as client:
        if alive:
            yield _ready(client, own)
        yield _reachable(client, own, alive)
        yield from _partners(client, own)


def _permissions(own: Settings) -> Iterator[Finding]:
    for name in ("connector.toml", own.identity.keys, own.database):
        path = own.root / name
        if path.exists() and path.stat().st_mode & 0o077 and not (path.is_dir() and not path.stat().st_mode & 0o007):
            yield Finding("permissions", "warning", f"others can read {path}", f"chmod go-rwx {path}")


def _keys(own: Settings) -> Finding:
    from connector.identity.keys import Keys

    now = datetime.now(UTC)
    try:
        ring = Keys.load(own.root / own.identity.keys)
        signing = ring.signing(now)
    except ConnectorError as error:
        return Finding("keys", "bad", str(error))
    return Finding("keys", "good", f"{len(ring.valid(now))} valid, {signing.kid[:12]}... signs")


def _store(own: Settings) -> Finding:
    import sqlite3

    path = own.root / own.database
    folder = path.parent
    if not path.exists():
        if os.access(folder, os.W_OK):
            return Finding("store", "good", f"{path} will be made at the first start")
        return Finding("store", "bad", f"cannot make {path}", f"let this user write to {folder}")
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return Finding("store", "bad", f"{path}: {error}", "restore it from the last backup (docs/operations.md)")
    if answer != "ok":
        return Finding("store", "bad", f"{path}: {answer}", "restore it from the last backup (docs/operations.md)")
    return Finding("store", "good", f"{path} opens and is whole")


def _alive(own: Settings) -> bool:
    import httpx

    try:
        return httpx.get(f"{private_url(own)}/health/live", timeout=3, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _listeners(own: Settings, alive: bool) -> Iterator[Finding]:
    if alive:
        yield Finding("listeners", "good", f"the connector is running, {private_url(own)} answers")
        return
    for name, listener in (("public", own.public), ("management", own.management)):
        family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((listener.host, listener.port))
            except OSError as error:
                where = f"{listener.host}:{listener.port}"
                yield Finding(
                    name, "bad", f"cannot listen at {where}: {error.strerror}", f"set another [{name}] host or port"
                )
            else:
                yield Finding(name, "good", f"{listener.host}:{listener.port} is free")


def _ready(client: httpx.Client, own: Settings) -> Finding:
    response = client.get(f"{private_url(own)}/health/ready")
    if response.status_code == 200:
        if notices := response.json().get("notices"):
            told = "; ".join(f"{name}: {text}" for name, text in notices.items())
            return Finding("ready", "warning", f"the connector serves, but {told[:500]}", f"`connector check {own.root}`")
        return Finding("ready", "good", "the connector says it is ready")
    return Finding("ready", "bad", f"the connector says it is not: {response.text[:500]}")


def _reachable(client: httpx.Client, own: Settings, alive: bool) -> Finding:
    if not alive:
        return Finding(
            "public url", "warning", f"{own.public.url} not looked at", f"`connector serve {own.root}`, then again"
        )
    problem, _ = _versions(client, own.public.url)
    if problem:
        todo = "set [public] url to the address that partners use, and lead it to the public listener"
        return Finding("public url", "bad", f"{own.public.url} {problem}", todo)
    return Finding("public url", "good", f"{own.public.url} leads here")


def _partners(client: httpx.Client, own: Settings) -> Iterator[Finding]:
    from connector.identity.trust import read_trust

    if own.identity.kind != "trust":
        yield Finding(
            "identity", "warning", "test tokens prove nothing", 'set [identity] kind = "trust" before partners come'
        )
        return
    try:
        partners = read_trust(own.root / own.identity.trust_file).values()
    except InvalidFiles:
        return  # told above
    if not partners:
        yield Finding(
            "trust", "warning", "nobody is trusted yet", "paste the partners' `connector keys export` into the trust file"
        )
    for partner in partners:
        if partner.dsp is None:
            yield Finding("partner", "good", f"{partner.id}: no address given, not looked at")
            continue
        problem, skew = _versions(client, dialects.root(partner.dsp).removesuffix("/dsp"))
        if problem:
            yield Finding(
                "partner", "bad", f"{partner.id}: {partner.dsp} {problem}", "ask them, or correct dsp in the trust file"
            )
        elif abs(skew) > SKEW:
            todo = "let both machines keep time by NTP: tokens live for a minute"
            yield Finding("clock", "bad", f"{partner.id}: clocks differ by {skew:.0f} s", todo)
        else:
            yield Finding("partner", "good", f"{partner.id}: answers, clock within {abs(skew):.0f} s")


def _versions(client: httpx.Client, base: str) -> tuple[str, float]:
    """Ask for the version document; return what is wrong with it, and how far the clocks are apart in seconds."""
    import httpx

    try:
        response = client.get(base.rstrip("/") + WELL_KNOWN)
    except httpx.TransportError as error:
        return f"does not answer ({type(error).__name__})", 0.0
    if response.status_code != 200:
        return f"has no version document (status {response.status_code})", 0.0
    try:
        spoken = dialects.common(read_version(response.content))
    except Malformed as error:
        return f"has no version document: {error}", 0.0
    if spoken is None:
        return f"speaks none of our protocol versions: {', '.join(each.spellings[0] for each in dialects.DIALECTS)}", 0.0
    date = response.headers.get("date")
    return "", parsedate_to_datetime(date).timestamp() - time.time() if date else 0.0
