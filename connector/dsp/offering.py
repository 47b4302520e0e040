"""What a connector offers: assets, policy definitions and contract definitions, and the offers that follow from them.

The terms are EDC's management API's; a dataset file gives the same records as an API call ("files and the API are one
thing"). An offer is one contract definition that selects one asset, under its contract policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connector.odrl.model import Json, Policy

EDC = "https://w3id.org/edc/v0.0.1/ns/"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition of a query or an asset selector. Operators: = != in like ilike contains < <= > >= and `not in`."""

    left: str
    operator: str
    right: Json


@dataclass(frozen=True, slots=True)
class Asset:
    """A dataset. `properties` are keyed by full IRI (`EDC + "name"`), values as given.

    `data_address` says where the data is, keyed by short name: `type` (`HttpData`, `File`), `baseUrl`, `path`, ...; it and
    `private_properties` never leave the management API. `origin` is the file it was read from, None if made over the API.
    """

    id: str
    properties: Mapping[str, Json] = field(default_factory=dict)
    private_properties: Mapping[str, Json] = field(default_factory=dict)
    data_address: Mapping[str, str] = field(default_factory=dict, repr=False)
    created_at: datetime | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyDefinition:
    id: str
    policy: Policy
    private_properties: Mapping[str, Json] = field(default_factory=dict)
    created_at: datetime | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class ContractDefinition:
    """Which assets (`selector`, all criteria) are shown to whom (`access_policy_id`) and under what terms.

    `offer_id` fixes the id of the one offer that follows; None derives it from the definition, asset and policy.
    """

    id: str
    access_policy_id: str
    contract_policy_id: str
    selector: tuple[Criterion, ...] = ()
    private_properties: Mapping[str, Json] = field(default_factory=dict)
    created_at: datetime | None = None
    origin: str | None = None
    offer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contract agreement, frozen with everything it was decided on.

    `policy` is the ODRL agreement exactly as it was on the wire; `policy_hash` is `odrl.canonical.fingerprint(policy)`;
    `claims` are the counter-party's at the time. `ended` says why it is not in force any more.
    """

    id: str
    negotiation_id: str
    policy: Policy
    policy_hash: str
    provider: str
    consumer: str
    dataset_id: str
    signed_at: datetime
    claims: Mapping[str, str] = field(default_factory=dict)
    purpose: str | None = None
    in_force: bool = False  # True once the negotiation is FINALIZED
    ended: str | None = None
