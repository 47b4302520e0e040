"""A connector's folder from the command line: made once, explained, checked with line and column."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from connector import config
from connector.demo.hospitals import free_ports
from tests.cli.program import connector


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = connector("init", tmp_path / "odense")
    assert made.code == 0, made.err
    return tmp_path / "odense"


def test_help_answers_at_once_and_tells_the_exit_codes() -> None:
    connector("--help")
    began = time.perf_counter()
    told = connector("--help")
    assert time.perf_counter() - began < 0.6  # a loaded test machine; 0.2 s alone
    assert all(word in told.out for word in ("fetch", "doctor", "Exit codes:", "3   refused"))


def test_init_explains_each_file_and_check_finds_them_good(tmp_path: Path) -> None:
    made = connector("init", tmp_path / "odense")
    for file in ("connector.toml", "trust.toml", "keys", "policies", "catalog"):
        assert (tmp_path / "odense" / file).exists()
        assert file in made.out
    checked = connector("check", tmp_path / "odense", "--json")
    assert checked.code == 0, checked.out
    assert checked.document["ok"] is True


def test_connector_toml_shows_every_setting_with_its_default(folder: Path) -> None:
    """What stands there, and what stands there behind a `#`, are together what can be set; the defaults are true."""
    text = (folder / "connector.toml").read_text()
    as_written = config.load(folder, {})
    uncommented = re.sub(r"^# (?=\w+ = )", "", text, flags=re.M)
    defaults = re.sub(
        r"^jwt = .*$", "", re.sub(r"^(allow|nodes|subscribers) = .*$", r"\1 = []", uncommented, flags=re.M), flags=re.M
    )
    (folder / "connector.toml").write_text(defaults)
    assert config.load(folder, {}) == as_written
    shown = tomllib.loads(uncommented)
    names = {(key,) for key, value in shown.items() if not isinstance(value, dict)}
    names |= {(section, key) for section, keys in shown.items() if isinstance(keys, dict) for key in keys}
    assert names == set(config.known())


def test_secrets_are_for_the_owner_only(folder: Path) -> None:
    for path in (folder / "connector.toml", folder / "keys", *(folder / "keys").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert len(tomllib.loads((folder / "connector.toml").read_text())["management"]["api_key"]) >= 32


def test_init_never_overwrites(folder: Path) -> None:
    before = (folder / "connector.toml").read_bytes()
    again = connector("init", folder)
    assert again.code == 2
    assert "nothing was written" in again.err
    assert (folder / "connector.toml").read_bytes() == before
    assert connector("init", folder, "--if-missing").code == 0
    assert (folder / "connector.toml").read_bytes() == before


def test_a_mistake_is_told_with_file_line_and_column_and_exit_code_2(folder: Path) -> None:
    toml = folder / "connector.toml"
    toml.write_text(toml.read_text().replace("port = 8080", 'port = "eighty"'))
    checked = connector("check", folder)
    line = next(n for n, text in enumerate(toml.read_text().splitlines(), 1) if "eighty" in text)
    assert checked.code == 2
    assert f"{toml}:{line}:8: error" in checked.out
    served = connector("serve", folder)
    assert served.code == 2
    assert f"{toml}:{line}:8" in served.err


def test_a_broken_policy_is_found_by_check_before_anything_runs(folder: Path) -> None:
    (folder / "policies" / "broken.yaml").write_text("permission:\n  - action: use\n    constraint: {leftOperand: moon}\n")
    checked = connector("check", folder, "--json")
    assert checked.code == 2
    assert any(problem["file"].endswith("broken.yaml") for problem in checked.document["problems"])


def test_a_folder_without_a_connector_says_which_command_makes_one(tmp_path: Path) -> None:
    for command in (["check", tmp_path], ["serve", tmp_path], ["keys", "list", "--dir", tmp_path]):
        ran = connector(*command)
        assert ran.code == 2
        assert "connector init" in ran.out + ran.err


def test_an_error_is_one_json_document_too(tmp_path: Path) -> None:
    ran = connector("keys", "list", "--dir", tmp_path, "--json")
    assert ran.code == 2
    assert ran.document["error"]["code"] == "invalid-files"


def test_keys_rotate_with_overlap_and_export_as_a_trust_entry(folder: Path) -> None:
    (first,) = connector("keys", "list", "--dir", folder, "--json").document
    rotated = connector("keys", "rotate", "--dir", folder, "--json").document
    listed = {key["kid"]: key["use"] for key in connector("keys", "list", "--dir", folder, "--json").document}
    assert listed == {first["kid"]: "verifies", rotated["kid"]: "signs"}
    (entry,) = tomllib.loads(connector("keys", "export", "--dir", folder, "--spatial", "DK").out)["participant"]
    assert entry["id"] == "urn:connector:odense"
    assert entry["dsp"] == "http://127.0.0.1:8080/dsp/2025-1"
    assert len(entry["keys"]) == 2
    assert all(key.keys() == {"kty", "crv", "x", "y"} for key in entry["keys"])


def test_a_lost_key_is_replaced_by_a_rotation(folder: Path) -> None:
    for file in (folder / "keys").iterdir():
        file.unlink()
    assert "connector keys rotate" in connector("keys", "list", "--dir", folder).err
    made = connector("keys", "rotate", "--dir", folder, "--json").document
    (listed,) = connector("keys", "list", "--dir", folder, "--json").document
    assert listed["kid"] == made["kid"]


def test_an_exported_entry_is_a_trust_file_that_checks(folder: Path) -> None:
    with (folder / "trust.toml").open("a") as trust:
        trust.write(connector("keys", "export", "--dir", folder).out)
    assert connector("check", folder).code == 0


def test_doctor_finds_a_taken_port_and_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = connector("doctor", folder, "--json", CONNECTOR_PUBLIC_PORT=str(port))
    assert ran.code == 1
    (bad,) = [finding for finding in ran.document["findings"] if finding["level"] == "bad"]
    assert str(port) in bad["text"]
    assert bad["todo"]


def test_without_a_running_connector_commands_say_how_to_start_it(folder: Path) -> None:
    ran = connector("negotiations", "list", "--dir", folder, CONNECTOR_MANAGEMENT_PORT="1")
    assert ran.code == 4
    assert "connector serve" in ran.err


def test_serve_says_which_port_is_taken_and_ends_with_exit_code_2(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = connector("serve", folder, CONNECTOR_PUBLIC_PORT=str(port), CONNECTOR_MANAGEMENT_PORT=str(port + 1))
    assert ran.code == 2
    assert f"127.0.0.1:{port}" in ran.err


def test_serve_tells_its_addresses_and_ends_well_at_sigterm(folder: Path) -> None:
    public, management = free_ports(2)
    environment = {**os.environ, "CONNECTOR_PUBLIC_PORT": str(public), "CONNECTOR_MANAGEMENT_PORT": str(management)}
    command = [sys.executable, "-m", "connector.cli", "serve", str(folder), "--json"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        told = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        process.terminate()
        assert process.wait(timeout=20) == 0
    assert told["management"] == f"http://127.0.0.1:{management}"
