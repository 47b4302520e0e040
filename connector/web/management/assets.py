"""Assets: what there is to offer. Those from files and those from the store are one list."""

from __future__ import annotations

from connector.dsp import criteria
from connector.dsp.offering import EDC, Asset
from connector.errors import NotFound
from connector.odrl.model import Json
from connector.web.management import query
from connector.web.management.fields import Fields
from connector.web.management.jsonld import Node, iri, short
from connector.web.management.operation import Call, Operation, Parts, id_response, millis

ID = EDC + "id"


async def create(parts: Parts, call: Call) -> Node:
    asset = await parts.publishing.create_asset(read(call.body, call.body.identifier() or parts.ids()))
    return id_response(asset.id, asset.created_at)


async def update(parts: Parts, call: Call) -> None:
    await parts.publishing.update_asset(read(call.body, call.body.mandatory("@id")))


async def get(parts: Parts, call: Call) -> Node:
    asset = parts.offerings.current.assets.get(call.id)
    if asset is None:
        raise NotFound(f"Object of type Asset with ID={call.id} was not found")
    return show(asset)


async def delete(parts: Parts, call: Call) -> None:
    await parts.publishing.delete_asset(call.id)


async def request(parts: Parts, call: Call) -> list[Node]:
    asked = query.read(call.body)
    call.body.check()
    tests = [criteria.predicate(c) for c in asked.filters]
    lookups = [(asset, criteria.asset_lookup(asset, private=True)) for asset in parts.offerings.current.assets.values()]
    found = [(asset, look) for asset, look in lookups if all(test(look) for test in tests)]
    if asked.sort:
        path = asked.sort
        found.sort(key=lambda item: criteria.order(item[1](path)), reverse=asked.descending)
    return [show(asset) for asset, _ in query.paged(found, asked)]


def read(body: Fields, id: str) -> Asset:
    """Return the asset. What stands outside `properties` is kept as a property. Raises ValidationFailure."""
    properties: Node = {}
    if (given := body.object("properties", mandatory=True)) is not None:
        properties = {iri(name): value for name, value in given.rest().items()}
        given.raw("@id")
    private, metadata = body.object("privateProperties"), body.object("dataplaneMetadata")
    source = body.object("dataAddress", mandatory=True)
    data_address = {} if source is None else read_address(source)
    if properties.pop(ID, id) != id:
        body.wrong("properties", f"the property id must be the asset's @id, {id}")
    for name, value in body.rest().items():
        if properties.setdefault(iri(name), value) != value:
            body.wrong(name, f"'{name}' is given twice, inside and outside of properties", value)
    body.check()
    hidden = {} if private is None else {iri(name): value for name, value in private.rest().items()}
    if metadata is not None:  # for a data plane of one's own, which version 4 knows: kept from partners
        hidden[iri("dataplaneMetadata")] = metadata.whole()
    return Asset(id, properties, hidden, data_address)


def read_address(source: Fields) -> dict[str, str]:
    """Return a data address; numbers and truth values become text, as EDC keeps them."""
    found = {"type": source.mandatory("type")}
    for name, value in source.rest().items():
        if isinstance(value, bool):
            found[name] = str(value).lower()
        elif isinstance(value, (str, int, float)):
            found[name] = str(value)
        else:
            source.wrong(name, f"value '{source.at(name)}' must be text", value)
    return found


def show(asset: Asset) -> Node:
    properties: dict[str, Json] = {"id": asset.id} | {short(name): value for name, value in asset.properties.items()}
    node: Node = {"@id": asset.id, "@type": "Asset", "properties": properties}
    if asset.private_properties:
        node["privateProperties"] = {short(name): value for name, value in asset.private_properties.items()}
    node["dataAddress"] = {"@type": "DataAddress", **asset.data_address}
    return node | origin(asset.origin) | {"createdAt": millis(asset.created_at)}


def origin(file: str | None) -> Node:
    """Say which file an object comes from: it is changed there, not here."""
    return {} if file is None else {"origin": file}


OPERATIONS = (
    Operation("POST", "/assets", create, "Create an asset", "Asset", "IdResponse", errors=(400, 409)),
    Operation("PUT", "/assets", update, "Replace an asset", "AssetUpdate", errors=(400, 404, 409)),
    Operation("POST", "/assets/request", request, "Query assets", "QuerySpec", "AssetOutput", True, (400,)),
    Operation("GET", "/assets/{id}", get, "Get an asset", response="AssetOutput", errors=(404,)),
    Operation("DELETE", "/assets/{id}", delete, "Delete an asset that no agreement refers to", errors=(404, 409)),
)
