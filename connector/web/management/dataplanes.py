"""Data planes: the one that is built in. EDC's selector lists it; nothing else can be registered beside it."""

from __future__ import annotations

from connector.errors import Conflict, Malformed
from connector.web.management.jsonld import Node
from connector.web.management.operation import Call, Operation, Parts, millis
from connector.web.management.processes import missing

NOUN = "DataPlaneInstance"


async def request(parts: Parts, call: Call) -> list[Node]:
    plane = parts.dataplane
    since = millis(plane.since)
    return [
        {
            "@id": plane.id,
            "@type": NOUN,
            "url": plane.url,
            "allowedSourceTypes": list(plane.sources),
            "allowedDestTypes": list(plane.destinations),
            "allowedTransferTypes": list(plane.transfers),
            "properties": {},
            "state": "AVAILABLE",
            "stateTimestamp": since,
            "lastActive": millis(parts.clock()),
            "turnCount": 0,
        }
    ]


async def register(parts: Parts, call: Call) -> None:
    id = call.body.mandatory("dataplaneId")
    call.body.rest()
    call.body.check()
    if id != parts.dataplane.id:
        raise Malformed(f"the data plane is built into this connector ({parts.dataplane.id}): no other can be registered")


async def delete(parts: Parts, call: Call) -> None:
    if call.id != parts.dataplane.id:
        raise missing(NOUN, call.id)
    raise Conflict("this data plane is built into the connector and cannot be taken away")


OPERATIONS = (
    Operation("GET", "/dataplanes", request, "List the built-in data plane", response=NOUN, many=True),
    Operation(
        "PUT", "/dataplanes", register, "Refuses any data plane but the built-in one", "DataPlaneRegistrationMessage",
        errors=(400,), only=("v4",),
    ),
    Operation("DELETE", "/dataplanes/{id}", delete, "Refuses: it is built in", errors=(404, 409), only=("v4",)),
)  # fmt: skip
