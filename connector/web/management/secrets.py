"""Secrets: values that data addresses and callbacks name, kept apart from them."""

from __future__ import annotations

from connector.errors import Conflict
from connector.observe import current_correlation
from connector.ports import AuditRecord, Transaction
from connector.web.management.jsonld import Node
from connector.web.management.operation import Call, Operation, Parts, id_response
from connector.web.management.processes import missing


async def create(parts: Parts, call: Call) -> Node:
    id, value = call.body.identifier() or parts.ids(), call.body.mandatory("value")
    call.body.check()

    def work(tx: Transaction) -> None:
        if tx.secrets.get(id) is not None:
            raise Conflict(f"secret {id} exists already: replace it with PUT")
        tx.secrets.put(id, value)
        note(parts, tx, "created", id)

    await parts.store.transact(work)
    return id_response(id, parts.clock())


async def update(parts: Parts, call: Call) -> None:
    id, value = call.body.mandatory("@id"), call.body.mandatory("value")
    call.body.check()

    def work(tx: Transaction) -> None:
        if tx.secrets.get(id) is None:
            raise missing("Secret", id)
        tx.secrets.put(id, value)
        note(parts, tx, "updated", id)

    await parts.store.transact(work)


async def get(parts: Parts, call: Call) -> Node:
    value = await parts.store.read(lambda tx: tx.secrets.get(call.id))
    if value is None:
        raise missing("Secret", call.id)
    return {"@id": call.id, "@type": "Secret", "value": value}


async def delete(parts: Parts, call: Call) -> None:
    def work(tx: Transaction) -> None:
        if not tx.secrets.delete(call.id):
            raise missing("Secret", call.id)
        note(parts, tx, "deleted", call.id)

    await parts.store.transact(work)


def note(parts: Parts, tx: Transaction, what: str, id: str) -> None:
    tx.audit.add(AuditRecord(parts.clock(), f"secret.{what}", current_correlation(), id))


OPERATIONS = (
    Operation("POST", "/secrets", create, "Create a secret", "Secret", "IdResponse", errors=(400, 409)),
    Operation("PUT", "/secrets", update, "Replace a secret", "SecretUpdate", errors=(400, 404)),
    Operation("GET", "/secrets/{id}", get, "Get a secret", response="SecretOutput", errors=(404,)),
    Operation("DELETE", "/secrets/{id}", delete, "Delete a secret", errors=(404,)),
)
