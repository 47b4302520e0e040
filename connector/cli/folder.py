"""`connector init | check | serve`: a connector's folder, from its first file to the running process."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from connector import config
from connector.assets import shipped
from connector.cli import output, template
from connector.cli.exits import Exit
from connector.cli.output import JsonOption, problem_json
from connector.cli.own import DirArgument, could_not_start, settings
from connector.errors import OperatorError, Problem


def init(
    dir: DirArgument,
    participant: Annotated[
        str | None, typer.Option(help="Your id in the data space.", show_default="from DIR's name")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Your name, for people.", show_default="DIR's name")] = None,
    public_url: Annotated[
        str | None, typer.Option(help="Address that partners use.", show_default="http://127.0.0.1:PORT, for trying out")
    ] = None,
    public_port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    management_port: Annotated[int, typer.Option(min=1, max=65535)] = 8081,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing where DIR has a connector already.")] = False,
    json: JsonOption = False,
) -> None:
    """Make a connector's folder: settings, policies, catalogue, keys, trust. Overwrites nothing."""
    if if_missing and (dir / config.FILE).exists():
        output.result({"dir": str(dir.resolve()), "files": {}}, f"{dir} is a connector's folder already")
        return
    written = create(
        dir,
        participant or f"urn:connector:{dir.resolve().name.lower()}",
        name or dir.resolve().name.capitalize(),
        public_url or f"http://127.0.0.1:{public_port}",
        (public_port, management_port),
    )
    lines = [f"{dir / file!s:<32} {template.EXPLAINED[file]}" for file in written]
    lines.append(f"\nNext: edit them, then `connector check {dir}` and `connector serve {dir}`.")
    output.result({"dir": str(dir.resolve()), "files": template.EXPLAINED}, "\n".join(lines))


def create(dir: Path, participant: str, name: str, public_url: str, ports: tuple[int, int]) -> list[str]:
    """Write a new connector's folder and return what is in it.

    Raises:
        OperatorError: something of it is there already; nothing was written.
    """
    from connector.identity.keys import Keys

    if there := [file for file in template.EXPLAINED if (dir / file).exists()]:
        raise OperatorError(
            f"{dir} already has {', '.join(there)}; nothing was written. Name another folder, or move them away"
        )
    try:
        dir.mkdir(parents=True, exist_ok=True)
        for folder in ("policies", "catalog"):
            shutil.copytree(shipped(folder), dir / folder, ignore=shutil.ignore_patterns(".*", "__*"))
        toml = template.connector_toml(participant, name, public_url, *ports, key=secrets.token_urlsafe(24))
        _private(dir / "connector.toml", toml)  # it holds the API key
        (dir / "trust.toml").write_text(template.TRUST_TOML)
        Keys.generate(dir / "keys", datetime.now(UTC))
    except OSError as error:
        raise OperatorError(f"{error.filename or dir}: {error.strerror}. Choose a folder that you may write to") from error
    return list(template.EXPLAINED)


def _private(file: Path, text: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def check(dir: DirArgument, json: JsonOption = False) -> None:
    """Check every file: what is wrong, where (file:line:column), and what to write instead."""
    found = problems(dir)
    errors = [problem for problem in found if problem.level == "error"]
    summary = f"{dir}: {len(errors)} errors, {len(found) - len(errors)} warnings" if found else f"{dir}: all files are good"
    document = {"ok": not errors, "problems": [problem_json(problem) for problem in found]}
    output.result(document, "\n".join([*map(str, found), summary]))
    if errors:
        raise typer.Exit(Exit.USAGE)


def problems(dir: Path) -> list[Problem]:
    """Return everything that is wrong with the files of a folder: settings, then what they name."""
    from connector import files

    return files.check(dir.resolve())


def serve(dir: DirArgument, json: JsonOption = False) -> None:
    """Run the connector until SIGTERM or Ctrl-C."""
    from connector.observe import configure_logging

    own = settings(dir)
    configure_logging(own.log_level)
    try:
        asyncio.run(_serve(own))
    except (OSError, ExceptionGroup) as error:
        raise could_not_start(error) from error


async def _serve(own: config.Settings) -> None:
    from connector import app

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with app.build(own) as connector:
        urls = {"participant": own.participant, "public": connector.public_url, "management": connector.management_url}
        output.result(urls, "\n".join(f"{name:<12} {url}" for name, url in urls.items()))
        sys.stdout.flush()
        await stop.wait()
