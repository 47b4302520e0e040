"""Other connectors' catalogs, as they send them."""

from __future__ import annotations

from collections.abc import Awaitable

from connector.errors import ConnectorError
from connector.odrl.model import Json
from connector.web.management import query
from connector.web.management.errors import BadGateway
from connector.web.management.operation import AsIs, Call, Operation, Parts, address, protocol


async def request(parts: Parts, call: Call) -> AsIs:
    body = call.body
    version = protocol(body)
    where = address(body) or ""
    peer = body.text("counterPartyId") or where
    spec = body.object("querySpec")
    asked = None if spec is None else query.wire(query.read(spec), spec.node)
    body.check()
    return await from_peer(parts.catalogs.request(peer, where, asked, version))


async def dataset(parts: Parts, call: Call) -> AsIs:
    body = call.body
    version = protocol(body)
    where = address(body) or ""
    peer = body.text("counterPartyId") or where
    id = body.mandatory("@id")
    body.check()
    return await from_peer(parts.catalogs.dataset(peer, where, id, version))


async def from_peer(asking: Awaitable[dict[str, Json]]) -> AsIs:
    """Raises BadGateway: whatever goes wrong from here on is between the peer and us, not our caller's fault."""
    try:
        return AsIs(await asking)
    except ConnectorError as error:
        raise BadGateway(error) from error


OPERATIONS = (
    Operation("POST", "/catalog/request", request, "Request a catalog", "CatalogRequest", "Catalog", errors=(400, 502)),
    Operation(
        "POST", "/catalog/dataset/request", dataset, "Request one dataset", "DatasetRequest", "Dataset", errors=(400, 502)
    ),
)
