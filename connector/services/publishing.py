"""Publishing: create, change and remove assets, policy definitions and contract definitions over the API.

What a file says is read-only here: the error names the file to edit. A change is in the store and in the offering, or in
neither; whoever asks for the catalogue after the answer sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from connector.dsp.offering import Asset, ContractDefinition, Criterion, PolicyDefinition
from connector.errors import Conflict, Malformed, NotFound
from connector.observe import current_correlation
from connector.odrl import evaluate
from connector.ports import AuditRecord, Clock, Query, Source, Store, Table, Transaction
from connector.services.offerings import Offerings

R = TypeVar("R", Asset, PolicyDefinition, ContractDefinition)


class Publishing:
    def __init__(self, store: Store, offerings: Offerings, sources: Mapping[str, Source], clock: Clock) -> None:
        self._store = store
        self._offerings = offerings
        self._sources = sources
        self._clock = clock
        self._turn = asyncio.Lock()
        self._committed = self._loaded = 0  # changes in the store, and in the offering

    # --- assets ------------------------------------------------------------------------------------------------------

    async def create_asset(self, asset: Asset) -> Asset:
        """Raises Conflict when the id is taken, Malformed when the data address cannot work."""
        await self._check_address(asset.data_address)
        return await self._create("asset", asset, self._offerings.current.assets, lambda tx: tx.assets)

    async def update_asset(self, asset: Asset) -> None:
        """Raises NotFound, Conflict, Malformed."""
        await self._check_address(asset.data_address)
        await self._update("asset", asset, self._offerings.current.assets, lambda tx: tx.assets)

    async def delete_asset(self, id: str) -> None:
        """Raises NotFound; Conflict when it comes from a file or an agreement refers to it."""

        def check(tx: Transaction) -> None:
            if tx.agreements.count((Criterion("dataset_id", "=", id),)):
                raise Conflict(f"asset {id} cannot be deleted: a contract agreement refers to it")

        await self._delete("asset", id, self._offerings.current.assets, lambda tx: tx.assets, check)

    async def _check_address(self, address: Mapping[str, str]) -> None:
        source = self._sources.get(address.get("type", ""))
        if source is None:
            known = ", ".join(sorted(self._sources)) or "none"
            raise Malformed(f"DataAddress type {address.get('type')!r} has no data source here; known types: {known}")
        if problem := await source.check(address):
            raise Malformed(problem)

    # --- policy definitions ------------------------------------------------------------------------------------------

    async def create_policy(self, definition: PolicyDefinition) -> PolicyDefinition:
        """Raises Conflict; InvalidFiles with every problem when the policy cannot be enforced."""
        evaluate.compile(definition.policy)
        return await self._create("policy definition", definition, self._offerings.current.policies, lambda tx: tx.policies)

    async def update_policy(self, definition: PolicyDefinition) -> None:
        """Raises NotFound, Conflict, InvalidFiles."""
        evaluate.compile(definition.policy)
        await self._update("policy definition", definition, self._offerings.current.policies, lambda tx: tx.policies)

    async def delete_policy(self, id: str) -> None:
        """Raises NotFound; Conflict when it comes from a file or a contract definition uses it."""
        filed = [d for d in self._offerings.current.definitions.values() if d.origin]

        def check(tx: Transaction) -> None:
            for definition in (*filed, *tx.definitions.query(Query(limit=None))):
                if id in (definition.access_policy_id, definition.contract_policy_id):
                    words = f"policy definition {id} cannot be deleted: contract definition {definition.id} uses it"
                    raise Conflict(words)

        await self._delete("policy definition", id, self._offerings.current.policies, lambda tx: tx.policies, check)

    # --- contract definitions ----------------------------------------------------------------------------------------

    async def create_definition(self, definition: ContractDefinition) -> ContractDefinition:
        """Raises Conflict; Malformed when it names a policy definition that does not exist."""
        current = self._offerings.current
        check = self._policies_exist(definition)
        return await self._create("contract definition", definition, current.definitions, lambda tx: tx.definitions, check)

    async def update_definition(self, definition: ContractDefinition) -> None:
        """Raises NotFound, Conflict, Malformed."""
        current = self._offerings.current
        check = self._policies_exist(definition)
        await self._update("contract definition", definition, current.definitions, lambda tx: tx.definitions, check)

    async def delete_definition(self, id: str) -> None:
        """Raises NotFound, Conflict."""
        current = self._offerings.current
        await self._delete("contract definition", id, current.definitions, lambda tx: tx.definitions)

    def _policies_exist(self, definition: ContractDefinition) -> Callable[[Transaction], None]:
        filed = self._offerings.current.policies

        def check(tx: Transaction) -> None:
            for id in (definition.access_policy_id, definition.contract_policy_id):
                if id not in filed and tx.policies.get(id) is None:
                    raise Malformed(f"there is no policy definition {id}: create it before the contract definition")

        return check

    # --- all three alike ---------------------------------------------------------------------------------------------

    async def _create(
        self,
        noun: str,
        record: R,
        current: Mapping[str, R],
        table: Callable[[Transaction], Table[R]],
        check: Callable[[Transaction], None] = lambda _: None,
    ) -> R:
        owned_by_file(noun, current.get(record.id))
        now = self._clock()
        created = replace(record, created_at=now)

        def work(tx: Transaction) -> None:
            if table(tx).get(record.id) is not None:
                raise Conflict(f"{noun} {record.id} exists already: choose another id or update it")
            check(tx)
            table(tx).put(created)
            tx.audit.add(AuditRecord(now, event(noun, "created"), current_correlation(), record.id))

        await self._change(work, record)
        return created

    async def _update(
        self,
        noun: str,
        record: R,
        current: Mapping[str, R],
        table: Callable[[Transaction], Table[R]],
        check: Callable[[Transaction], None] = lambda _: None,
    ) -> None:
        owned_by_file(noun, current.get(record.id))

        def work(tx: Transaction) -> None:
            before = table(tx).get(record.id)
            if before is None:
                raise NotFound(f"there is no {noun} {record.id}")
            check(tx)
            table(tx).put(replace(record, created_at=before.created_at))
            tx.audit.add(AuditRecord(self._clock(), event(noun, "updated"), current_correlation(), record.id))

        await self._change(work, record)

    async def _delete(
        self,
        noun: str,
        id: str,
        current: Mapping[str, R],
        table: Callable[[Transaction], Table[R]],
        check: Callable[[Transaction], None] = lambda _: None,
    ) -> None:
        known = current.get(id)
        owned_by_file(noun, known)

        def work(tx: Transaction) -> None:
            if table(tx).get(id) is None:
                raise NotFound(f"there is no {noun} {id}")
            check(tx)
            table(tx).delete(id)
            tx.audit.add(AuditRecord(self._clock(), event(noun, "deleted"), current_correlation(), id))

        await self._change(work, known)

    async def _change(self, work: Callable[[Transaction], None], record: R | None) -> None:
        """Commit, then reload the offering; one reload serves every change that was committed before it began."""
        await self._store.transact(work)
        if isinstance(record, Asset):  # no other record's offers depend on it
            await self._offerings.reload_asset(record.id)
            return
        self._committed += 1
        mine = self._committed
        async with self._turn:
            if self._loaded < mine:
                covered = self._committed
                await self._offerings.reload()
                self._loaded = covered


def owned_by_file(noun: str, record: Asset | PolicyDefinition | ContractDefinition | None) -> None:
    """Raises Conflict naming the file that `record` comes from."""
    if record is not None and record.origin is not None:
        raise Conflict(f"{noun} {record.id} comes from the file {record.origin}: edit that file, or choose another id")


def event(noun: str, what: str) -> str:
    return f"{noun.replace(' ', '-')}.{what}"
