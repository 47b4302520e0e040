"""Negotiations, agreements, transfers and EDRs over the management API (management-api.md, endpoints, fields, errors)."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from connector.dsp.messages import DataAddress, EndpointProperty, Kind, Role
from connector.dsp.negotiation import State as N
from connector.dsp.offering import EDC
from connector.dsp.process import Cause, CauseCode
from connector.dsp.transfer import State as T
from connector.dsp.transfer import TransferProcess
from connector.ports import Answer
from tests.store.records import agreement, negotiation, transfer
from tests.web.management_rig import AGREEMENT, CONTEXT, NOW, OFFER, PEER, PEER_ADDRESS, US, Rig, contract_request, criterion

NEGOTIATIONS, TRANSFERS, AGREEMENTS = "/contractnegotiations", "/transferprocesses", "/contractagreements"
OURS = agreement("agreement-1", policy=AGREEMENT, provider=PEER, consumer=US, dataset_id="lung", in_force=True)
DONE = negotiation(
    "n1", role=Role.CONSUMER, peer=PEER, peer_pid="p1", peer_address=PEER_ADDRESS, state=N.FINALIZED, offer=OFFER,
    agreement_id="agreement-1",
)  # fmt: skip
TRANSFER_REQUEST = {
    "@context": CONTEXT,
    "protocol": "dataspace-protocol-http:2025-1",
    "contractId": "agreement-1",
    "transferType": "HttpData-PULL",
}


# --- negotiations ----------------------------------------------------------------------------------------------------


async def test_a_negotiation_begins_and_shows_what_is_on_its_way(api: Rig) -> None:
    created = await api.ok("POST", NEGOTIATIONS, contract_request(purpose="https://w3id.org/dpv#ResearchAndDevelopment"))
    id = created["@id"]
    assert created["createdAt"] == int(NOW.timestamp() * 1000)
    assert await api.ok("GET", f"{NEGOTIATIONS}/{id}/state") == {
        "@type": "NegotiationState", "state": "REQUESTING", "@context": CONTEXT,
    }  # fmt: skip
    found = await api.ok("GET", f"{NEGOTIATIONS}/{id}")
    shown = {k: found[k] for k in ("@id", "@type", "type", "protocol", "counterPartyId", "counterPartyAddress", "assetId")}
    assert shown == {
        "@id": id,
        "@type": "ContractNegotiation",
        "type": "CONSUMER",
        "protocol": "dataspace-protocol-http:2025-1",
        "counterPartyId": PEER,
        "counterPartyAddress": PEER_ADDRESS,
        "assetId": "lung",
    }
    assert found["callbackAddresses"] == []
    [queued] = await api.store.read(lambda tx: tx.outbox.of_process(id))
    assert (queued.kind, queued.url) == (Kind.REQUEST, PEER_ADDRESS + "/negotiations/request")
    assert queued.message.offer.uid == "offer-1"
    assert queued.purpose == "https://w3id.org/dpv#ResearchAndDevelopment"


@pytest.mark.parametrize(
    "protocol, address, meant",
    [
        ("dataspace-protocol-http:2024/1", "http://p.example/protocol/2024/1", "dataspace-protocol-http:2024/1"),
        ("dataspace-protocol-http:2024-1", "http://p.example/dsp/2024-1", "dataspace-protocol-http:2024/1"),
        ("dataspace-protocol-http", "http://p.example/protocol", "dataspace-protocol-http"),
        ("dataspace-protocol-http", "http://p.example/dsp/2025-1", "dataspace-protocol-http:2025-1"),
    ],
)
async def test_a_negotiation_is_begun_in_the_version_asked_for(api: Rig, protocol: str, address: str, meant: str) -> None:
    created = await api.ok("POST", NEGOTIATIONS, contract_request(protocol=protocol, counterPartyAddress=address))
    assert (await api.ok("GET", f"{NEGOTIATIONS}/{created['@id']}"))["protocol"] == meant
    [queued] = await api.store.read(lambda tx: tx.outbox.of_process(created["@id"]))
    assert queued.protocol == meant


async def test_the_counter_party_id_comes_before_the_assigner(api: Rig) -> None:
    created = await api.ok("POST", NEGOTIATIONS, contract_request(counterPartyId="urn:other"))
    assert (await api.ok("GET", f"{NEGOTIATIONS}/{created['@id']}"))["counterPartyId"] == "urn:other"


async def test_an_offer_may_be_prefixed_or_expanded(api: Rig) -> None:
    odrl = "http://www.w3.org/ns/odrl/2/"
    prefixed = {
        "@id": "offer-1",
        "@type": "odrl:Offer",
        "odrl:assigner": {"@id": PEER},
        "odrl:target": {"@id": "lung"},
        "odrl:permission": {"odrl:action": {"@id": "odrl:use"}},
        "odrl:prohibition": [],
    }
    expanded = {
        "@id": "offer-1",
        "@type": [odrl + "Offer"],
        odrl + "assigner": [{"@id": PEER}],
        odrl + "target": [{"@id": "lung"}],
        odrl + "permission": [{odrl + "action": [{"@id": odrl + "use"}]}],
    }
    offers = []
    for offer in (contract_request()["policy"], prefixed, expanded):
        created = await api.ok("POST", NEGOTIATIONS, contract_request(policy=offer))
        offers.append((await api.store.read(lambda tx, id=created["@id"]: tx.negotiations.get(id))).offer)
    assert offers[0] == offers[1] == offers[2]


@pytest.mark.parametrize(
    "change, path",
    [
        ({"counterPartyAddress": None}, EDC + "counterPartyAddress"),
        ({"counterPartyAddress": "ftp://x"}, EDC + "counterPartyAddress"),
        ({"protocol": None}, EDC + "protocol"),
        ({"protocol": "dataspace-protocol-http:2023-9"}, EDC + "protocol"),
        ({"policy": None}, EDC + "policy"),
        ({"policy": {"assigner": PEER, "target": "lung"}}, EDC + "policy/@id"),
        ({"policy": {"@id": "o", "target": "lung"}}, EDC + "policy/http://www.w3.org/ns/odrl/2/assigner"),
        ({"policy": {"@id": "o", "assigner": PEER}}, EDC + "policy/http://www.w3.org/ns/odrl/2/target"),
        ({"callbackAddresses": [{"events": ["x"]}]}, f"{EDC}callbackAddresses/{EDC}uri"),
    ],
)
async def test_a_request_that_lacks_something_names_it(api: Rig, change: dict[str, object], path: str) -> None:
    body = {name: value for name, value in contract_request(**change).items() if value is not None}
    status, errors = await api.call("POST", NEGOTIATIONS, body)
    assert status == 400
    assert [(error["type"], error["path"]) for error in errors] == [("ValidationFailure", path)]


async def test_an_offer_that_is_not_understood_is_not_requested(api: Rig) -> None:
    strange = {"leftOperand": "moon", "operator": "eq", "rightOperand": "full"}
    offer = contract_request()["policy"] | {"permission": [{"action": "use", "constraint": [strange]}]}
    status, errors = await api.call("POST", NEGOTIATIONS, contract_request(policy=offer))
    assert status == 400
    assert "moon" in errors[0]["message"]


async def test_a_negotiation_is_followed_to_its_agreement_and_back(api: Rig) -> None:
    await api.put(negotiations=[DONE], agreements=[OURS])
    found = await api.ok("GET", f"{NEGOTIATIONS}/n1")
    assert (found["state"], found["contractAgreementId"], found["correlationId"]) == ("FINALIZED", "agreement-1", "p1")
    shown = await api.ok("GET", f"{NEGOTIATIONS}/n1/agreement")
    assert {k: shown[k] for k in ("@id", "agreementId", "assetId", "providerId", "consumerId", "contractSigningDate")} == {
        "@id": "agreement-1",
        "agreementId": "agreement-1",
        "assetId": "lung",
        "providerId": PEER,
        "consumerId": US,
        "contractSigningDate": int(NOW.timestamp()),
    }
    assert shown["policy"] == {
        "@id": "agreement-1",
        "@type": "odrl:Agreement",
        "odrl:permission": {"odrl:action": {"@id": "odrl:use"}},
        "odrl:prohibition": [],
        "odrl:obligation": [],
        "odrl:assigner": PEER,
        "odrl:assignee": US,
        "odrl:target": {"@id": "lung"},
    }
    assert await api.ok("GET", f"{AGREEMENTS}/agreement-1") == shown
    assert await api.ok("GET", f"{AGREEMENTS}/agreement-1/negotiation") == found


async def test_a_negotiation_without_agreement_has_none(api: Rig) -> None:
    await api.put(negotiations=[replace(DONE, agreement_id=None, state=N.REQUESTED)])
    assert (await api.call("GET", f"{NEGOTIATIONS}/n1/agreement"))[0] == 404


async def test_a_person_approves_or_refuses_what_waits(api: Rig) -> None:
    waiting = negotiation("n1", peer=PEER, peer_pid="p1", peer_address=PEER_ADDRESS, offer=OFFER, waiting="approve it")
    await api.put(negotiations=[waiting, replace(waiting, id="n2", peer_pid="p2")])
    assert (await api.ok("GET", f"{NEGOTIATIONS}/n1"))["waitingFor"] == "approve it"
    assert await api.call("POST", f"{NEGOTIATIONS}/n1/approve") == (204, None)
    assert (await api.ok("GET", f"{NEGOTIATIONS}/n1/state"))["state"] == "AGREEING"
    assert (await api.call("POST", f"{NEGOTIATIONS}/n1/approve"))[0] == 409
    assert await api.call("POST", f"{NEGOTIATIONS}/n2/reject", {"reason": "no ethics vote"}) == (204, None)
    found = await api.ok("GET", f"{NEGOTIATIONS}/n2")
    assert (found["state"], found["errorDetail"]) == ("TERMINATED", "operator: no ethics vote")
    assert found["cause"] == {"code": "operator", "detail": "no ethics vote", "by": "PROVIDER"}


async def test_a_termination_needs_a_reason_and_happens_once(api: Rig) -> None:
    await api.put(negotiations=[replace(DONE, state=N.REQUESTED, agreement_id=None)])
    status, errors = await api.call("POST", f"{NEGOTIATIONS}/n1/terminate", {"@id": "n1"})
    assert (status, errors[0]["path"]) == (400, EDC + "reason")
    status, errors = await api.call("POST", f"{NEGOTIATIONS}/n1/terminate", {"@id": "n2", "reason": "x"})
    assert (status, errors[0]["path"]) == (400, "@id")
    assert await api.call("POST", f"{NEGOTIATIONS}/n1/terminate", {"reason": "enough"}) == (204, None)
    status, errors = await api.call("POST", f"{NEGOTIATIONS}/n1/terminate", {"reason": "enough"})
    assert (status, errors[0]["type"]) == (409, "ObjectConflict")


async def test_only_an_ended_negotiation_without_agreement_is_deleted(api: Rig) -> None:
    ended = replace(DONE, id="n2", peer_pid="p2", state=N.TERMINATED, agreement_id=None)
    running = replace(DONE, id="n3", peer_pid="p3", state=N.OFFERED, agreement_id=None)
    await api.put(negotiations=[DONE, ended, running], agreements=[OURS])
    assert (await api.call("DELETE", f"{NEGOTIATIONS}/n1"))[0] == 409
    assert (await api.call("DELETE", f"{NEGOTIATIONS}/n3"))[0] == 409
    assert await api.call("DELETE", f"{NEGOTIATIONS}/n2") == (204, None)
    assert (await api.call("DELETE", f"{NEGOTIATIONS}/n2"))[0] == 404
    assert await api.audit_of("n2") == ["negotiations.deleted"]


async def test_a_negotiation_whose_end_the_peer_has_not_heard_of_is_kept(api: Rig) -> None:
    await api.put(negotiations=[replace(DONE, state=N.OFFERED, agreement_id=None)])
    await api.ok("POST", f"{NEGOTIATIONS}/n1/terminate", {"reason": "enough"})
    status, errors = await api.call("DELETE", f"{NEGOTIATIONS}/n1")
    assert status == 409
    assert "has not been told" in errors[0]["message"]


async def test_a_timeline_tells_each_message_and_what_waits_with_its_last_error(api: Rig) -> None:
    """anchors.md section 2, number 2: stuck at REQUESTED says why."""
    created = await api.ok("POST", NEGOTIATIONS, contract_request())
    id = created["@id"]
    told = await api.ok("GET", f"{NEGOTIATIONS}/{id}/timeline")
    assert told["peer"]["answers"] is None
    assert told["events"]["event"] == "negotiations.queued"
    assert told["pending"]["message"] == "request"

    def fail(tx: object) -> None:
        [queued] = tx.outbox.of_process(id)  # type: ignore[attr-defined]
        late = NOW + timedelta(seconds=5)
        tx.outbox.retry(replace(queued, attempts=3, next_try=late, last_error="connection refused"))  # type: ignore[attr-defined]

    await api.store.transact(fail)
    told = await api.ok("GET", f"{NEGOTIATIONS}/{id}/timeline")
    assert told["peer"] == {"id": PEER, "address": PEER_ADDRESS, "answers": False}
    pending = told["pending"]
    assert (pending["attempts"], pending["lastError"]) == (3, "connection refused")
    assert pending["nextTry"] == (NOW + timedelta(seconds=5)).isoformat()


async def test_what_is_not_there_is_not_found(api: Rig) -> None:
    reason = {"reason": "x"}
    for method, path, body in (
        ("GET", f"{NEGOTIATIONS}/none", None),
        ("GET", f"{NEGOTIATIONS}/none/state", None),
        ("GET", f"{NEGOTIATIONS}/none/agreement", None),
        ("GET", f"{NEGOTIATIONS}/none/timeline", None),
        ("POST", f"{NEGOTIATIONS}/none/approve", None),
        ("POST", f"{NEGOTIATIONS}/none/reject", reason),
        ("POST", f"{NEGOTIATIONS}/none/terminate", reason),
        ("DELETE", f"{NEGOTIATIONS}/none", None),
        ("GET", f"{AGREEMENTS}/none", None),
        ("GET", f"{AGREEMENTS}/none/negotiation", None),
        ("POST", f"{AGREEMENTS}/none/retire", reason),
        ("GET", f"{TRANSFERS}/none", None),
        ("GET", f"{TRANSFERS}/none/state", None),
        ("GET", f"{TRANSFERS}/none/timeline", None),
        ("POST", f"{TRANSFERS}/none/terminate", reason),
        ("POST", f"{TRANSFERS}/none/suspend", reason),
        ("POST", f"{TRANSFERS}/none/resume", None),
        ("POST", f"{TRANSFERS}/none/complete", None),
        ("POST", f"{TRANSFERS}/none/deprovision", None),
        ("GET", "/edrs/none/dataaddress", None),
        ("DELETE", "/edrs/none", None),
    ):
        status, errors = await api.call(method, path, body)
        assert (status, errors[0]["type"]) == (404, "ObjectNotFound"), (method, path)


# --- transfers -------------------------------------------------------------------------------------------------------


async def test_a_transfer_begins_where_its_agreement_was_negotiated(api: Rig) -> None:
    await api.put(negotiations=[DONE], agreements=[OURS])
    id = (await api.ok("POST", TRANSFERS, TRANSFER_REQUEST))["@id"]
    found = await api.ok("GET", f"{TRANSFERS}/{id}")
    keys = ("@type", "type", "state", "contractId", "assetId", "transferType", "counterPartyId", "counterPartyAddress")
    assert {k: found[k] for k in keys} == {
        "@type": "TransferProcess",
        "type": "CONSUMER",
        "state": "REQUESTING",
        "contractId": "agreement-1",
        "assetId": "lung",
        "transferType": "HttpData-PULL",
        "counterPartyId": PEER,
        "counterPartyAddress": PEER_ADDRESS,
    }
    assert await api.ok("GET", f"{TRANSFERS}/{id}/state") == {
        "@type": "TransferState", "state": "REQUESTING", "@context": CONTEXT,
    }  # fmt: skip


async def test_an_unknown_contract_id_is_a_wrong_request(api: Rig) -> None:
    """management-api.md: 400 also for an unknown contractId."""
    status, errors = await api.call("POST", TRANSFERS, TRANSFER_REQUEST)
    assert (status, errors[0]["type"]) == (400, "InvalidRequest")


PUSH = TRANSFER_REQUEST | {"transferType": "HttpData-PUSH"}
TO = {"type": "HttpData", "baseUrl": "https://aarhus.example/in?sig=s3cret", "method": "PUT"}


@pytest.mark.parametrize(
    ("destination", "path"),
    [
        (None, "dataDestination"),
        ({"type": "HttpData"}, f"dataDestination/{EDC}baseUrl"),
        (TO | {"secretName": "ours"}, f"dataDestination/{EDC}secretName"),
    ],
)
async def test_a_push_says_where_to(api: Rig, destination: object, path: str) -> None:
    status, errors = await api.call("POST", TRANSFERS, PUSH | {"dataDestination": destination})
    assert (status, [error["path"] for error in errors]) == (400, [EDC + path])


async def test_the_destination_of_a_push_is_shown_without_what_opens_it(api: Rig) -> None:
    await api.put(negotiations=[DONE], agreements=[OURS])
    to = TO | {"authKey": "X-Key", "authCode": "s3cret", "header:X-More": "s3cret"}
    status, begun = await api.call("POST", TRANSFERS, PUSH | {"dataDestination": to})
    assert status == 200, begun
    status, shown = await api.call("GET", f"{TRANSFERS}/{begun['@id']}")
    assert "s3cret" not in str(shown)
    assert shown["dataDestination"]["baseUrl"] == "https://aarhus.example/in"
    assert (shown["dataDestination"]["method"], shown["dataDestination"]["authKey"]) == ("PUT", "X-Key")
    stored = await api.store.read(lambda tx: tx.transfers.get(begun["@id"]))
    assert stored is not None
    assert stored.destination is not None
    assert stored.destination.values() == {name: value for name, value in to.items() if name != "type"}


@pytest.mark.parametrize("missing", ["contractId", "protocol", "transferType"])
async def test_a_transfer_request_that_lacks_something_names_it(api: Rig, missing: str) -> None:
    body = {name: value for name, value in TRANSFER_REQUEST.items() if name != missing}
    status, errors = await api.call("POST", TRANSFERS, body)
    assert (status, [error["path"] for error in errors]) == (400, [EDC + missing])


async def test_a_transfer_is_suspended_resumed_and_completed(api: Rig) -> None:
    started = transfer("t1", role=Role.CONSUMER, peer=PEER, peer_pid="p1", agreement_id="agreement-1")
    await api.put(
        negotiations=[DONE],
        agreements=[OURS],
        transfers=[
            started,
            replace(started, id="t2", peer_pid="p2"),
            replace(started, id="t3", peer_pid="p3", state=T.SUSPENDED),
        ],
    )
    assert (await api.call("POST", f"{TRANSFERS}/t1/suspend", {}))[0] == 400
    for id, act, shows in (("t1", "suspend", "SUSPENDING"), ("t2", "complete", "COMPLETING"), ("t3", "resume", "RESUMING")):
        assert await api.call("POST", f"{TRANSFERS}/{id}/{act}", {"reason": "night"}) == (204, None)
        assert (await api.ok("GET", f"{TRANSFERS}/{id}/state"))["state"] == shows
    assert (await api.call("POST", f"{TRANSFERS}/t1/resume"))[0] == 409
    assert await api.call("POST", f"{TRANSFERS}/t1/deprovision") == (204, None)
    assert await api.call("POST", f"{TRANSFERS}/t1/terminate", {"reason": "over"}) == (204, None)
    assert (await api.ok("GET", f"{TRANSFERS}/t1"))["errorDetail"] == "operator: over"


async def test_retiring_an_agreement_ends_its_transfers(api: Rig) -> None:
    """anchors.md section 2, number 12: ending an agreement informs the peer and ends what runs."""
    running = transfer("t1", role=Role.CONSUMER, peer=PEER, peer_pid="p1", agreement_id="agreement-1")
    await api.put(negotiations=[DONE], agreements=[OURS], transfers=[running])
    assert (await api.call("POST", f"{AGREEMENTS}/agreement-1/retire", {}))[0] == 400
    assert await api.call("POST", f"{AGREEMENTS}/agreement-1/retire", {"reason": "study is over"}) == (204, None)
    found = await api.ok("GET", f"{AGREEMENTS}/agreement-1")
    assert (found["inForce"], found["ended"]) == (False, "study is over")
    assert (await api.ok("GET", f"{TRANSFERS}/t1/state"))["state"] == "TERMINATED"
    assert (await api.call("POST", TRANSFERS, TRANSFER_REQUEST))[0] == 400


# --- EDRs ------------------------------------------------------------------------------------------------------------


def jwt(seconds: float) -> str:
    claims = {"exp": int((NOW + timedelta(seconds=seconds)).timestamp())}
    return "e30." + base64.urlsafe_b64encode(orjson.dumps(claims)).decode().rstrip("=") + ".c2ln"


def holding(seconds: float = 600, **changes: Any) -> TransferProcess:
    properties = {
        EDC + "endpoint": "http://aarhus.example/data",
        EDC + "authorization": jwt(seconds),
        EDC + "authType": "bearer",
        "https://w3id.org/tractusx/auth/refreshToken": "refresh-1",
        "https://w3id.org/tractusx/auth/refreshEndpoint": "http://aarhus.example/data/token",
    }
    address = DataAddress("https://w3id.org/idsa/v4.1/HTTP", None, tuple(EndpointProperty(*p) for p in properties.items()))
    held = transfer("t1", role=Role.CONSUMER, peer=PEER, peer_pid="p1", agreement_id="agreement-1", data_address=address)
    return replace(held, **changes)


async def test_an_edr_says_where_and_with_what_to_pull(api: Rig) -> None:
    held = holding()
    await api.put(negotiations=[DONE], agreements=[OURS], transfers=[held])
    found = await api.ok("GET", "/edrs/t1/dataaddress")
    assert found["@type"] == "DataAddress"
    assert (found["type"], found["endpoint"]) == ("https://w3id.org/idsa/v4.1/HTTP", "http://aarhus.example/data")
    assert (found["authorization"], found["authType"]) == (jwt(600), "bearer")
    [entry] = await api.ok("POST", "/edrs/request", {"filterExpression": [criterion("assetId", "=", "lung")]})
    assert {k: v for k, v in entry.items() if k != "@context"} == {
        "@id": "t1",
        "@type": "EndpointDataReferenceEntry",
        "transferProcessId": "t1",
        "agreementId": "agreement-1",
        "contractNegotiationId": "n1",
        "assetId": "lung",
        "providerId": PEER,
        "createdAt": int(held.created_at.timestamp() * 1000),
    }


@pytest.mark.parametrize("where", ["endpoint", "property", "a property beside another"])
async def test_an_edr_that_points_into_our_own_network_is_not_handed_out(api: Rig, where: str) -> None:
    """Whoever pulls would call our own management API, or whatever listens there, in our name."""
    inside = "http://127.0.0.1:8081/management/v3/assets"
    known = holding().data_address
    assert known is not None
    moved = EndpointProperty("https://other.example/ns#endpoint" if "beside" in where else EDC + "endpoint", inside)
    address = (
        replace(known, endpoint=inside) if where == "endpoint" else replace(known, properties=(*known.properties, moved))
    )
    await api.put(transfers=[replace(holding(), data_address=address)])
    status, [error] = await api.call("GET", "/edrs/t1/dataaddress")
    assert (status, error["type"]) == (502, "BadGateway")
    assert "not called from here" in error["message"]


async def test_a_deleted_edr_is_gone_and_the_transfer_goes_on(api: Rig) -> None:
    await api.put(transfers=[holding()])
    assert await api.call("DELETE", "/edrs/t1") == (204, None)
    assert (await api.call("GET", "/edrs/t1/dataaddress"))[0] == 404
    assert await api.ok("POST", "/edrs/request") == []
    assert (await api.ok("GET", f"{TRANSFERS}/t1/state"))["state"] == "STARTED"


async def test_an_ended_transfer_has_no_edr(api: Rig) -> None:
    await api.put(transfers=[holding(state=T.TERMINATED)])
    assert (await api.call("GET", "/edrs/t1/dataaddress"))[0] == 404


async def test_a_token_that_expires_soon_is_renewed_where_asked(api: Rig) -> None:
    """anchors.md section 2, number 15."""
    await api.put(transfers=[holding(10)])
    assert (await api.ok("GET", "/edrs/t1/dataaddress"))["authorization"] == jwt(10)
    assert api.peers.asked == []
    answer = {"access_token": jwt(900), "refresh_token": "refresh-2", "expires_in": 900}
    api.peers.answers = [Answer(200, orjson.dumps(answer))]
    found = await api.ok("GET", "/edrs/t1/dataaddress?auto_refresh=true")
    assert found["authorization"] == jwt(900)
    assert found["https://w3id.org/tractusx/auth/refreshToken"] == "refresh-2"
    assert api.peers.asked == [
        ("POST", "http://aarhus.example/data/token", b"grant_type=refresh_token&refresh_token=refresh-1")
    ]
    assert (await api.ok("GET", "/edrs/t1/dataaddress?auto_refresh=true"))["authorization"] == jwt(900)
    assert len(api.peers.asked) == 1


async def test_a_provider_cannot_have_us_sign_a_token_for_somebody_else(api: Rig) -> None:
    """The audience in a data address is the peer's word; a token for that audience would be sent to the peer."""
    made = holding(10)
    assert made.data_address is not None
    victim = EndpointProperty("https://w3id.org/tractusx/auth/refreshAudience", "urn:victim")
    address = replace(made.data_address, properties=(*made.data_address.properties, victim))
    await api.put(transfers=[replace(made, data_address=address)])
    await api.call("GET", "/edrs/t1/dataaddress?auto_refresh=true")
    assert api.peers.proofs == [f"token for {PEER}"]


@pytest.mark.parametrize("answer", [None, Answer(401, b"no"), Answer(200, b"not json"), Answer(200, b'{"access_token": 5}')])
async def test_a_token_that_is_not_renewed_is_the_peers_failure(api: Rig, answer: Answer | None) -> None:
    await api.put(transfers=[holding(10)])
    api.peers.answers = [answer] if answer else []
    status, errors = await api.call("GET", "/edrs/t1/dataaddress?auto_refresh=true")
    assert (status, errors[0]["type"]) == (502, "BadGateway")
    assert "refresh-1" not in errors[0]["message"]


# --- catalogs --------------------------------------------------------------------------------------------------------

CATALOG_REQUEST = {
    "@context": CONTEXT,
    "protocol": "dataspace-protocol-http:2025-1",
    "counterPartyAddress": PEER_ADDRESS,
    "counterPartyId": PEER,
}


async def test_a_catalog_comes_as_the_peer_sent_it(api: Rig) -> None:
    catalog = {
        "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
        "@id": "urn:c",
        "@type": "Catalog",
        "participantId": PEER,
        "service": [{"@id": "urn:s", "@type": "DataService", "endpointURL": PEER_ADDRESS}],
        "dataset": [
            {
                "@id": "lung",
                "@type": "Dataset",
                "hasPolicy": [{"@id": "offer-1", "@type": "Offer", "permission": [{"action": "use"}]}],
                "distribution": [{"@type": "Distribution", "format": "HttpData-PULL", "accessService": "urn:s"}],
            }
        ],
    }
    api.peers.answers = [Answer(200, orjson.dumps(catalog))]
    spec = {"limit": 5, "filterExpression": [criterion(EDC + "id", "=", "lung")]}
    answer = await api.ok("POST", "/catalog/request", CATALOG_REQUEST | {"querySpec": spec})
    assert answer["@context"] == catalog["@context"]
    assert answer["dataset"] == catalog["dataset"]
    [(method, url, sent)] = api.peers.asked
    assert (method, url) == ("POST", PEER_ADDRESS + "/catalog/request")
    assert sent is not None
    assert orjson.loads(sent)["filter"][0]["filterExpression"][0]["operandRight"] == "lung"


@pytest.mark.parametrize("spec, sent", [({}, set()), ({"offset": 2}, {"offset"}), ({"limit": 5}, {"limit"})])
async def test_a_peer_is_asked_for_no_smaller_page_than_we_were(api: Rig, spec: dict[str, int], sent: set[str]) -> None:
    """anchors.md section 2, number 4: no hidden limit of 50."""
    await api.call("POST", "/catalog/request", CATALOG_REQUEST | {"querySpec": spec})
    [(_, _, body)] = api.peers.asked
    assert body is not None
    assert orjson.loads(body)["filter"][0].keys() & {"offset", "limit"} == sent


@pytest.mark.parametrize(
    "answer", [None, Answer(500, b""), Answer(401, b"{}"), Answer(404, b""), Answer(200, b"<html>"), Answer(200, b"[]")]
)
@pytest.mark.parametrize("path, more", [("/catalog/request", {}), ("/catalog/dataset/request", {"@id": "lung"})])
async def test_whatever_goes_wrong_at_the_peer_is_a_bad_gateway_with_the_cause(
    api: Rig, path: str, more: dict[str, str], answer: Answer | None
) -> None:
    api.peers.answers = [answer] if answer else []
    status, errors = await api.call("POST", path, CATALOG_REQUEST | more)
    assert (status, errors[0]["type"]) == (502, "BadGateway")
    assert errors[0]["message"]
    missing = answer is not None and answer.status == 404 and path == "/catalog/dataset/request"
    refused = answer is not None and answer.status == 401
    assert errors[0]["cause"] == ("not-found" if missing else "denied" if refused else "unavailable")


async def test_a_catalog_request_that_lacks_something_names_it(api: Rig) -> None:
    status, errors = await api.call("POST", "/catalog/dataset/request", {"@context": CONTEXT})
    assert status == 400
    assert {error["path"] for error in errors} == {"@id", EDC + "protocol", EDC + "counterPartyAddress"}


# --- states ----------------------------------------------------------------------------------------------------------


async def test_a_typed_cause_is_shown_as_edcs_error_detail(api: Rig) -> None:
    """anchors.md section 2, number 1: no TERMINATED without a reason."""
    cause = Cause(CauseCode.PEER_REFUSED, "the peer answered 400", Role.PROVIDER)
    await api.put(negotiations=[replace(DONE, state=N.TERMINATED, agreement_id=None, cause=cause)])
    found = await api.ok("GET", f"{NEGOTIATIONS}/n1")
    assert found["errorDetail"] == "peer-refused: the peer answered 400"
