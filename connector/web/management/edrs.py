"""EDRs: the endpoint data references of transfers in which this connector is the consumer."""

from __future__ import annotations

from connector.dsp.messages import DataAddress, Role
from connector.dsp.offering import Criterion
from connector.dsp.transfer import TransferProcess
from connector.errors import Unavailable
from connector.ports import Query, Transaction
from connector.web.management import query
from connector.web.management.errors import BadGateway
from connector.web.management.jsonld import Node, short
from connector.web.management.operation import Call, Operation, Parts, millis

CONSUMER = Query((Criterion("role", "=", str(Role.CONSUMER)),), sort="created_at", descending=True, limit=None)


async def request(parts: Parts, call: Call) -> list[Node]:
    asked = query.read(call.body)
    call.body.check()

    def work(tx: Transaction) -> list[Node]:
        held = [t for t in tx.transfers.query(CONSUMER) if t.data_address is not None and not t.ended]
        return query.select((entry(tx, transfer) for transfer in held), asked)

    return await parts.store.read(work)


def entry(tx: Transaction, transfer: TransferProcess) -> Node:
    agreement = tx.agreements.get(transfer.agreement_id)
    return {
        "@id": transfer.id,
        "@type": "EndpointDataReferenceEntry",
        "transferProcessId": transfer.id,
        "agreementId": transfer.agreement_id,
        "contractNegotiationId": None if agreement is None else agreement.negotiation_id,
        "assetId": transfer.dataset_id,
        "providerId": transfer.peer,
        "createdAt": millis(transfer.created_at),
    }


async def data_address(parts: Parts, call: Call) -> Node:
    refresh = call.params.get("auto_refresh", "").lower() == "true"
    try:
        return show(await parts.edrs.address(call.id, refresh=refresh))
    except Unavailable as error:
        raise BadGateway(error) from error


async def delete(parts: Parts, call: Call) -> None:
    await parts.edrs.forget(call.id)


def show(address: DataAddress) -> Node:
    """Return the data address: each endpoint property under its own name."""
    node: Node = {"@type": "DataAddress", "type": address.endpoint_type, "endpointType": address.endpoint_type}
    if address.endpoint is not None:
        node["endpoint"] = address.endpoint
    return node | {short(prop.name): prop.value for prop in address.properties}


OPERATIONS = (
    Operation("POST", "/edrs/request", request, "Query EDRs", "QuerySpec", "EndpointDataReferenceEntry", True, (400,)),
    Operation(
        "GET", "/edrs/{id}/dataaddress", data_address, "Get where and with what to pull; `auto_refresh=true` renews a "
        "token that expires soon", response="DataAddress", errors=(404, 502), params=("auto_refresh",),
    ),
    Operation("DELETE", "/edrs/{id}", delete, "Drop an EDR; the transfer goes on", errors=(404,)),
)  # fmt: skip
