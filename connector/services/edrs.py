"""EDRs: what this connector, as consumer, was given to pull data with; kept with its transfer process.

An access token that is about to expire is renewed at the provider's refresh endpoint (OAuth 2.0, RFC 6749 section 6, with
a token that proves who asks), so a pull does not fail in the middle of a long transfer.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson

from connector.dsp.messages import DataAddress, EndpointProperty, Role
from connector.dsp.transfer import TransferProcess
from connector.errors import Forbidden, NotFound, Unauthorized, Unavailable
from connector.observe import current_correlation
from connector.ports import Answer, AuditRecord, Clock, Identity, Peers, Store, Transaction

FORM = "application/x-www-form-urlencoded"
EARLY = timedelta(seconds=30)  # renewed this long before it expires


@dataclass(frozen=True, slots=True)
class Renewed:
    access_token: str
    refresh_token: str | None


class Edrs:
    def __init__(self, store: Store, peers: Peers, identity: Identity, clock: Clock) -> None:
        self._store = store
        self._peers = peers
        self._identity = identity
        self._clock = clock

    async def address(self, transfer_id: str, *, refresh: bool = False) -> DataAddress:
        """Return where and with what to pull; with `refresh`, a token that expires soon is renewed first.

        Raises:
            NotFound: no such transfer, or it has no EDR (not started, ended, or we are its provider).
            Unavailable: the provider did not renew the token, or sends us to an address that the operator does not allow.
        """
        transfer, address = await self._store.read(lambda tx: held(tx, transfer_id))
        await self._reachable(address)
        return await self._renew(transfer, address) if refresh and self._expires_soon(address) else address

    async def forget(self, transfer_id: str) -> None:
        """Drop the EDR; the transfer goes on. Raises NotFound."""

        def work(tx: Transaction) -> None:
            transfer, _ = held(tx, transfer_id)
            tx.transfers.put(replace(transfer, data_address=None))
            detail = AuditRecord(self._clock(), "edr.deleted", transfer.correlation_id, transfer.id, transfer.peer)
            tx.audit.add(detail)

        await self._store.transact(work)

    async def _reachable(self, address: DataAddress) -> None:
        """Refuse a provider's endpoint inside our own network: whoever pulls would call it in our name."""
        named = [prop.value for prop in address.properties if prop.name.endswith("endpoint")]
        for endpoint in filter(None, (address.endpoint, *named)):
            try:
                await self._peers.check(endpoint)
            except Forbidden as error:
                raise Unavailable(f"the provider's data endpoint is not called from here: {error}") from error

    def _expires_soon(self, address: DataAddress) -> bool:
        expires = expiry(address.get("authorization") or "")
        return expires is None or expires <= self._clock() + EARLY

    async def _renew(self, transfer: TransferProcess, address: DataAddress) -> DataAddress:
        endpoint, token = address.get("refreshEndpoint"), address.get("refreshToken")
        if not endpoint or not token:
            return address  # the provider's tokens are not renewed: what there is, is all there is
        form = urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
        fresh = renewed(address, read_renewed(await self._ask(transfer, endpoint, form), transfer.peer))

        def work(tx: Transaction) -> DataAddress:
            now, known = held(tx, transfer.id)
            if known != address:
                return known  # the provider started it anew meanwhile, with a newer token
            tx.transfers.put(replace(now, data_address=fresh))
            return fresh

        return await self._store.transact(work)

    async def _ask(self, transfer: TransferProcess, endpoint: str, form: bytes) -> Answer:
        try:
            # The proof is for the provider itself, whatever audience its address names: a token for another participant,
            # sent where the provider says, would let the provider speak in our name.
            proof = await self._identity.authorize(transfer.peer, transfer.purpose)
            return await self._peers.post(endpoint, form, proof, current_correlation(), media=FORM)
        except (Forbidden, Unauthorized) as error:
            raise Unavailable(f"the access token cannot be renewed: {error}") from error


def held(tx: Transaction, transfer_id: str) -> tuple[TransferProcess, DataAddress]:
    """Return the transfer and the EDR it has. Raises NotFound."""
    transfer = tx.transfers.get(transfer_id)
    if transfer is None or transfer.role is not Role.CONSUMER or transfer.data_address is None or transfer.ended:
        raise NotFound(f"Object of type EndpointDataReference with ID={transfer_id} was not found")
    return transfer, transfer.data_address


def expiry(token: str) -> datetime | None:
    """Return when a JWT says that it expires; None where it does not say. It is read, not trusted: it is the peer's."""
    parts = token.split(".")
    try:
        claims: Any = orjson.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def read_renewed(answer: Answer, peer: str) -> Renewed:
    """Raises Unavailable, saying what was answered without the tokens in it."""
    if answer.status != 200:
        raise Unavailable(f"{peer} did not renew the access token: it answered {answer.status}")
    try:
        document = orjson.loads(answer.body)
        found = Renewed(document["access_token"], document.get("refresh_token"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"{peer} renewed the access token with an answer that holds none") from error
    if not isinstance(found.access_token, str) or not isinstance(found.refresh_token, str | None):
        raise Unavailable(f"{peer} renewed the access token with an answer that holds none")
    return found


def renewed(address: DataAddress, fresh: Renewed) -> DataAddress:
    values = {"authorization": fresh.access_token, "refreshToken": fresh.refresh_token}

    def renew(prop: EndpointProperty) -> EndpointProperty:
        value = next((v for name, v in values.items() if v and prop.name.rsplit("/", 1)[-1] == name), None)
        return prop if value is None else replace(prop, value=value)

    return replace(address, properties=tuple(map(renew, address.properties)))
