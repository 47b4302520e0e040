"""`connector.toml` and `CONNECTOR_*`: what is read, and what is refused with file, line and column (issue 3, item 5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connector.config import Jwt, Settings, load
from connector.errors import InvalidFiles
from connector.values import duration

GOOD = """\
participant = "urn:hospital:odense"
name = "Odense"

[public]
url = "https://connector.odense.example"
port = 8443

[delivering]
give_up = "PT10M"
timeout = "30s"

[network]
allow = ["10.0.0.0/8", "lab.odense.example"]
"""


def read(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "connector.toml").write_text(text)
    return load(folder, environ)


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(InvalidFiles) as caught:
        read(folder, text, **environ)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_a_good_file_gives_its_settings_and_defaults_for_the_rest(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert settings.root == tmp_path
    assert settings.participant == "urn:hospital:odense"
    assert settings.public.port == 8443
    assert settings.delivering.give_up == timedelta(minutes=10)
    assert settings.delivering.timeout == timedelta(seconds=30)
    assert settings.network.allow == ("10.0.0.0/8", "lab.odense.example")
    assert settings.management.port == 8081


TABLES = """
[management.jwt]
issuer = "https://login.example"
audience = "connector"
jwks = "jwks.json"

[[federation.nodes]]
id = "urn:a"
url = "https://a.example/dsp/2025-1"

[[federation.nodes]]
id = "urn:b"
url = "https://b.example/dsp/2025-1"
"""


def test_a_setting_can_be_a_table_of_its_own(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + TABLES)
    assert settings.management.jwt == Jwt("https://login.example", "connector", "jwks.json")
    assert [node.id for node in settings.federation.nodes] == ["urn:a", "urn:b"]


@pytest.mark.parametrize(
    "before, after, says",
    [
        ('issuer = "https://login.example"', "", "management.jwt is a table with issuer, audience, jwks"),
        ('audience = "connector"', 'audience = ""', "management.jwt is a table with"),
        ('"jwks.json"', '"http://login.example/keys"', "management.jwt jwks is 'http://login.example/keys', which anyone"),
        ('[[federation.nodes]]\nid = "urn:a"', '[federation.nodes]\nid = "urn:a"', "config-toml"),
        ('url = "https://b.example/dsp/2025-1"', 'url = "b.example"', "federation.nodes url is 'b.example'"),
        ('url = "https://b.example/dsp/2025-1"', 'uri = "x"', "federation.nodes is a table with id, url"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, before: str, after: str, says: str) -> None:
    assert says in "\n".join(problems(tmp_path, GOOD + TABLES.replace(before, after)))


def test_tokens_too_let_the_management_api_listen_beyond_this_machine(tmp_path: Path) -> None:
    open_to_all = '[management]\nhost = "0.0.0.0"\n'
    assert read(tmp_path, GOOD + open_to_all + TABLES).management.jwt is not None


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    environ = {
        "CONNECTOR_PUBLIC_PORT": "9000",
        "CONNECTOR_NETWORK_ALLOW": "a.example, b.example",
        "CONNECTOR_DEVELOPMENT": "true",
        "CONNECTOR_DECIDING_DEADLINE": "2h",
        "PATH": "/bin",
    }
    settings = read(tmp_path, GOOD, **environ)
    plain = read(tmp_path, GOOD)
    assert settings == replace(
        plain,
        development=True,
        public=replace(plain.public, port=9000),
        network=replace(plain.network, allow=("a.example", "b.example")),
        deciding=replace(plain.deciding, deadline=timedelta(hours=2)),
    )


def test_every_problem_is_reported_at_once_with_line_and_column(tmp_path: Path) -> None:
    text = """\
participant = 7
nam = "Odense"

[public]
port = "8080"
  url = "https://odense.example"
prot = 1

[pubic]
host = "x"

[deciding]
approval = "automatic"
deadline = "a while"

[network]
allow = "10.0.0.0/8"
"""
    assert problems(tmp_path, text) == [
        "connector.toml:1:15: error config-value participant is 7; write text in quotes",
        "connector.toml:2:1: error config-key there is no key nam; did you mean name?",
        "connector.toml:5:8: error config-value public.port is '8080'; write a whole number without quotes",
        "connector.toml:7:1: error config-key there is no key public.prot; did you mean public.port?",
        "connector.toml:10:1: error config-key there is no section [pubic]; did you mean [public]?",
        "connector.toml:13:12: error config-value deciding.approval is 'automatic'; write one of 'policy', 'manual'",
        "connector.toml:14:12: error config-value deciding.deadline is 'a while'; "
        'write a duration such as "30s", "10m" or "PT10M"',
        "connector.toml:17:9: error config-value network.allow is '10.0.0.0/8'; "
        'write a list of strings such as ["a", "b"]',
    ]


def test_a_syntax_error_names_its_place(tmp_path: Path) -> None:
    (problem, *_) = problems(tmp_path, 'participant = "a"\n[public\nport = 1\n')[::-1]
    assert problem.startswith("connector.toml:2:8: error config-toml ")


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidFiles, match=r"config-missing is missing; `connector init"):
        load(tmp_path, {})


def test_a_misspelt_variable_is_an_error_and_a_stranger_is_not(tmp_path: Path) -> None:
    read(tmp_path, GOOD, CONNECTOR_SERVICE_HOST="10.0.0.1", CONNECTOR_PORT="tcp://10.0.0.1:80")  # set by Kubernetes
    assert problems(tmp_path, GOOD, CONNECTOR_PUBLIC_PROT="1") == [
        "environment CONNECTOR_PUBLIC_PROT: error config-key sets nothing; did you mean CONNECTOR_PUBLIC_PORT?"
    ]


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD, CONNECTOR_PUBLIC_PORT="web") == [
        "environment CONNECTOR_PUBLIC_PORT: error config-value public.port is 'web'; write a whole number without quotes"
    ]


def test_a_secret_is_not_repeated_in_an_error(tmp_path: Path) -> None:
    assert "12345" not in str(problems(tmp_path, GOOD + "[management]\napi_key = 12345\n"))


@pytest.mark.parametrize(
    "text, says",
    [
        ('[management]\nhost = "0.0.0.0"\n', "management.host is 0.0.0.0, open to others, without an api_key"),
        ('[identity]\nkind = "plain"\n[management]\nhost = "10.0.0.1"\napi_key = "k"\n', "management.host is 10.0.0.1"),
        ('[identity]\nplain_tokens = ["abc"]\n', "is not TOKEN=PARTICIPANT"),
        ("[management]\nport = 70000\n", "management.port is 70000"),
        ('[data]\ntoken_lifetime = "0s"\n', "data.token_lifetime is no time at all"),
    ],
)
def test_settings_that_would_leave_a_door_open_are_refused(tmp_path: Path, text: str, says: str) -> None:
    assert says in "\n".join(problems(tmp_path, GOOD + text))


def test_the_public_url_is_https_except_in_development(tmp_path: Path) -> None:
    http = GOOD.replace("https://", "http://")
    assert "public.url is 'http://connector.odense.example'" in problems(tmp_path, http)[0]
    assert read(tmp_path, "development = true\n" + http).public.url == "http://connector.odense.example"
    assert "which is not" in problems(tmp_path, GOOD.replace("connector.odense.example", "[::1"))[0]
    assert "write the address" in problems(tmp_path, GOOD.replace("https://", "ftp://"))[0]


def test_plain_identity_needs_loopback_listeners(tmp_path: Path) -> None:
    plain = GOOD + '[identity]\nkind = "plain"\n'
    assert read(tmp_path, plain).identity.kind == "plain"
    outside = plain.replace("[public]\n", '[public]\nhost = "0.0.0.0"\n')
    assert (
        "connector.toml:5:8: error config-value public.host is 0.0.0.0, but the plain identity"
        in problems(tmp_path, outside)[0]
    )


@pytest.mark.parametrize(
    "text, length",
    [
        ("30s", timedelta(seconds=30)),
        ("1h30m", timedelta(minutes=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("1.5s", timedelta(seconds=1.5)),
        ("PT10M", timedelta(minutes=10)),
        ("P1DT2H", timedelta(hours=26)),
    ],
)
def test_durations_are_written_short_or_as_iso_8601(text: str, length: timedelta) -> None:
    assert duration(text) == length


@pytest.mark.parametrize("text", ["", "P", "PT", "10", "10 m", "m", "1y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a duration"):
        duration(text)


def test_the_participant_must_be_named(tmp_path: Path) -> None:
    assert problems(tmp_path, "development = true\n") == [
        "connector.toml: error config-value participant is missing; write this participant's id in the data space"
    ]


HOOK = 'participant = "us"\n[[events.subscribers]]\nurl = "https://monitor.example/hook?site=odense"\n'


def test_subscribers_of_events_are_tables_of_their_own(tmp_path: Path) -> None:
    first = HOOK + f'secret = "whsec_{"A" * 32}"\nevents = ["contract.negotiation", "transfer.process"]\n'
    second = f'[[events.subscribers]]\nurl = "https://other.example"\nsecret = "{"B" * 32}"\n'
    one, other = read(tmp_path, first + second + '[public]\nurl = "https://us.example"').events.subscribers
    assert (one.url, one.events) == (
        "https://monitor.example/hook?site=odense",
        ("contract.negotiation", "transfer.process"),
    )
    assert (other.url, other.events) == ("https://other.example", ())
    assert "AAAA" not in repr(one)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "is a table with url, secret, events"),
        ("secret = 5\n", "its secret a text in quotes"),
        ('secret = "hunter2"\n', "not base64 of 24 bytes or more"),
        (f'secret = "{"A" * 32}"\nurls = "x"\n', "is a table with url, secret, events"),
        (f'secret = "{"A" * 32}"\nevents = "all"\n', "write a list of strings"),
    ],
)
def test_a_subscriber_that_cannot_be_served_is_refused_and_its_secret_not_repeated(
    tmp_path: Path, lines: str, says: str
) -> None:
    (found,) = [p for p in problems(tmp_path, HOOK + lines, CONNECTOR_DEVELOPMENT="true") if "events.subscribers" in p]
    assert says in found
    assert "hunter2" not in found
