"""Which connector a command talks to: the running one of a folder, one at a URL, or one started for this command."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from connector import config
from connector.cli.output import note
from connector.client import Management
from connector.client.api import NotRunning
from connector.errors import ConnectorError, OperatorError

KEY = "CONNECTOR_MANAGEMENT_API_KEY"

DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The connector's folder.")]
DirOption = Annotated[
    Path, typer.Option("--dir", metavar="DIR", envvar="CONNECTOR_DIR", help="Folder of the own connector.")
]
HERE = Path()
ManagementOption = Annotated[
    str | None,
    typer.Option(
        "--management", metavar="URL", help=f"Private listener of the own connector, instead of --dir. Key: {KEY}."
    ),
]


def management(dir: Path, url: str | None) -> Management:
    """Return the client of the running connector that `--management` or else `--dir` names."""
    if url is not None:
        return Management(url, os.environ.get(KEY))
    return of(settings(dir))


def settings(dir: Path) -> config.Settings:
    """Return the settings of a folder. Raises InvalidFiles with every problem."""
    return config.load(dir.resolve(), os.environ)


def of(settings: config.Settings) -> Management:
    """Return the client of the connector with these settings."""
    return Management(private_url(settings), settings.management.api_key)


def private_url(settings: config.Settings) -> str:
    """Return the address of the private listener as this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.management.host, settings.management.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{settings.management.port}"


@contextmanager
def running(dir: Path, url: str | None) -> Iterator[Management]:
    """Yield the client of the running connector; where none runs for the folder, run it here for the time being."""
    with management(dir, url) as client:
        try:
            client.query("edrs", limit=1)
        except NotRunning:
            if url is not None:
                raise
        else:
            yield client
            return
    own = settings(dir)
    note(f"no connector is running for {dir}: starting it for the time of this command")
    with _started(own), of(own) as client:
        yield client


@contextmanager
def _started(own: config.Settings) -> Iterator[None]:
    """Run the connector in a thread of its own, so that partners can call back while the command waits."""
    from connector.observe import configure_logging

    configure_logging("error")  # the command's own words come first
    up, stop = threading.Event(), asyncio.Event()
    failed: list[BaseException] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        from connector import app

        async with app.build(own):
            up.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            up.set()
            loop.close()

    thread = threading.Thread(target=work, name="connector")
    thread.start()
    up.wait()
    try:
        if failed:
            raise could_not_start(failed[0]) from failed[0]
        yield
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join()


def could_not_start(error: BaseException) -> ConnectorError:
    """Return why a connector did not start, as an error that says what to do."""
    if isinstance(error, BaseExceptionGroup):
        return could_not_start(error.exceptions[0])
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, OSError):
        return OperatorError(f"cannot listen: {error.strerror or error}. `connector doctor` says which port is taken")
    return OperatorError(f"the connector did not start: {type(error).__name__}: {error}")
