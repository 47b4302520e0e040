"""`connector keys`: the connector's own signing keys, and what a partner needs to trust them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from connector.cli import output
from connector.cli.output import JsonOption
from connector.cli.own import HERE, DirOption, settings
from connector.cli.template import trust_entry
from connector.config import Settings
from connector.dsp.binding import VERSION

keys = typer.Typer(help="The connector's own signing keys.", no_args_is_help=True)


@keys.command("list")
def list_keys(dir: DirOption = HERE, json: JsonOption = False) -> None:
    """List the keys: which one signs, and until when the others are accepted."""
    from connector.identity.keys import Keys

    own, now = settings(dir), datetime.now(UTC)
    ring = Keys.load(own.root / own.identity.keys)
    signing = ring.signing(now)
    rows = [
        {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "use": "signs" if key == signing else "verifies" if key.signs_from <= now else "signs later",
            "signsFrom": key.signs_from.isoformat(),
            "validUntil": key.valid_until and key.valid_until.isoformat(),
        }
        for key in ring.valid(now)
    ]
    output.result(rows, lambda: output.table([*rows[0]], [[str(v or "") for v in row.values()] for row in rows], "no key"))


@keys.command("rotate")
def rotate(
    overlap: Annotated[
        float, typer.Option("--overlap", help="Hours that the old keys stay valid after the change.", min=0)
    ] = 24,
    notice: Annotated[
        float, typer.Option("--notice", help="Hours until the new key signs: partners learn it first.", min=0)
    ] = 0,
    dir: DirOption = HERE,
    json: JsonOption = False,
) -> None:
    """Make a new key. The old ones stay valid for a while, so that nothing under way breaks."""
    from connector.identity.keys import Keys

    own, now = settings(dir), datetime.now(UTC)
    folder = own.root / own.identity.keys
    if any(file.suffix in (".jwk", ".pem") for file in folder.glob("*")):
        ring = Keys.load(folder).rotate(timedelta(hours=overlap), now + timedelta(hours=notice))
    else:
        ring = Keys.generate(folder, now)
    newest = max(ring.valid(now), key=lambda key: key.signs_from)
    note = "" if notice else "\nPartners refuse it until they have it: next time give them notice with --notice 48."
    output.result(
        {"kid": newest.kid, "signsFrom": newest.signs_from.isoformat()},
        f"new key {newest.kid}, signs from {newest.signs_from:%Y-%m-%d %H:%M} UTC; the others stay for {overlap:g} hours."
        f"\nSend partners the output of `connector keys export`.{note}",
    )


@keys.command("export")
def export(
    spatial: Annotated[str | None, typer.Option("--spatial", metavar="CC", help="Your country, such as DK.")] = None,
    dir: DirOption = HERE,
    json: JsonOption = False,
) -> None:
    """Print your entry for a partner's trust file: id, address, public keys."""
    own = settings(dir)
    jwks = public_keys(own)
    entry = trust_entry(own.participant, own.name, spatial, dsp_base(own), jwks)
    output.result({"id": own.participant, "name": own.name, "dsp": dsp_base(own), "keys": jwks, "toml": entry}, entry)


def public_keys(own: Settings) -> list[dict[str, str]]:
    """Return the public keys that are valid now, as JWKs."""
    from connector.identity.keys import Keys

    return Keys.load(own.root / own.identity.keys).jwks(datetime.now(UTC))["keys"]


def dsp_base(own: Settings) -> str:
    """Return the address of the own protocol endpoint as partners see it."""
    return f"{own.public.url.rstrip('/')}/dsp/{VERSION}"
