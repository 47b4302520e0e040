"""Assets, policy definitions and contract definitions over the management API (management-api.md, endpoints and errors)."""

from __future__ import annotations

import asyncio

import pytest

from connector.dsp.offering import EDC
from connector.identity.participant import Participant
from connector.ports import Query
from tests.store.records import agreement
from tests.web.management_rig import CONTEXT, NOW, PEER, Rig, asset, criterion, definition, policy


async def test_an_asset_is_created_read_replaced_and_deleted(api: Rig) -> None:
    created = await api.ok("POST", "/assets", asset("lung", name="Lung", size=5))
    assert created == {"@type": "IdResponse", "@id": "lung", "createdAt": int(NOW.timestamp() * 1000), "@context": CONTEXT}
    found = await api.ok("GET", "/assets/lung")
    assert found["properties"] == {"id": "lung", "name": "Lung", "size": 5}
    assert found["dataAddress"] == {"@type": "DataAddress", "type": "HttpData", "baseUrl": "http://127.0.0.1/x"}
    assert (found["@id"], found["@type"], found["@context"]) == ("lung", "Asset", CONTEXT)

    assert await api.call("PUT", "/assets", asset("lung", name="Lungs")) == (204, None)
    assert (await api.ok("GET", "/assets/lung"))["properties"]["name"] == "Lungs"
    assert await api.call("DELETE", "/assets/lung") == (204, None)
    status, errors = await api.call("GET", "/assets/lung")
    message = "Object of type Asset with ID=lung was not found"
    assert (status, errors) == (404, [{"message": message, "type": "ObjectNotFound", "path": None, "invalidValue": None}])
    assert await api.audit_of("lung") == ["asset.created", "asset.updated", "asset.deleted"]


async def test_a_change_is_in_the_catalogue_when_the_answer_arrives(api: Rig) -> None:
    await api.ok("POST", "/policydefinitions", policy("terms"))
    await api.ok("POST", "/contractdefinitions", definition("all", "terms"))
    await api.ok("POST", "/assets", asset("lung"))
    page = api.offerings.current.page(Participant(PEER), NOW, Query())
    assert any(b'"lung"' in dataset for dataset in page.datasets)


async def test_an_id_that_is_left_out_is_made(api: Rig) -> None:
    body = asset("x")
    del body["@id"]
    created = await api.ok("POST", "/assets", body)
    assert created["@id"].startswith("urn:uuid:")


async def test_a_plain_json_body_without_context_means_the_same(api: Rig) -> None:
    body = asset("plain", name="Lung")
    del body["@context"]
    await api.ok("POST", "/assets", body)
    assert api.offerings.current.assets["plain"].properties == {EDC + "name": "Lung"}


@pytest.mark.parametrize(
    "body",
    [
        {
            EDC + "properties": {EDC + "name": "x"},
            EDC + "dataAddress": {EDC + "type": "HttpData", EDC + "baseUrl": "http://x"},
        },
        {
            "@context": {"edc": EDC},
            "edc:properties": {"edc:name": "x"},
            "edc:dataAddress": {"edc:type": "HttpData", "edc:baseUrl": "http://x"},
        },
        {
            "@context": {"e": EDC},
            "e:properties": [{"e:name": [{"@value": "x"}]}],
            "e:dataAddress": [{"e:type": [{"@value": "HttpData"}], "e:baseUrl": [{"@value": "http://x"}]}],
        },
        {
            "@context": ["https://w3id.org/edc/connector/management/v2"],
            "@type": "Asset",
            "properties": {"name": "x"},
            "dataAddress": {"@type": "DataAddress", "type": "HttpData", "baseUrl": "http://x"},
        },
        {
            "@context": {"props": EDC + "properties", "title": EDC + "name", "where": EDC + "dataAddress", "@vocab": EDC},
            "props": {"title": "x"},
            "where": {"type": "HttpData", "baseUrl": "http://x"},
        },
    ],
    ids=["full IRIs", "prefixed", "expanded under an own prefix", "version 4 context", "terms of an own context"],
)
async def test_every_spelling_of_a_body_makes_the_same_asset(api: Rig, body: dict[str, object]) -> None:
    await api.ok("POST", "/assets", {"@id": "lung", **body})
    made = api.offerings.current.assets["lung"]
    assert made.properties == {EDC + "name": "x"}
    assert made.data_address == {"type": "HttpData", "baseUrl": "http://x"}


async def test_a_property_outside_properties_is_kept_as_one(api: Rig) -> None:
    await api.ok("POST", "/assets", asset("lung", name="Lung") | {"dct:title": "Lung cancer"})
    found = await api.ok("GET", "/assets/lung")
    assert found["properties"]["http://purl.org/dc/terms/title"] == "Lung cancer"


async def test_an_array_of_one_is_answered_as_its_element(api: Rig) -> None:
    await api.ok("POST", "/assets", asset("lung", keywords=["a"], themes=["a", "b"], none=[]))
    properties = (await api.ok("GET", "/assets/lung"))["properties"]
    assert (properties["keywords"], properties["themes"], properties["none"]) == ("a", ["a", "b"], [])


async def test_each_thing_wrong_with_an_asset_is_named_with_its_path(api: Rig) -> None:
    status, errors = await api.call("POST", "/assets", {"@id": " ", "dataAddress": {"baseUrl": 5, "header": {}}})
    assert status == 400
    assert {error["type"] for error in errors} == {"ValidationFailure"}
    assert {error["path"] for error in errors} == {
        "@id",
        EDC + "properties",
        EDC + "dataAddress/" + EDC + "type",
        EDC + "dataAddress/" + EDC + "header",
    }
    assert f"mandatory object '{EDC}properties' is missing" in [error["message"] for error in errors]


async def test_a_data_address_that_cannot_work_is_refused(api: Rig) -> None:
    body = asset("lung") | {"dataAddress": {"type": "HttpData"}}
    status, errors = await api.call("POST", "/assets", body)
    assert (status, errors[0]["type"], errors[0]["path"]) == (400, "InvalidRequest", None)
    assert errors[0]["message"] == "DataAddress of type HttpData must contain a valid baseUrl."
    status, errors = await api.call("POST", "/assets", asset("lung") | {"dataAddress": {"type": "Carrier"}})
    assert status == 400
    assert "known types: HttpData" in errors[0]["message"]


async def test_an_id_is_taken_once(api: Rig) -> None:
    for path, body in (
        ("/assets", asset("one")),
        ("/policydefinitions", policy("one")),
        ("/contractdefinitions", definition("one")),
    ):
        await api.ok("POST", path, body)
        status, errors = await api.call("POST", path, body)
        assert (status, errors[0]["type"]) == (409, "ObjectConflict")


@pytest.mark.parametrize(
    "method, path, body, file",
    [
        ("POST", "/assets", asset("filed"), "catalog/filed.jsonld"),
        ("PUT", "/assets", asset("filed"), "catalog/filed.jsonld"),
        ("DELETE", "/assets/filed", None, "catalog/filed.jsonld"),
        ("POST", "/policydefinitions", policy("open-use"), "policies/open-use.yaml"),
        ("PUT", "/policydefinitions/open-use", policy("open-use"), "policies/open-use.yaml"),
        ("DELETE", "/policydefinitions/open-use", None, "policies/open-use.yaml"),
        ("POST", "/contractdefinitions", definition("filed-offer"), "catalog/filed.jsonld"),
        ("PUT", "/contractdefinitions", definition("filed-offer"), "catalog/filed.jsonld"),
        ("DELETE", "/contractdefinitions/filed-offer", None, "catalog/filed.jsonld"),
    ],
)
async def test_what_comes_from_a_file_is_changed_in_the_file(
    api: Rig, method: str, path: str, body: object, file: str
) -> None:
    """product.md section 4: read-only over the API, 409, naming the file."""
    status, errors = await api.call(method, path, body)
    assert status == 409
    assert file in errors[0]["message"]


async def test_files_and_store_are_one_list(api: Rig) -> None:
    await api.ok("POST", "/assets", asset("lung"))
    listed = await api.ok("POST", "/assets/request")
    assert {item["@id"]: item.get("origin") for item in listed} == {"filed": "catalog/filed.jsonld", "lung": None}


async def test_an_asset_under_an_agreement_stays(api: Rig) -> None:
    await api.ok("POST", "/assets", asset("lung"))
    await api.put(agreements=[agreement(dataset_id="lung")])
    status, errors = await api.call("DELETE", "/assets/lung")
    assert (status, errors[0]["type"]) == (409, "ObjectConflict")
    assert "agreement" in errors[0]["message"]


async def test_a_policy_in_use_stays(api: Rig) -> None:
    await api.ok("POST", "/policydefinitions", policy("terms"))
    await api.ok("POST", "/contractdefinitions", definition("lungs", "terms"))
    status, errors = await api.call("DELETE", "/policydefinitions/terms")
    assert status == 409
    assert "contract definition lungs uses it" in errors[0]["message"]
    await api.ok("DELETE", "/contractdefinitions/lungs")
    await api.ok("DELETE", "/policydefinitions/terms")


async def test_what_is_not_there_is_not_found(api: Rig) -> None:
    for method, path, body in (
        ("PUT", "/assets", asset("none")),
        ("DELETE", "/assets/none", None),
        ("GET", "/policydefinitions/none", None),
        ("PUT", "/policydefinitions/none", policy("none")),
        ("DELETE", "/policydefinitions/none", None),
        ("POST", "/policydefinitions/none/validate", None),
        ("POST", "/policydefinitions/none/evaluationplan", {"policyScope": "catalog"}),
        ("GET", "/contractdefinitions/none", None),
        ("PUT", "/contractdefinitions", definition("none")),
        ("DELETE", "/contractdefinitions/none", None),
    ):
        status, errors = await api.call(method, path, body)
        assert (status, errors[0]["type"]) == (404, "ObjectNotFound"), (method, path)


async def test_a_policy_is_answered_in_edcs_spelling(api: Rig) -> None:
    limit = {"leftOperand": "count", "operator": "lteq", "rightOperand": "2"}
    await api.ok("POST", "/policydefinitions", policy("terms", permission=[{"action": "use", "constraint": [limit]}]))
    found = (await api.ok("GET", "/policydefinitions/terms"))["policy"]
    assert found["@type"] == "odrl:Set"
    assert found["odrl:permission"] == {
        "odrl:action": {"@id": "odrl:use"},
        "odrl:constraint": {
            "odrl:leftOperand": {"@id": "odrl:count"},
            "odrl:operator": {"@id": "odrl:lteq"},
            "odrl:rightOperand": "2",
        },
    }
    assert (found["odrl:prohibition"], found["odrl:obligation"]) == ([], [])


async def test_a_policy_read_back_can_be_sent_again(api: Rig) -> None:
    limit = {"leftOperand": "count", "operator": "lteq", "rightOperand": "2"}
    await api.ok("POST", "/policydefinitions", policy("terms", permission=[{"action": "use", "constraint": [limit]}]))
    found = await api.ok("GET", "/policydefinitions/terms")
    await api.ok("PUT", "/policydefinitions/terms", {k: v for k, v in found.items() if k != "createdAt"})
    assert await api.ok("GET", "/policydefinitions/terms") == found


async def test_a_policy_that_cannot_be_enforced_is_refused_with_each_problem(api: Rig) -> None:
    """product.md section 10: never silently ignore a constraint."""
    wrong = [
        {"leftOperand": "phaseOfTheMoon", "operator": "eq", "rightOperand": "full"},
        {"leftOperand": "count", "operator": "almost", "rightOperand": "2"},
    ]
    body = policy("moon", permission=[{"action": "use", "constraint": wrong}])
    status, errors = await api.call("POST", "/policydefinitions", body)
    assert status == 400
    words = " ".join(error["message"] for error in errors)
    assert len(errors) >= 2
    assert "phaseOfTheMoon" in words
    assert "almost" in words
    assert (await api.call("GET", "/policydefinitions/moon"))[0] == 404


async def test_a_contract_definition_needs_its_policies(api: Rig) -> None:
    status, errors = await api.call("POST", "/contractdefinitions", definition("lungs", "nowhere"))
    assert (status, errors[0]["type"]) == (400, "InvalidRequest")
    assert "nowhere" in errors[0]["message"]


async def test_one_selector_is_answered_as_an_object_and_several_as_an_array(api: Rig) -> None:
    one = criterion(EDC + "id", "=", "lung")
    await api.ok("POST", "/contractdefinitions", definition("one", assetsSelector=[one]))
    await api.ok("POST", "/contractdefinitions", definition("two", assetsSelector=[one, one]))
    assert (await api.ok("GET", "/contractdefinitions/one"))["assetsSelector"] == {"@type": "Criterion", **one}
    assert (await api.ok("GET", "/contractdefinitions/two"))["assetsSelector"] == [{"@type": "Criterion", **one}] * 2


async def test_a_selector_with_an_unknown_operator_is_refused_with_its_path(api: Rig) -> None:
    body = definition("one", assetsSelector=[criterion("id", "resembles", "x")])
    status, errors = await api.call("POST", "/contractdefinitions", body)
    assert status == 400
    assert errors[0]["path"] == f"{EDC}assetsSelector/{EDC}operator"


async def test_a_policy_is_validated_and_its_plan_shown(api: Rig) -> None:
    assert (await api.ok("POST", "/policydefinitions/open-use/validate"))["isValid"] is True
    plan = await api.ok("POST", "/policydefinitions/open-use/evaluationplan", {"policyScope": "catalog"})
    assert plan["permissionSteps"]["isFiltered"] is False
    status, errors = await api.call("POST", "/policydefinitions/open-use/evaluationplan", {})
    assert (status, errors[0]["path"]) == (400, EDC + "policyScope")


async def test_fields_that_nobody_reads_are_named_in_a_warning(api: Rig) -> None:
    await api.ok("POST", "/contractdefinitions", definition("one", prize="none"))
    assert EDC + "prize" in api.answered.headers["Warning"]


async def test_private_properties_come_back_only_here(api: Rig) -> None:
    await api.ok("POST", "/assets", asset("lung") | {"privateProperties": {"ward": "B"}})
    assert (await api.ok("GET", "/assets/lung"))["privateProperties"] == {"ward": "B"}


async def test_a_secret_is_kept_replaced_and_forgotten(api: Rig) -> None:
    await api.ok("POST", "/secrets", {"@id": "origin", "value": "one"})
    assert (await api.call("POST", "/secrets", {"@id": "origin", "value": "two"}))[0] == 409
    await api.ok("PUT", "/secrets", {"@id": "origin", "value": "two"})
    assert (await api.ok("GET", "/secrets/origin"))["value"] == "two"
    await api.ok("DELETE", "/secrets/origin")
    for method, path, body in (
        ("GET", "/secrets/origin", None),
        ("DELETE", "/secrets/origin", None),
        ("PUT", "/secrets", {"@id": "origin", "value": "x"}),
    ):
        assert (await api.call(method, path, body))[0] == 404
    assert await api.audit_of("origin") == ["secret.created", "secret.updated", "secret.deleted"]


async def test_many_changes_at_once_are_all_in_the_offering(api: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    reloads = 0
    reload = api.offerings.reload

    async def counted() -> None:
        nonlocal reloads
        reloads += 1
        await reload()

    monkeypatch.setattr(api.offerings, "reload", counted)
    await asyncio.gather(*(api.ok("POST", "/assets", asset(f"a{i}")) for i in range(30)))
    assert {f"a{i}" for i in range(30)} <= api.offerings.current.assets.keys()
    assert reloads < 30


async def test_a_prefix_is_written_out_in_policy_terms_and_in_property_names_only(api: Rig) -> None:
    context = {"@vocab": EDC, "cx": "https://w3id.org/catenax/policy/"}
    await api.ok("POST", "/assets", asset("lung", **{"cx:action": "cx:x", "action": "cx:y"}) | {"@context": context})
    properties = (await api.ok("GET", "/assets/lung"))["properties"]
    assert properties == {"id": "lung", "https://w3id.org/catenax/policy/action": "cx:x", "action": "cx:y"}
    membership = {"leftOperand": "cx:Membership", "operator": "odrl:eq", "rightOperand": "cx:active"}
    body = policy("terms", permission=[{"action": "use", "constraint": [membership]}]) | {"@context": context}
    _, errors = await api.call("POST", "/policydefinitions", body)
    assert "https://w3id.org/catenax/policy/Membership" in errors[0]["message"]
