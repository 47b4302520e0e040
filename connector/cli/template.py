"""The files of a new connector's folder that are written, not copied, and what each file is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps as quoted  # a TOML basic string is a JSON string

PUBLIC = ("kty", "crv", "x", "y")  # members of a public JWK that a partner needs

EXPLAINED = {
    "connector.toml": "who you are, where partners reach you; every setting is in it, with its default",
    "trust.toml": "your partners and their public keys: who is not in it is a stranger",
    "keys/": "your private signing keys; never leaves this machine (`connector keys rotate | export`)",
    "policies/": "under which terms data is shown and given; YAML or JSON-LD, read again when changed",
    "catalog/": "your datasets: a description, where the data is, and which policies hold",
}


def connector_toml(participant: str, name: str, public_url: str, public_port: int, management_port: int, key: str) -> str:
    """Return a `connector.toml` with these values, and every other setting as a comment with its default."""
    development = public_url.startswith("http://")
    return f"""\
# Settings of this connector. A variable of the environment wins over a line here: CONNECTOR_PUBLIC_PORT=8443.
# `connector check` reads this file and everything it names.

participant = {quoted(participant)}  # your id in the data space, as your partners have it in their trust file
name = {quoted(name, ensure_ascii=False)}
# On one machine for trying out: http addresses and private networks are allowed. Take it away before partners come.
development = {"true" if development else "false"}
# database = "connector.sqlite"
# catalog = "catalog"
# policies = "policies"
# log_level = "info"

[public]  # the listener that partners reach; put your TLS proxy in front of it
host = "127.0.0.1"
port = {public_port}
url = {quoted(public_url)}  # its address as partners see it
# max_body = 1000000       # bytes of one protocol message
# body_timeout = "15s"     # slower bodies are refused

[management]  # the private listener: management API, health, metrics. Beyond this machine it needs the key
host = "127.0.0.1"
port = {management_port}
api_key = {quoted(key)}
# Tokens of your OAuth2 server, beside the key; jwks is a file in this folder or an address:
# jwt = {{ issuer = "https://login.example/realms/it", audience = "connector", jwks = "https://login.example/certs" }}
# max_body = 4000000       # bytes of one request

[identity]
kind = "trust"
# trust_file = "trust.toml"
# keys = "keys"
# plain_tokens = []        # for tests with kind = "plain", on one machine: "TOKEN=PARTICIPANT", each believed

[deciding]
approval = "policy"        # "manual": nothing is agreed before a person says `connector negotiations approve ID`
# deadline = "1d"          # a negotiation that nothing moves ends then

[delivering]  # messages that a partner does not take are sent again, later and later
# first = "500ms"
# longest = "5m"
# give_up = "6h"
# timeout = "30s"

[data]
# token_lifetime = "10m"   # of an access token; it is refreshed while the transfer runs
# refresh_lifetime = "24h"

[network]
# allow = ["10.1.0.0/16"]  # private addresses that may be called; all others are refused outside development

[federation]  # other connectors' catalogues, fetched now and then, for POST /management/v3/catalogs/request
# nodes = [{{ id = "urn:connector:partner", url = "https://connector.partner.example/dsp/2025-1" }}]
# partners = false         # true: those of trust.toml that have a dsp address, too
# every = "10m"
# keep = "1d"              # what a node said last, while it is silent

[events]      # webhooks that are told what happens: docs/events.md, which also writes them as [[events.subscribers]]
# subscribers = [{{ url = "https://monitoring.hospital.example", secret = "whsec_..." }}]
"""


TRUST_TOML = """\
# The participants this connector trusts. Each one sends you the output of its `connector keys export`: paste it below.
# Yours goes to them. Whoever is not here is answered 401.
"""


def trust_entry(participant: str, name: str, spatial: str | None, dsp: str, keys: Sequence[Mapping[str, str]]) -> str:
    """Return a participant as an entry of a partner's trust file."""
    jwks = ",\n".join("  { " + ", ".join(f"{k} = {quoted(v)}" for k, v in key.items() if k in PUBLIC) + " }" for key in keys)
    lines = [
        "[[participant]]",
        f"id = {quoted(participant)}",
        f"name = {quoted(name, ensure_ascii=False)}",
        f"spatial = {quoted(spatial)}" if spatial else '# spatial = "DK"  # where it is, ISO 3166-1',
        f"dsp = {quoted(dsp)}",
        f"keys = [\n{jwks},\n]",
    ]
    return "\n".join(lines)
