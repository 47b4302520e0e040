"""Scenarios between this connector and a real Eclipse EDC, each in both directions and every version of the protocol.

What EDC cannot do, or does in its own way, stands here as it was observed, and in docs/interop.md.
"""

from __future__ import annotations

import time
from uuid import uuid4

import httpx
import pytest

from tests.conformance.edc.running import ROWS, Data, Ours
from tests.conformance.edc.sides import EDC, Case, listed, pull, until

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

RESEARCH = "https://w3id.org/dpv#ScientificResearch"
FOR_RESEARCH = {
    "@type": "Set",
    "permission": [
        {
            "action": "use",
            "constraint": {
                "leftOperand": "http://www.w3.org/ns/odrl/2/purpose",
                "operator": {"@id": "http://www.w3.org/ns/odrl/2/isA"},
                "rightOperand": RESEARCH,
            },
        }
    ],
}
ELSEWHERE = {  # what the extension of our EDCs judges: everybody there is of region eu
    "@type": "Set",
    "permission": [
        {
            "action": "use",
            "constraint": {
                "leftOperand": "http://www.w3.org/ns/odrl/2/spatial",
                "operator": {"@id": "http://www.w3.org/ns/odrl/2/eq"},
                "rightOperand": "AQ",
            },
        }
    ],
}
SOMEBODY_ELSE = {"@type": "Set", "permission": [{"action": "use", "assignee": "somebody-else"}]}


def last(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def detail(found: dict[str, object]) -> str:
    return str(found.get("errorDetail"))


# --- catalogue -------------------------------------------------------------------------------------------------------


def test_catalogue_with_filter_and_pages(case: Case) -> None:
    group = uuid4().hex
    mine = {case.provider.publish(case.data, group=group) for _ in range(5)}
    case.provider.publish(case.data, group="another")
    by_group = (EDC + "group", "=", group)
    assert {dataset["@id"] for dataset in case.catalog(by_group)} == mine
    pages = [case.catalog(by_group, offset=offset, limit=2) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert {dataset["@id"] for page in pages for dataset in page} == mine


def test_one_dataset_with_its_offers_and_formats(case: Case) -> None:
    id = case.provider.publish(case.data)
    found = case.dataset(id)
    assert found["@id"] == id
    assert len(listed(found["hasPolicy"])) == 1
    formats = {last_of(each["format"]) for each in listed(found["distribution"])}
    assert formats == {"HttpData-PULL", "HttpData-PUSH"}


def last_of(value: object) -> str:
    """Return a format, which older versions write as `{"@id": ...}`."""
    text = str(value.get("@id")) if isinstance(value, dict) else str(value)
    return text.rsplit("/", 1)[-1]


def test_hidden_asset_is_in_no_catalogue(case: Case) -> None:
    hidden = case.provider.publish(case.data, access=SOMEBODY_ELSE if case.we_provide else ELSEWHERE)
    assert case.catalog((EDC + "id", "=", hidden)) == []
    answer = case.consumer.http.post(
        case.consumer.management + "/catalog/dataset/request",
        json={"@context": {"@vocab": EDC}, "@id": hidden, **case.provider_party},
    )
    assert answer.status_code in (404, 502), answer.text


# --- negotiation -----------------------------------------------------------------------------------------------------


def test_negotiation_to_the_same_agreement(case: Case) -> None:
    """EDC has an id of its own for each agreement; `agreementId` is what both sides know."""
    one, other = case.agreed(case.negotiate(case.offer(case.provider.publish(case.data))))
    for name in ("agreementId", "assetId", "providerId", "consumerId"):
        assert one[name] == other[name], name
    assert (one["providerId"], one["consumerId"]) == (case.provider.participant, case.consumer.participant)


def test_counter_offer(case: Case) -> None:
    """Other terms than those offered. We answer with our offer, which EDC keeps until a person ends it.

    EDC answers with an agreement on its own terms, whatever was asked: that is not what we asked for, and we end it.
    """
    if not case.we_provide:
        ended = case.consumer.wait(
            case.negotiate(case.offer(case.provider.publish(case.data)) | {"permission": FOR_RESEARCH["permission"]}),
            "TERMINATED",
        )
        assert ended["cause"]["code"] == "mismatch", ended
        return
    path = case.negotiate(case.offer(case.provider.publish(case.data, FOR_RESEARCH)) | {"permission": [{"action": "use"}]})
    case.consumer.wait(path, "OFFERED")
    theirs = f"/contractnegotiations/{case.provider.mirror('contractnegotiations', last(path))}"
    assert case.provider.wait(theirs, "OFFERED")["state"] == "OFFERED"
    case.consumer.call("POST", f"{path}/terminate", {"@id": last(path), "reason": "not on these terms"})
    ended = case.provider.wait(theirs, "TERMINATED")
    assert "not on these terms" in detail(ended)


def test_refusal_with_its_reason(case: Case) -> None:
    """By the provider's policy: ours asks for a purpose, which EDC does not declare; EDC's for a region that is not ours.

    The reason is in our record whoever refused. EDC takes the message that carries it, and keeps no reason of a peer's.
    """
    path = case.negotiate(case.offer(case.provider.publish(case.data, FOR_RESEARCH if case.we_provide else ELSEWHERE)))
    case.consumer.wait(path, "TERMINATED")
    if case.we_provide:
        path = f"/contractnegotiations/{case.provider.mirror('contractnegotiations', last(path))}"
    ours = case.ours.wait(path, "TERMINATED")
    assert ours["cause"]["by"] == "PROVIDER"
    assert ("purpose" if case.we_provide else "policy") in detail(ours).lower()


# --- pull ------------------------------------------------------------------------------------------------------------


def test_pull_with_the_token_as_it_is(case: Case) -> None:
    path, _ = case.started()
    edr = case.edr(path)
    answer = pull(edr)
    assert (answer.status_code, answer.content) == (200, ROWS)
    assert pull(edr | {"authorization": "not-a-token"}).status_code in (401, 403)


def test_token_refresh(case: Case) -> None:
    """Ours is renewed at the address that comes with it (the consumer proves who it is); EDC's has no end and no refresh."""
    path, _ = case.started()
    edr = case.edr(path)
    if not case.we_provide:
        again = case.consumer.get(f"/edrs/{last(path)}/dataaddress?auto_refresh=true")
        assert again["authorization"] == edr["authorization"]
        return
    named = {name.rsplit("/", 1)[-1]: value for name, value in edr.items()}
    proof = f'{{"region":"eu","clientId":"{case.consumer.participant}","audience":"{case.provider.participant}"}}'
    form = {"grant_type": "refresh_token", "refresh_token": named["refreshToken"]}
    answer = httpx.post(named["refreshEndpoint"], data=form, headers={"Authorization": proof})
    assert answer.status_code == 200, answer.text
    fresh = answer.json()["access_token"]
    assert fresh != edr["authorization"]
    assert pull(edr | {"authorization": fresh}).content == ROWS


# --- push ------------------------------------------------------------------------------------------------------------


def test_push(case: Case, data: Data) -> None:
    name = uuid4().hex
    to = {"type": "HttpData", "baseUrl": f"{data.url}/in", "path": name, "authKey": "X-Key", "authCode": "s3cret"}
    path = case.transfer(case.open_agreement(), "HttpData-PUSH", dataDestination=to)
    case.consumer.wait(path, "COMPLETED", "DEPROVISIONED")
    ((method, headers, body),) = data.pushed(name)
    assert (method, headers.get("X-Key"), body) == ("POST", "s3cret", ROWS)
    theirs = f"/transferprocesses/{case.provider.mirror('transferprocesses', last(path))}"
    case.provider.wait(theirs, "COMPLETED", "DEPROVISIONED")


def test_push_that_is_terminated_in_the_middle_stops(case: Case, data: Data) -> None:
    agreement, name = case.agreement(case.provider.publish(f"{data.url}/endless")), uuid4().hex
    to = {"type": "HttpData", "baseUrl": f"{data.url}/in/{name}"}
    path = case.transfer(agreement, "HttpData-PUSH", dataDestination=to)
    data.pushed(f"{name}:begun")
    case.consumer.wait(path, "STARTED")
    case.consumer.call("POST", f"{path}/terminate", {"@id": last(path), "reason": "enough"})
    case.consumer.wait(path, "TERMINATED")
    theirs = f"/transferprocesses/{case.provider.mirror('transferprocesses', last(path))}"
    case.provider.wait(theirs, "TERMINATED", "DEPROVISIONED")
    data.pushed(f"{name}:broken")
    assert name not in data.taken


# --- the life of a transfer ------------------------------------------------------------------------------------------


def closed(edr: dict[str, str]) -> bool:
    """Wait until the token opens nothing: EDC's data plane hears of it a moment later."""
    return until(lambda: pull(edr).status_code in (401, 403, 404), lambda: "the token still opens the data")


@pytest.mark.parametrize("by", ["provider", "consumer"])
def test_suspension_and_resumption(case: Case, by: str) -> None:
    path, mirror = case.started()
    edr = case.edr(path)
    side, own = (case.provider, mirror) if by == "provider" else (case.consumer, path)
    side.call("POST", f"{own}/suspend", {"@id": last(own), "reason": "maintenance"})
    case.consumer.wait(path, "SUSPENDED")
    case.provider.wait(mirror, "SUSPENDED")
    assert closed(edr)
    side.call("POST", f"{own}/resume")
    case.provider.wait(mirror, "STARTED")
    case.consumer.wait(path, "STARTED")
    assert until(lambda: pull(case.edr(path)).content == ROWS, lambda: "the resumed transfer gives no data")


@pytest.mark.parametrize("by", ["provider", "consumer"])
def test_termination(case: Case, by: str) -> None:
    path, mirror = case.started()
    edr = case.edr(path)
    side, own, other, its = (
        (case.provider, mirror, case.consumer, path) if by == "provider" else (case.consumer, path, case.provider, mirror)
    )
    side.call("POST", f"{own}/terminate", {"@id": last(own), "reason": "the study is over"})
    side.wait(own, "TERMINATED", "DEPROVISIONED")
    ended = other.wait(its, "TERMINATED", "DEPROVISIONED")
    if other is case.ours:  # EDC keeps no reason of a peer's
        assert "the study is over" in detail(ended)
    assert closed(edr)


def test_agreement_retirement_ends_its_transfers(case: Case) -> None:
    """Ours alone can: EDC's agreements have no end, its transfers do."""
    negotiation = case.negotiate(case.offer(case.provider.publish(case.data)))
    agreement = case.agreed(negotiation)[0]
    path, mirror = case.started(agreement["@id"])
    edr, shared = case.edr(path), agreement["agreementId"]
    case.ours.call("POST", f"/contractagreements/{shared}/retire", {"@id": shared, "reason": "consent withdrawn"})
    case.consumer.wait(path, "TERMINATED", "DEPROVISIONED")
    case.provider.wait(mirror, "TERMINATED", "DEPROVISIONED")
    ours = case.ours.get(path if case.ours is case.consumer else mirror)
    assert ours["cause"]["code"] == "agreement-ended"
    assert "consent withdrawn" in detail(ours)
    assert closed(edr)


# --- trouble ---------------------------------------------------------------------------------------------------------


def test_restart_of_ours_in_the_middle(case: Case, ours: Ours) -> None:
    """Killed with a transfer running and a negotiation begun: the transfer goes on, the negotiation ends in an agreement."""
    path, mirror = case.started()
    negotiation = case.negotiate(case.offer(case.provider.publish(case.data)))
    ours.kill()
    time.sleep(0.3)  # EDC meets a closed door
    ours.start()
    one, other = case.agreed(negotiation)
    assert one["agreementId"] == other["agreementId"]
    assert pull(case.edr(path)).content == ROWS
    case.consumer.call("POST", f"{path}/terminate", {"@id": last(path), "reason": "over"})
    case.provider.wait(mirror, "TERMINATED", "DEPROVISIONED")
