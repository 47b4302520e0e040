"""What is on offer now: files and store as one snapshot, swapped in one assignment."""

from __future__ import annotations

import asyncio

from connector.dsp.catalog import Offering
from connector.dsp.offering import Asset, ContractDefinition, PolicyDefinition
from connector.ports import Query, Store, Transaction

ALL = Query(limit=None)
Records = tuple[list[Asset], list[PolicyDefinition], list[ContractDefinition]]


class Offerings:
    """`current` is an immutable snapshot: a request that began with one finishes with it."""

    def __init__(self, store: Store, participant: str, endpoint_url: str) -> None:
        self._store, self.participant, self._endpoint_url = store, participant, endpoint_url
        self._files: Records = ([], [], [])
        self._turn = asyncio.Lock()
        self.current = Offering.build((), (), (), endpoint_url=endpoint_url)

    async def reload(self, files: Records | None = None) -> None:
        """Build the snapshot anew, after an API change or with new `files`.

        Raises InvalidFiles: what was in force stays in force.
        """
        async with self._turn:  # one after the other, or the older of two would be the last to be put in force
            chosen = self._files if files is None else files
            stored = await self._store.read(_stored)
            assets, policies, definitions = chosen[0] + stored[0], chosen[1] + stored[1], chosen[2] + stored[2]
            # In a thread: a thousand policies take half a second, and messages are answered meanwhile.
            self.current = await asyncio.to_thread(
                Offering.build, assets, policies, definitions, endpoint_url=self._endpoint_url
            )
            self._files = chosen

    async def reload_asset(self, asset_id: str) -> None:
        """Take over the change of one stored asset: with ten thousand of them, a thousandth of the work of `reload`."""
        async with self._turn:
            asset = await self._store.read(lambda tx: tx.assets.get(asset_id))
            self.current = self.current.with_asset(asset_id, asset)


def _stored(tx: Transaction) -> Records:
    return tx.assets.query(ALL), tx.policies.query(ALL), tx.definitions.query(ALL)
