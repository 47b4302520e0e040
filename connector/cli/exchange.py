"""`connector catalog | negotiate | fetch`: finding data, agreeing, and bringing it home, through the own connector.

What is done is the client library's doing (`connector.client`); here is only what is said about it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector import errors
from connector.cli import output
from connector.cli.output import JsonOption
from connector.cli.own import HERE, DirOption, ManagementOption, running
from connector.client import Agreement, Catalog, Dataset, Transfer
from connector.client.download import Pulled
from connector.client.terms import terms
from connector.client.wire import listed, objects, text
from connector.odrl.model import Json

UrlArgument = Annotated[str, typer.Argument(metavar="URL", help="The partner: its address, or its id in the trust file.")]
PeerOption = Annotated[
    str | None, typer.Option("--peer", metavar="ID", help="The partner's id, where the trust file does not tell it.")
]
DatasetOption = Annotated[str, typer.Option("--dataset", metavar="ID", help="As `connector catalog` shows it.")]
PurposeOption = Annotated[
    str | None, typer.Option("--purpose", metavar="TERM", help="What for, such as eu-ehds:HealthcareScientificResearch.")
]
OfferOption = Annotated[str | None, typer.Option("--offer", metavar="ID", help="Which offer, where there are several.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="For each step.", min=0.1)]


def catalog(
    url: UrlArgument,
    peer: PeerOption = None,
    dir: DirOption = HERE,
    management_url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a partner offers us, and under which terms."""
    with running(dir, management_url) as api, output.working("asking for the catalogue"):
        document = api.connection.catalog(url, id=peer).document()
    datasets = objects(document.get("dataset"))
    rows = [
        [
            text(dataset.get("@id")),
            text(dataset.get("title", dataset.get("name"))),
            _formats(dataset),
            "; ".join(terms(offer)),
        ]
        for dataset in datasets
        for offer in objects(dataset.get("hasPolicy")) or [{}]
    ]
    output.result(
        document, lambda: output.table(["DATASET", "TITLE", "FORMAT", "TERMS"], rows, "the partner shows us no dataset")
    )


def negotiate(
    url: UrlArgument,
    dataset: DatasetOption,
    purpose: PurposeOption = None,
    offer: OfferOption = None,
    peer: PeerOption = None,
    timeout: TimeoutOption = 60,
    dir: DirOption = HERE,
    management_url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """Agree on a dataset's terms with a partner, and stop there."""
    with running(dir, management_url) as api:
        agreed = agree(api.connection.catalog(url, id=peer), dataset, purpose, offer, timeout)
    output.result(_document(agreed), _words(agreed))


def fetch(
    url: UrlArgument,
    dataset: DatasetOption,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the data goes. A broken download is resumed.")],
    purpose: PurposeOption = None,
    offer: OfferOption = None,
    peer: PeerOption = None,
    timeout: TimeoutOption = 60,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the transfer open instead of completing it.")] = False,
    dir: DirOption = HERE,
    management_url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """Bring a dataset: catalogue, negotiation, transfer and pull in one go."""
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise errors.OperatorError(f"--out {out}: name a file in a folder that exists")
    with running(dir, management_url) as api:
        agreed = agree(api.connection.catalog(url, id=peer), dataset, purpose, offer, timeout)
        output.note(_words(agreed))
        with output.working("waiting for the transfer to start") as say:
            transfer = agreed.transfer(within=timeout, progress=say)
        with output.progress(out.name) as progress:
            pulled = transfer.save(out, progress)
        if not keep:
            _complete(transfer)
    document: dict[str, Json] = {"agreement": _document(agreed), "transfer": transfer.id, "out": _pulled(pulled)}
    output.result(document, f"{out}  {pulled}")


def agree(provider: Catalog, dataset: str, purpose: str | None, offer: str | None, timeout: float) -> Agreement:
    """Negotiate one of the dataset's offers to its end. Raises Denied, NotFound."""
    with output.working(f"asking {provider.peer.id} for {dataset}") as say:
        found = provider.dataset(dataset)
        if offer is None:
            _say_which(found)
        return found.negotiate(purpose, offer=offer, within=timeout, progress=say)


def _say_which(dataset: Dataset) -> None:
    first, *others = [offer.id for offer in dataset.offers] or [""]
    if others:
        output.note(
            f"{dataset.id} has {len(others) + 1} offers; taking {first} (others: {', '.join(others)}; choose with --offer)"
        )


def _complete(transfer: Transfer) -> None:
    """End the transfer politely. The data is here: a partner that ended it first changes nothing."""
    try:
        transfer.complete()
    except errors.ConnectorError as error:
        output.note(f"the data is here, but the transfer could not be completed: {error}")


def _document(agreed: Agreement) -> dict[str, Json]:
    return {
        "negotiation": agreed.negotiation,
        "agreement": agreed.id,
        "terms": list(agreed.terms),
        "duties": list(agreed.duties),
        "policy": agreed.policy,
        "seconds": round(agreed.seconds, 3),
    }


def _words(agreed: Agreement) -> str:
    lines = [f"agreement  {agreed.id}  ({agreed.seconds * 1000:.0f} ms)"]
    lines += [f"terms      {line}" for line in agreed.terms]
    lines += [f"duty       {line}" for line in agreed.duties]
    return "\n".join(lines)


def _formats(dataset: dict[str, Json]) -> str:
    return ", ".join(
        sorted({text(d.get("format")) for d in objects(dataset.get("distribution")) if listed(d.get("format"))})
    )


def _pulled(pulled: Pulled) -> dict[str, Json]:
    return {
        "path": str(pulled.path.resolve()),
        "bytes": pulled.bytes,
        "sha256": pulled.sha256,
        "contentType": pulled.content_type,
        "resumedAt": pulled.resumed_at,
        "seconds": round(pulled.seconds, 3),
    }
