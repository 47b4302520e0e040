"""`connector catalog | negotiate | fetch`: finding data, agreeing, and bringing it home, through the own connector."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from connector import errors
from connector.cli import output
from connector.cli.api import Management
from connector.cli.download import Edr, Pulled, pull
from connector.cli.output import JsonOption
from connector.cli.own import HERE, DirOption, ManagementOption, running, settings
from connector.cli.peer import Peer, find
from connector.cli.terms import duties, terms
from connector.cli.wire import listed, objects, text
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


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a negotiation gave."""

    negotiation: str
    agreement: str
    policy: Json
    seconds: float

    def document(self) -> dict[str, Json]:
        return {
            "negotiation": self.negotiation,
            "agreement": self.agreement,
            "terms": list(terms(self.policy)),
            "duties": list(duties(self.policy)),
            "policy": self.policy,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        lines = [f"agreement  {self.agreement}  ({self.seconds * 1000:.0f} ms)"]
        lines += [f"terms      {line}" for line in terms(self.policy)]
        lines += [f"duty       {line}" for line in duties(self.policy)]
        return "\n".join(lines)


def catalog(
    url: UrlArgument,
    peer: PeerOption = None,
    dir: DirOption = HERE,
    management_url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a partner offers us, and under which terms."""
    with running(dir, management_url) as api, output.working("asking for the catalogue"):
        document = api.post("catalog", "request", body=_peer(url, peer, dir).body)
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
        agreed = agree(api, _peer(url, peer, dir), dataset, purpose, offer, timeout)
    output.result(agreed.document(), str(agreed))


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
        partner = _peer(url, peer, dir)
        agreed = agree(api, partner, dataset, purpose, offer, timeout)
        output.note(str(agreed))
        transfer = start_transfer(api, partner, agreed.agreement, dataset, timeout)
        with output.progress(out.name) as progress:
            pulled = pull(lambda: edr(api, transfer), out, progress)
        if not keep:
            _complete(api, transfer)
    document: dict[str, Json] = {"agreement": agreed.document(), "transfer": transfer, "out": _pulled(pulled)}
    output.result(document, f"{out}  {pulled}")


def agree(api: Management, peer: Peer, dataset: str, purpose: str | None, offer_id: str | None, timeout: float) -> Agreed:
    """Negotiate one of the dataset's offers to its end.

    Raises:
        Denied: the partner, or our own policy, refused; the text is its reason.
        NotFound: no such dataset or offer, or not for us.
    """
    began = time.monotonic()
    with output.working(f"asking {peer.id} for {dataset}") as say:
        found = api.post("catalog", "dataset", "request", body={**peer.body, "@id": dataset})
        offer = _choose(objects(found.get("hasPolicy")), dataset, offer_id)
        policy: dict[str, Json] = {**offer, "@type": "Offer", "assigner": peer.id, "target": dataset}
        body: dict[str, Json] = {**peer.body, "policy": {"@context": "http://www.w3.org/ns/odrl.jsonld", **policy}}
        id = text(api.post("contractnegotiations", body={**body, **({"purpose": purpose} if purpose else {})})["@id"])
        state = api.wait("contractnegotiations", id, frozenset({"FINALIZED", "TERMINATED"}), timeout, say)
    record = api.get("contractnegotiations", id)
    if state == "TERMINATED":
        why = text(record.get("errorDetail")) or "no reason given"
        raise errors.Denied(f"{dataset} was refused: {why}\nThe whole story: `connector negotiations show {id}`")
    agreement = api.get("contractnegotiations", id, "agreement")
    return Agreed(id, text(record.get("contractAgreementId")), agreement.get("policy"), time.monotonic() - began)


def start_transfer(api: Management, peer: Peer, agreement: str, dataset: str, timeout: float) -> str:
    """Start a pull under an agreement and return the transfer's id. Raises Denied with the partner's reason."""
    body: dict[str, Json] = {"contractId": agreement, "assetId": dataset, "transferType": "HttpData-PULL"}
    with output.working("waiting for the transfer to start") as say:
        id = text(api.post("transferprocesses", body={**peer.body, **body})["@id"])
        state = api.wait("transferprocesses", id, frozenset({"STARTED", "TERMINATED"}), timeout, say)
    if state == "TERMINATED":
        why = text(api.get("transferprocesses", id).get("errorDetail")) or "no reason given"
        raise errors.Denied(f"the transfer was refused: {why}\nThe whole story: `connector transfers show {id}`")
    return id


def edr(api: Management, transfer: str) -> Edr:
    """Return where the transfer's data is pulled, with a token that is valid now."""
    address = api.get("edrs", transfer, "dataaddress")
    return Edr(text(address.get("endpoint")), text(address.get("authorization")))


def _complete(api: Management, transfer: str) -> None:
    """End the transfer politely. The data is here: a partner that ended it first changes nothing."""
    try:
        api.post("transferprocesses", transfer, "complete")
    except errors.ConnectorError as error:
        output.note(f"the data is here, but the transfer could not be completed: {error}")


def _choose(offers: list[dict[str, Json]], dataset: str, wanted: str | None) -> dict[str, Json]:
    ids = [text(offer.get("@id")) for offer in offers]
    if not offers:
        raise errors.NotFound(f"{dataset} has no offer for us")
    if wanted is None:
        if len(offers) > 1:
            output.note(
                f"{dataset} has {len(offers)} offers; taking {ids[0]} (others: {', '.join(ids[1:])}; choose with --offer)"
            )
        return offers[0]
    if wanted not in ids:
        raise errors.NotFound(f"{dataset} has no offer {wanted}; there is {', '.join(ids)}")
    return offers[ids.index(wanted)]


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


def _peer(url: str, peer: str | None, dir: Path) -> Peer:
    own = settings(dir) if (dir / "connector.toml").exists() else None
    return find(url, peer, own)
