"""The schemas of the management API's bodies, as OpenAPI 3.1 components (EDC's names and fields, and ours beside them)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from connector.dsp.dialects import PROTOCOLS
from connector.web.management.states import NEGOTIATION, TRANSFER

Schema: TypeAlias = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
ID: Schema = {"type": "string", "minLength": 1, "pattern": r"\S"}
WORDS: Schema = {"type": "string", "minLength": 1, "pattern": r"\S"}
URL: Schema = {"type": "string", "pattern": "^https?://"}
MILLIS: Schema = {"type": "integer", "description": "epoch milliseconds"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
PROTOCOL: Schema = {"enum": list(PROTOCOLS)}
LITERAL: Schema = {"type": ["string", "number", "boolean"]}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def body(required: str = "", **fields: Schema) -> Schema:
    """Return the schema of an object. `_x` stands for `@x`."""
    properties = {name.replace("_", "@", 1) if name.startswith("_") else name: schema for name, schema in fields.items()}
    names = required.split()
    return {"type": "object", "properties": properties} | ({"required": names} if names else {})


def collapsed(item: Schema) -> Schema:
    """An array, which JSON-LD writes as its element when there is one."""
    return {"oneOf": [{"type": "array", "items": item}, item]}


CALLBACKS = collapsed(ref("CallbackAddress"))
REASON = body("reason", _id=ID, reason=WORDS)
PROCESS: dict[str, Schema] = {
    "_id": ID,
    "_type": TEXT,
    "_context": {},
    "type": {"enum": ["CONSUMER", "PROVIDER"]},
    "protocol": TEXT,
    "stateTimestamp": MILLIS,
    "createdAt": MILLIS,
    "counterPartyId": TEXT,
    "counterPartyAddress": TEXT,
    "correlationId": {"type": "string", "description": "the counter-party's id of the process"},
    "traceId": {"type": "string", "description": "the correlation id of log, audit and metrics"},
    "waitingFor": {"type": "string", "description": "what a person has to decide"},
    "deadline": {"type": "integer", "description": "epoch milliseconds; when the process ends if nothing moves it"},
    "errorDetail": TEXT,
    "cause": body("code detail by", code=TEXT, detail=TEXT, by={"enum": ["CONSUMER", "PROVIDER"]}),
    "callbackAddresses": collapsed(OBJECT),
    "assetId": TEXT,
}
ASSET: dict[str, Schema] = {
    "properties": {"type": "object", "additionalProperties": True},
    "privateProperties": {"type": "object", "additionalProperties": True},
    "dataAddress": {
        "type": "object",
        "properties": {"type": WORDS},
        "required": ["type"],
        "additionalProperties": LITERAL,
    },
}
DESTINATION: Schema = {
    "type": "object",
    "description": "where HttpData-PUSH brings the data",
    "properties": {"type": WORDS, "baseUrl": URL},
    "additionalProperties": TEXT,
}
DEFINITION: dict[str, Schema] = {
    "accessPolicyId": WORDS,
    "contractPolicyId": WORDS,
    "assetsSelector": collapsed(ref("Criterion")),
    "privateProperties": OBJECT,
}
COUNTER_PARTY: dict[str, Schema] = {"protocol": PROTOCOL, "counterPartyAddress": URL, "counterPartyId": TEXT}
OUTPUT: dict[str, Schema] = {"_id": ID, "_type": TEXT, "_context": {}, "createdAt": MILLIS}
FILED: dict[str, Schema] = {"origin": {"type": "string", "description": "the file it comes from, and is changed in"}}
STEPS = collapsed(OBJECT)

SCHEMAS: Mapping[str, Schema] = {
    "ApiErrorDetail": body(
        "message type path invalidValue",
        message=TEXT, type=TEXT, path={"type": ["string", "null"]}, invalidValue={"type": ["string", "null"]}, cause=TEXT,
    ),
    "IdResponse": body("@id @type createdAt", **OUTPUT),
    "Criterion": body(
        "operandLeft operator operandRight",
        operandLeft=WORDS,
        operator={"enum": ["=", "!=", "in", "not in", "like", "ilike", "contains", "<", "<=", ">", ">="]},
        operandRight={"anyOf": [LITERAL, {"type": "array", "items": LITERAL}]},
    ),
    "QuerySpec": body(
        offset={"type": "integer", "minimum": 0, "default": 0},
        limit={"type": "integer", "minimum": 1, "default": 50},
        sortField=TEXT,
        sortOrder={"enum": ["ASC", "DESC"], "default": "ASC"},
        filterExpression={"type": "array", "items": ref("Criterion"), "maxItems": 100},
    ),
    "Asset": body("properties dataAddress", _id=ID, **ASSET),
    "AssetUpdate": body("@id properties dataAddress", _id=ID, **ASSET),
    "AssetOutput": body("@id @type properties dataAddress", **OUTPUT, **ASSET, **FILED),
    "PolicyDefinition": body("policy", _id=ID, policy=OBJECT, privateProperties=OBJECT),
    "PolicyDefinitionOutput": body("@id @type policy", **OUTPUT, policy=OBJECT, privateProperties=OBJECT, **FILED),
    "PolicyValidationResult": body("isValid errors", isValid=FLAG, errors=collapsed(TEXT)),
    "PolicyEvaluationPlanRequest": body("policyScope", policyScope=WORDS),
    "PolicyEvaluationPlan": body(
        "permissionSteps prohibitionSteps obligationSteps",
        policyScope=TEXT, preValidators=collapsed(TEXT), postValidators=collapsed(TEXT),
        permissionSteps=STEPS, prohibitionSteps=STEPS, obligationSteps=STEPS,
    ),
    "ContractDefinition": body("accessPolicyId contractPolicyId", _id=ID, **DEFINITION),
    "ContractDefinitionUpdate": body("@id accessPolicyId contractPolicyId", _id=ID, **DEFINITION),
    "ContractDefinitionOutput": body(
        "@id @type accessPolicyId contractPolicyId assetsSelector", **OUTPUT, **DEFINITION, **FILED
    ),
    "CatalogRequest": body("protocol counterPartyAddress", **COUNTER_PARTY, querySpec=ref("QuerySpec")),
    "DatasetRequest": body("@id protocol counterPartyAddress", _id=ID, **COUNTER_PARTY),
    "Catalog": {"type": "object", "description": "dcat:Catalog as the peer sent it"},
    "Dataset": {"type": "object", "description": "dcat:Dataset as the peer sent it"},
    "Offer": body("@id assigner target", _id=ID, assigner=WORDS, target=WORDS),
    "ContractRequest": body(
        "protocol counterPartyAddress policy",
        **COUNTER_PARTY, policy=ref("Offer"), purpose=TEXT, callbackAddresses=CALLBACKS,
    ),
    "CounterOffer": body("policy", policy=ref("Offer")),
    "ContractNegotiation": body(
        "@id @type type protocol state counterPartyId counterPartyAddress callbackAddresses createdAt assetId",
        **PROCESS, state={"enum": list(NEGOTIATION)}, contractAgreementId=TEXT,
    ),
    "NegotiationState": body("state", state={"enum": list(NEGOTIATION)}),
    "ContractAgreement": body(
        "@id @type agreementId assetId providerId consumerId contractSigningDate policy",
        _id=ID, _type=TEXT, agreementId=TEXT, assetId=TEXT, providerId=TEXT, consumerId=TEXT,
        contractSigningDate={"type": "integer", "description": "epoch seconds"}, policy=OBJECT, policyHash=TEXT,
        negotiationId=TEXT, purpose=TEXT, inForce=FLAG, ended={"type": "string", "description": "why it has ended"},
    ),
    "TransferRequest": body(
        "contractId protocol transferType",
        **COUNTER_PARTY, contractId=WORDS, transferType=WORDS, assetId=TEXT, callbackAddresses=CALLBACKS,
        dataDestination=DESTINATION,
    ),
    "TransferProcess": body(
        "@id @type type state stateTimestamp callbackAddresses assetId contractId transferType",
        **PROCESS, state={"enum": list(TRANSFER)}, contractId=TEXT, transferType=TEXT, dataDestination=OBJECT,
    ),
    "TransferState": body("state", state={"enum": list(TRANSFER)}),
    "Timeline": body(
        "@id state peer events pending",
        _id=ID, _type=TEXT, state=TEXT, waitingFor=TEXT, traceId=TEXT,
        peer=body("id address", id=TEXT, address=TEXT, answers={"type": ["boolean", "null"]}),
        events=collapsed(body("at event by", at=TEXT, event=TEXT, by=TEXT)),
        pending=collapsed(body("message attempts nextTry", message=TEXT, attempts={"type": "integer"}, nextTry=TEXT)),
    ),
    "CallbackAddress": body("uri", uri=URL, events=collapsed(TEXT), transactional=FLAG, authKey=TEXT, authCodeId=TEXT),
    "TerminateNegotiation": REASON,
    "TerminateTransfer": REASON,
    "SuspendTransfer": REASON,
    "Reason": REASON,
    "Act": body(_id=ID),
    "EndpointDataReferenceEntry": body(
        "@id transferProcessId agreementId assetId providerId createdAt", **OUTPUT,
        transferProcessId=TEXT, agreementId=TEXT, contractNegotiationId=TEXT, assetId=TEXT, providerId=TEXT,
    ),
    "DataAddress": body("type", _type=TEXT, type=TEXT, endpoint=TEXT, endpointType=TEXT, authorization=TEXT),
    "DataPlaneInstance": body(
        "@id @type url allowedSourceTypes allowedDestTypes allowedTransferTypes state", _id=ID, _type=TEXT, _context={},
        url=URL, allowedSourceTypes=collapsed(TEXT), allowedDestTypes=collapsed(TEXT), allowedTransferTypes=collapsed(TEXT),
        properties=OBJECT, state=TEXT, stateTimestamp=MILLIS, lastActive=MILLIS, turnCount={"type": "integer"},
    ),
    "DataPlaneRegistrationMessage": body(
        "dataplaneId", dataplaneId=WORDS, endpoint=TEXT, transferTypes=collapsed(TEXT), labels=collapsed(TEXT),
        authorization={},
    ),
    "Partner": body("@id", _id=ID, _type=TEXT, _context={}, name=TEXT, address=TEXT, spatial=TEXT),
    "Secret": body("value", _id=ID, value=WORDS),
    "SecretUpdate": body("@id value", _id=ID, value=WORDS),
    "SecretOutput": body("@id value", _id=ID, _type=TEXT, value=TEXT),
}  # fmt: skip
