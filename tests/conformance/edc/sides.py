"""One connector as its operator has it, ours or EDC's: the same management API v3, so the same hand moves both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import httpx

EDC = "https://w3id.org/edc/v0.0.1/ns/"
ODRL = "http://www.w3.org/ns/odrl.jsonld"
CONTEXT = {"@vocab": EDC, "edc": EDC, "odrl": "http://www.w3.org/ns/odrl/2/"}
T = TypeVar("T")
OPEN = {"@type": "Set", "permission": [{"action": "use"}]}
PATIENCE = 30.0  # seconds; two cores may be busy with other tests
ENDED = ("TERMINATED", "TERMINATING")


@dataclass(frozen=True)
class Version:
    """A version of the protocol: its name in the management APIs, and the path of each side that speaks it."""

    name: str
    protocol: str
    paths: Mapping[str, str]  # by kind of side


# The one list: every scenario runs in every version of it.
VERSIONS = (
    Version("2025-1", "dataspace-protocol-http:2025-1", {"ours": "/2025-1", "edc": "/2025-1"}),
    Version("2024-1", "dataspace-protocol-http:2024/1", {"ours": "/2024-1", "edc": "/2024/1"}),
    Version("0.8", "dataspace-protocol-http", {"ours": "", "edc": ""}),
)


@dataclass
class Side:
    """`dsp` is the URL in front of the versions' paths."""

    kind: str  # "ours" | "edc"
    participant: str
    management: str
    dsp: str
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, expect: int | None = None) -> Any:
        """Ask the management API; fail with its answer unless it has the status expected, by default any 2xx."""
        answer = self.http.request(method, self.management + path, json=body and {"@context": CONTEXT, **body})
        fine = answer.is_success if expect is None else answer.status_code == expect
        assert fine, f"{self.participant}: {method} {path} -> {answer.status_code} {answer.text[:600]}"
        return answer.json() if answer.content else None

    def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", path)
        return found

    def wait(self, path: str, *states: str) -> dict[str, Any]:
        """Return the process once it is in one of `states`; fail when it ended in another."""

        def there() -> dict[str, Any] | None:
            found = self.get(path)
            state = found["state"]
            if state not in states and state in ENDED and "TERMINATED" not in states:
                raise AssertionError(f"{self.participant}: {path} is {state}, not {states}: {found.get('errorDetail')}")
            return found if state in states else None

        return until(there, lambda: f"{self.participant}: {path} is {self.get(path)['state']}, not {states}")

    def mirror(self, family: str, correlation: str) -> str:
        """Return this side's id of the newest process that the other side calls `correlation`.

        EDC makes a second one of a request that is repeated because its answer was lost; the first ends.
        """
        query = {"filterExpression": [{"operandLeft": "correlationId", "operator": "=", "operandRight": correlation}]}
        found = until(lambda: self.call("POST", f"/{family}/request", query), lambda: f"{self.participant}: no {family}")
        return str(max(found, key=lambda each: each.get("createdAt") or each["stateTimestamp"])["@id"])

    def publish(self, url: str, policy: Mapping[str, Any] = OPEN, access: Mapping[str, Any] = OPEN, **more: str) -> str:
        """Offer what `url` answers under a policy, to whom `access` lets see it; return the dataset's id."""
        id = f"asset-{uuid4().hex[:8]}"
        address = {"@type": "DataAddress", "type": "HttpData", "baseUrl": url}
        properties = {"name": "interoperability", **more}
        self.call("POST", "/assets", {"@id": id, "properties": properties, "dataAddress": address})
        for name, terms in (("terms", policy), ("access", access)):
            body = {"@id": f"{id}-{name}", "policy": {"@context": ODRL, **terms}}
            self.call("POST", "/policydefinitions", {"@type": "PolicyDefinition", **body})
        selector = {"@type": "Criterion", "operandLeft": EDC + "id", "operator": "=", "operandRight": id}
        definition = {"accessPolicyId": f"{id}-access", "contractPolicyId": f"{id}-terms", "assetsSelector": [selector]}
        self.call("POST", "/contractdefinitions", {"@id": f"{id}-definition", **definition})
        return id


def until(ask: Callable[[], T | None], otherwise: Callable[[], str], seconds: float = PATIENCE) -> T:
    """Return the first answer that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ask():
            return found
        time.sleep(0.03)
    raise AssertionError(otherwise())


@dataclass
class Case:
    """One direction in one version: who provides, who consumes, and what they do all the time."""

    version: Version
    provider: Side
    consumer: Side
    data: str  # URL of what is offered
    agreements: dict[str, str] = field(default_factory=dict)  # of the open dataset, made once

    @property
    def ours(self) -> Side:
        return self.provider if self.provider.kind == "ours" else self.consumer

    @property
    def edc(self) -> Side:
        return self.provider if self.provider.kind == "edc" else self.consumer

    @property
    def we_provide(self) -> bool:
        return self.provider.kind == "ours"

    @property
    def provider_party(self) -> dict[str, str]:
        """The provider as the consumer's management API is told of it."""
        return {
            "protocol": self.version.protocol,
            "counterPartyAddress": self.provider.dsp + self.version.paths[self.provider.kind],
            "counterPartyId": self.provider.participant,
        }

    # --- the catalogue ------------------------------------------------------------------------------------------------

    def catalog(self, *criteria: tuple[str, str, str], **spec: Any) -> list[dict[str, Any]]:
        expression = [dict(zip(("operandLeft", "operator", "operandRight"), c, strict=True)) for c in criteria]
        query = {"@type": "QuerySpec", "filterExpression": expression, **spec}
        found = self.consumer.call("POST", "/catalog/request", {**self.provider_party, "querySpec": query})
        return [bare(dataset) for dataset in listed(bare(found).get("dataset"))]

    def dataset(self, id: str) -> dict[str, Any]:
        return bare(self.consumer.call("POST", "/catalog/dataset/request", {"@id": id, **self.provider_party}))

    def offer(self, dataset: str) -> dict[str, Any]:
        """Return a dataset's offer as it is sent back: unprefixed terms under ODRL's context."""
        (found,) = self.catalog((EDC + "id", "=", dataset))
        offer = listed(found["hasPolicy"])[0]
        return {**offer, "@context": ODRL, "@type": "Offer", "assigner": self.provider.participant, "target": dataset}

    # --- the processes ------------------------------------------------------------------------------------------------

    def negotiate(self, offer: Mapping[str, Any]) -> str:
        """Begin; return the path of the consumer's negotiation."""
        begun = self.consumer.call("POST", "/contractnegotiations", {**self.provider_party, "policy": offer})
        return f"/contractnegotiations/{begun['@id']}"

    def agreement(self, dataset: str) -> str:
        return str(self.consumer.wait(self.negotiate(self.offer(dataset)), "FINALIZED")["contractAgreementId"])

    def agreed(self, negotiation: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the agreement as the consumer and as the provider hold it, each of which has ended its part."""
        self.consumer.wait(negotiation, "FINALIZED")
        mirror = f"/contractnegotiations/{self.provider.mirror('contractnegotiations', negotiation.split('/')[-1])}"
        self.provider.wait(mirror, "FINALIZED")
        return self.consumer.get(f"{negotiation}/agreement"), self.provider.get(f"{mirror}/agreement")

    def open_agreement(self) -> str:
        """Return an agreement about open data that all scenarios may use."""
        if "open" not in self.agreements:
            self.agreements["open"] = self.agreement(self.provider.publish(self.data))
        return self.agreements["open"]

    def transfer(self, agreement: str, type: str = "HttpData-PULL", **more: Any) -> str:
        """Begin; return the path of the consumer's transfer process."""
        body = {**self.provider_party, "contractId": agreement, "transferType": type, **more}
        return f"/transferprocesses/{self.consumer.call('POST', '/transferprocesses', body)['@id']}"

    def started(self, agreement: str | None = None) -> tuple[str, str]:
        """Return the paths of a started pull at the consumer and at the provider."""
        path = self.transfer(agreement or self.open_agreement())
        self.consumer.wait(path, "STARTED")
        mirror = f"/transferprocesses/{self.provider.mirror('transferprocesses', path.split('/')[-1])}"
        self.provider.wait(mirror, "STARTED")
        return path, mirror

    def edr(self, path: str) -> dict[str, str]:
        """Return the data address; EDC keeps it a moment after STARTED."""
        address = f"/edrs/{path.split('/')[-1]}/dataaddress"

        def there() -> dict[str, str] | None:
            answer = self.consumer.http.get(self.consumer.management + address)
            return {name.removeprefix(EDC): v for name, v in answer.json().items()} if answer.is_success else None

        return until(there, lambda: f"{self.consumer.participant}: no EDR at {address}")


def pull(edr: Mapping[str, str]) -> httpx.Response:
    """Pull as EDC's clients do: the token as it is, with no scheme in front of it."""
    return httpx.get(edr["endpoint"], headers={"Authorization": edr["authorization"]}, timeout=30)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def bare(value: Any) -> Any:
    """Return JSON with the prefixes of DCAT, ODRL, DSPACE and DCT off its keys: EDC's v3 has them for older versions."""
    if isinstance(value, dict):
        return {_bare(key): bare(inner) for key, inner in value.items()}
    return [bare(inner) for inner in value] if isinstance(value, list) else value


def _bare(key: str) -> str:
    for prefix in ("dcat:", "odrl:", "dspace:", "dct:"):
        key = key.removeprefix(prefix)
    return key
