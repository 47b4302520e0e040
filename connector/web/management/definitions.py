"""Contract definitions: which assets are shown to whom, under what terms."""

from __future__ import annotations

from connector.dsp.offering import ContractDefinition
from connector.errors import NotFound
from connector.web.management import query
from connector.web.management.assets import origin
from connector.web.management.fields import Fields
from connector.web.management.jsonld import Node, iri, short
from connector.web.management.operation import Call, Operation, Parts, id_response, millis


async def create(parts: Parts, call: Call) -> Node:
    id = call.body.identifier() or parts.ids()
    definition = await parts.publishing.create_definition(read(call.body, id))
    return id_response(id, definition.created_at)


async def update(parts: Parts, call: Call) -> None:
    await parts.publishing.update_definition(read(call.body, call.body.mandatory("@id")))


async def get(parts: Parts, call: Call) -> Node:
    definition = parts.offerings.current.definitions.get(call.id)
    if definition is None:
        raise NotFound(f"Object of type ContractDefinition with ID={call.id} was not found")
    return show(definition)


async def delete(parts: Parts, call: Call) -> None:
    await parts.publishing.delete_definition(call.id)


async def request(parts: Parts, call: Call) -> list[Node]:
    asked = query.read(call.body)
    call.body.check()
    return query.select(map(show, parts.offerings.current.definitions.values()), asked)


def read(body: Fields, id: str) -> ContractDefinition:
    """Raises ValidationFailure."""
    access, contract = body.mandatory("accessPolicyId"), body.mandatory("contractPolicyId")
    selector = tuple(query.criterion(item) for item in body.objects("assetsSelector"))
    private = body.object("privateProperties")
    body.check()
    hidden = {} if private is None else {iri(name): value for name, value in private.rest().items()}
    return ContractDefinition(id, access, contract, selector, hidden)


def show(definition: ContractDefinition) -> Node:
    node: Node = {
        "@id": definition.id,
        "@type": "ContractDefinition",
        "accessPolicyId": definition.access_policy_id,
        "contractPolicyId": definition.contract_policy_id,
        "assetsSelector": [query.written(criterion) for criterion in definition.selector],
    }
    if definition.private_properties:
        node["privateProperties"] = {short(name): value for name, value in definition.private_properties.items()}
    return node | origin(definition.origin) | {"createdAt": millis(definition.created_at)}


OPERATIONS = (
    Operation(
        "POST", "/contractdefinitions", create, "Create a contract definition", "ContractDefinition", "IdResponse",
        errors=(400, 409),
    ),
    Operation(
        "PUT", "/contractdefinitions", update, "Replace a contract definition", "ContractDefinitionUpdate",
        errors=(400, 404, 409),
    ),
    Operation(
        "POST", "/contractdefinitions/request", request, "Query contract definitions", "QuerySpec",
        "ContractDefinitionOutput", True, (400,),
    ),
    Operation(
        "GET", "/contractdefinitions/{id}", get, "Get a contract definition", response="ContractDefinitionOutput",
        errors=(404,),
    ),
    Operation("DELETE", "/contractdefinitions/{id}", delete, "Delete a contract definition", errors=(404, 409)),
)  # fmt: skip
