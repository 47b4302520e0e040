"""What docker/ says, carried out without a container engine: the same steps in an empty virtual environment.

The lines are read from the files, so a change there is tested, not a copy of them. Paths of the image become paths of a
temporary folder; making the user is left out.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from connector.demo.hospitals import free_ports
from tests.house.building import ROOT, Built, Step, dockerfile, environment

STEPS = list(dockerfile(ROOT / "docker" / "Dockerfile"))
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Image:
    """The image's file system below a temporary folder, and its environment."""

    root: Path

    def here(self, text: str) -> str:
        """Return a command or a path of the image with its folders moved below our root."""
        return re.sub(r"(?<![\w/.:])/(src|opt|srv)\b", lambda found: f"{self.root}/{found[1]}", text)

    def run(self, command: list[str], check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.here(word) for word in command], env=self.environment(**variables), cwd=self.root / "srv",
            text=True, capture_output=True, timeout=900, check=check,
        )  # fmt: skip

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the image's own variables, and those of this machine that say how pip reaches packages."""
        own = {name: self.here(value) for name, value in environment(STEPS).items()}
        reach = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HOME"))}
        return reach | own | variables


@pytest.fixture(scope="module")
def image(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Carry out the Dockerfile's RUN lines."""
    root = tmp_path_factory.mktemp("image")
    made = Image(root)
    for folder in ("opt", "srv"):
        (root / folder).mkdir()
    shutil.copytree(built.source, root / "src")
    for step in STEPS:
        if step.word == "RUN" and not step.rest.startswith("useradd"):
            command = step.rest.replace("python -m venv", f"{sys.executable} -m venv")
            done = subprocess.run(made.here(command), shell=True, capture_output=True, text=True, timeout=900)
            assert done.returncode == 0, done.stderr
    return made


def healthy(image: Image, port: int) -> bool:
    """Run the HEALTHCHECK as the engine would."""
    (check,) = [step for step in STEPS if step.word == "HEALTHCHECK"]
    return image.run([word.replace("8081", str(port)) for word in check.command], check=False).returncode == 0


@contextmanager
def serving(image: Image, command: list[str], management: int, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start the image's entry point with `command`, wait until the health check is content, and stop it by SIGTERM."""
    (entry,) = [step for step in STEPS if step.word == "ENTRYPOINT"]
    process = subprocess.Popen(
        [image.here(word) for word in entry.command + command],
        env=image.environment(CONNECTOR_MANAGEMENT_PORT=str(management), **variables),
        cwd=image.root / "srv", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        give_up = time.monotonic() + 30
        while not healthy(image, management):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < give_up, "never became ready"
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err


def compose(name: str) -> Mapping[str, Any]:
    return YAML(typ="safe").load((ROOT / "docker" / name).read_text())


def step(word: str) -> Step:
    (found,) = [one for one in STEPS if one.word == word]
    return found


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert step("USER").rest == "10001"
    assert [one.rest for one in STEPS if one.word == "FROM"] == ["python:3.12-slim AS build", "python:3.12-slim"]


def test_the_installed_connector_stands_outside_the_checkout(image: Image) -> None:
    where = image.run(["python", "-c", "import connector; print(connector.__file__)"]).stdout
    assert where.startswith(str(image.root / "opt"))
    assert image.run(["connector", "version"]).stdout.strip() == "0.1.0"


def test_one_connector_is_prepared_served_and_healthy(image: Image) -> None:
    services = compose("compose.yaml")["services"]
    image.run(["connector", *services["prepare"]["command"]])
    image.run(["connector", *services["prepare"]["command"]])  # a second `up` changes nothing
    image.run(["connector", "check", "/srv/connector"])
    public, management = free_ports(2)
    assert services["connector"]["command"] == step("CMD").command
    given = {
        **services["connector"]["environment"],
        "CONNECTOR_PUBLIC_HOST": "127.0.0.1",
        "CONNECTOR_PUBLIC_PORT": str(public),
    }
    assert not healthy(image, management)
    with serving(image, step("CMD").command, management, **given):
        assert healthy(image, management)


def test_nothing_is_written_outside_the_connectors_folder(image: Image) -> None:
    for name in ("compose.yaml", "compose.pair.yaml"):
        for service in compose(name)["services"].values():
            assert service.get("read_only", True)
    before = set((image.root / "opt").rglob("*"))
    test_one_connector_is_prepared_served_and_healthy(image)
    assert set((image.root / "opt").rglob("*")) == before


def test_two_connectors_of_the_pair_see_each_others_catalogue(image: Image) -> None:
    ports = dict(zip(("odense", "aarhus"), zip(*[iter(free_ports(4))] * 2, strict=True), strict=True))

    def local(text: str) -> str:
        for name, (public, _) in ports.items():
            text = text.replace(f"http://{name}:8080", f"http://127.0.0.1:{public}")
        return image.here(text).replace("chown -R 10001", "test -d")

    services = compose("compose.pair.yaml")["services"]
    (script,) = services["prepare"]["command"]
    one_by_one = local(script).replace(f"test -d {image.root}/srv/odense {image.root}/srv/aarhus", "true")
    image.run([*services["prepare"]["entrypoint"], one_by_one])
    with (
        serving_service(image, services["odense"], ports["odense"]),
        serving_service(image, services["aarhus"], ports["aarhus"]),
    ):
        asked = image.run(
            ["connector", "catalog", "urn:connector:odense", "--dir", "/srv/aarhus", "--json"],
            CONNECTOR_MANAGEMENT_PORT=str(ports["aarhus"][1]),
        )
    assert '"urn:connector:odense"' in asked.stdout


@contextmanager
def serving_service(image: Image, service: Mapping[str, Any], ports: tuple[int, int]) -> Iterator[None]:
    given = {**service["environment"], "CONNECTOR_PUBLIC_HOST": "127.0.0.1", "CONNECTOR_PUBLIC_PORT": str(ports[0])}
    with serving(image, service["command"], ports[1], **given):
        yield


def test_the_demo_runs_from_the_wheel(image: Image) -> None:
    (wheel,) = (image.root / "opt" / "wheels").glob("*.whl")
    image.run(["/opt/connector/bin/pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[demo]"])
    told = image.run(["connector", "demo", "--once"], check=False)
    assert told.returncode == 0, told.stdout + told.stderr
