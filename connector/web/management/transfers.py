"""Transfer processes: begin one as consumer, follow it, suspend, resume, complete or end it."""

from __future__ import annotations

from connector.dsp import dialects
from connector.dsp.messages import DataAddress, EndpointProperty
from connector.dsp.offering import EDC
from connector.dsp.transfer import TransferProcess
from connector.errors import Conflict, Malformed, NotFound
from connector.web.management import query, states
from connector.web.management.fields import Fields
from connector.web.management.jsonld import Node
from connector.web.management.operation import Call, Operation, Parts, address, id_response, protocol
from connector.web.management.processes import callbacks, missing, reason, shared, show_timeline

NOUN = "TransferProcess"
COLUMNS = query.Columns(
    text={
        "@id": "id",
        "counterPartyId": "peer",
        "counterPartyAddress": "peer_address",
        "correlationId": "peer_pid",
        "traceId": "correlation_id",
        "assetId": "dataset_id",
        "contractId": "agreement_id",
        "transferType": "format",
    },
    times={"createdAt": "created_at", "stateTimestamp": "updated_at", "deadline": "deadline"},
    sort={"createdAt": "created_at", "stateTimestamp": "updated_at"},
    numbers=states.TRANSFER,
    newest="created_at",
)


async def create(parts: Parts, call: Call) -> Node:
    body = call.body
    contract, kind = body.mandatory("contractId"), body.mandatory("transferType")
    version = protocol(body)
    where = address(body, mandatory=False)
    to = destination(body, kind)
    for known in ("assetId", "counterPartyId"):  # the agreement says both
        body.text(known)
    found = callbacks(body)
    body.check()
    spoken = version if where or version != dialects.UNVERSIONED else None  # many write that without thinking of 0.8
    try:
        begun = await parts.transfers.request(contract, kind, where, destination=to, callbacks=found, protocol=spoken)
    except (NotFound, Conflict) as error:  # EDC answers 400 for an agreement that cannot be used
        raise Malformed(str(error)) from error
    return id_response(begun.id, begun.created_at)


def destination(body: Fields, kind: str) -> DataAddress | None:
    """Return where a push goes to: the properties of `dataDestination`, spelled as EDC spells them on the wire."""
    pushes = kind.upper().endswith("-PUSH")
    given = body.object("dataDestination", mandatory=pushes)
    if given is None or not pushes:  # a pull has none: what clients send along is not for the provider (DSP-085)
        return None
    type, url = given.mandatory("type"), given.mandatory("baseUrl")
    for name in ("secretName", "keyName"):
        if given.text(name):
            given.wrong(name, f"{name} is a secret of this side, which the provider cannot read: send authKey and authCode")
    named = {name: given.text(name) for name in given.rest()}
    properties = {name if ":" in name else EDC + name: value for name, value in named.items() if value is not None}
    properties[EDC + "baseUrl"] = url
    return DataAddress(type, url, tuple(EndpointProperty(*item) for item in properties.items()))


def show_destination(address: DataAddress | None) -> Node | None:
    if address is None:
        return None
    return {"@type": "DataAddress", "type": address.endpoint_type, **address.harmless().values()}


async def request(parts: Parts, call: Call) -> list[Node]:
    asked = query.read(call.body)
    call.body.check()
    return await parts.store.read(lambda tx: query.answer(tx.transfers, asked, COLUMNS, show))


async def get(parts: Parts, call: Call) -> Node:
    return show(await find(parts, call.id))


async def state(parts: Parts, call: Call) -> Node:
    return {"@type": "TransferState", "state": states.shown(await find(parts, call.id))}


async def timeline(parts: Parts, call: Call) -> Node:
    return show_timeline(await parts.history.of_transfer(call.id))


async def terminate(parts: Parts, call: Call) -> None:
    await parts.transfers.terminate(call.id, reason(call))


async def suspend(parts: Parts, call: Call) -> None:
    await parts.transfers.suspend(call.id, reason(call))


async def resume(parts: Parts, call: Call) -> None:
    await parts.transfers.resume(call.id)


async def complete(parts: Parts, call: Call) -> None:
    await parts.transfers.complete(call.id)


async def deprovision(parts: Parts, call: Call) -> None:
    """Nothing is provisioned for a transfer here, so there is nothing to take down."""
    await find(parts, call.id)


async def find(parts: Parts, id: str) -> TransferProcess:
    found = await parts.store.read(lambda tx: tx.transfers.get(id))
    if found is None:
        raise missing(NOUN, id)
    return found


def show(transfer: TransferProcess) -> Node:
    return shared(transfer) | {
        "@type": NOUN,
        "protocol": transfer.protocol,
        "assetId": transfer.dataset_id,
        "contractId": transfer.agreement_id,
        "transferType": transfer.format,
        "dataDestination": show_destination(transfer.destination),
        "callbackAddresses": list(transfer.callbacks),
    }


BASE = "/transferprocesses"
ONE = BASE + "/{id}"
OPERATIONS = (
    Operation("POST", BASE, create, "Begin a transfer as consumer", "TransferRequest", "IdResponse", errors=(400,)),
    Operation("POST", BASE + "/request", request, "Query transfer processes", "QuerySpec", NOUN, True, (400,)),
    Operation("GET", ONE, get, "Get a transfer process", response=NOUN, errors=(404,)),
    Operation("GET", ONE + "/state", state, "Get a transfer's state", response="TransferState", errors=(404,)),
    Operation("GET", ONE + "/timeline", timeline, "Tell what happened and what waits", response="Timeline", errors=(404,)),
    Operation("POST", ONE + "/terminate", terminate, "End a transfer", "TerminateTransfer", errors=(400, 404, 409)),
    Operation("POST", ONE + "/suspend", suspend, "Stop the flow of data for now", "SuspendTransfer", errors=(400, 404, 409)),
    Operation("POST", ONE + "/resume", resume, "Let a suspended transfer go on", "Act", errors=(400, 404, 409)),
    Operation("POST", ONE + "/complete", complete, "Say that the data has been transferred", "Act", errors=(400, 404, 409)),
    Operation(
        "POST", ONE + "/deprovision", deprovision, "Nothing to do here: kept for EDC clients", "Act", errors=(400, 404)
    ),
)
