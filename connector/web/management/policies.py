"""Policy definitions: ODRL policies by name. One that cannot be enforced is refused when it is made, not when it counts."""

from __future__ import annotations

from connector.dsp.offering import PolicyDefinition
from connector.errors import InvalidFiles, NotFound
from connector.odrl import evaluate
from connector.odrl import read as odrl
from connector.odrl.model import PolicyKind
from connector.web.management import plan, query
from connector.web.management.assets import origin
from connector.web.management.fields import Fields
from connector.web.management.jsonld import Node, iri, short
from connector.web.management.operation import Call, Operation, Parts, id_response, millis
from connector.web.management.rules import show_policy


async def create(parts: Parts, call: Call) -> Node:
    id = call.body.identifier() or parts.ids()
    definition = await parts.publishing.create_policy(read(call.body, id))
    return id_response(id, definition.created_at)


async def update(parts: Parts, call: Call) -> None:
    named = call.body.identifier()
    if named not in (None, call.id):
        call.body.wrong("@id", f"the @id of the body must be the one of the path, {call.id}", named)
    await parts.publishing.update_policy(read(call.body, call.id))


async def get(parts: Parts, call: Call) -> Node:
    return show(find(parts, call.id))


async def delete(parts: Parts, call: Call) -> None:
    await parts.publishing.delete_policy(call.id)


async def request(parts: Parts, call: Call) -> list[Node]:
    asked = query.read(call.body)
    call.body.check()
    return query.select(map(show, parts.offerings.current.policies.values()), asked)


async def validate(parts: Parts, call: Call) -> Node:
    try:
        evaluate.compile(find(parts, call.id).policy)
    except InvalidFiles as error:
        return {"@type": "PolicyValidationResult", "isValid": False, "errors": [str(p) for p in error.problems]}
    return {"@type": "PolicyValidationResult", "isValid": True, "errors": []}


async def evaluation_plan(parts: Parts, call: Call) -> Node:
    scope = call.body.mandatory("policyScope")
    call.body.check()
    return plan.of(find(parts, call.id).policy, scope)


def find(parts: Parts, id: str) -> PolicyDefinition:
    found = parts.offerings.current.policies.get(id)
    if found is None:
        raise NotFound(f"Object of type PolicyDefinition with ID={id} was not found")
    return found


def read(body: Fields, id: str) -> PolicyDefinition:
    """Raises ValidationFailure. Whether the policy can be enforced is for the service to say."""
    document = body.object("policy", mandatory=True)
    private = body.object("privateProperties")
    body.check()
    policy = odrl.policy(document.whole() if document else {}, kind=PolicyKind.SET)
    hidden = {} if private is None else {iri(name): value for name, value in private.rest().items()}
    return PolicyDefinition(id, policy, hidden)


def show(definition: PolicyDefinition) -> Node:
    node: Node = {"@id": definition.id, "@type": "PolicyDefinition", "policy": show_policy(definition.policy)}
    if definition.private_properties:
        node["privateProperties"] = {short(name): value for name, value in definition.private_properties.items()}
    return node | origin(definition.origin) | {"createdAt": millis(definition.created_at)}


OPERATIONS = (
    Operation(
        "POST", "/policydefinitions", create, "Create a policy definition", "PolicyDefinition", "IdResponse",
        errors=(400, 409),
    ),
    Operation(
        "POST", "/policydefinitions/request", request, "Query policy definitions", "QuerySpec", "PolicyDefinitionOutput",
        True, (400,),
    ),
    Operation(
        "GET", "/policydefinitions/{id}", get, "Get a policy definition", response="PolicyDefinitionOutput", errors=(404,)
    ),
    Operation(
        "PUT", "/policydefinitions/{id}", update, "Replace a policy definition", "PolicyDefinition", errors=(400, 404, 409)
    ),
    Operation(
        "DELETE", "/policydefinitions/{id}", delete, "Delete a policy definition that no contract definition uses",
        errors=(404, 409),
    ),
    Operation(
        "POST", "/policydefinitions/{id}/validate", validate, "Say whether the policy can be enforced",
        response="PolicyValidationResult", errors=(404,),
    ),
    Operation(
        "POST", "/policydefinitions/{id}/evaluationplan", evaluation_plan, "Show how the policy is evaluated",
        "PolicyEvaluationPlanRequest", "PolicyEvaluationPlan", errors=(400, 404),
    ),
)  # fmt: skip
