"""Where the data that ships with the connector is: `vocab/`, `policies/`, `catalog/`."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return the folder `name` of the installed package, else the checkout's.

    A wheel maps the checkout's folders below `connector/shipped` so that names as general as `vocab` never land in
    site-packages.
    """
    for folder in (PACKAGE / "shipped" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder {name!r} that ships with the connector is missing; install the package again")
