"""`connector import edc` against a stub that answers in EDC 0.15.1's shapes, and a connector that is really running.

The shapes are those recorded from EDC (peers/edc/wire/management-trace.json): arrays of one written as their element,
prefixed policy terms, properties with the id repeated.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connector.demo.hospitals import Hospital, founded, free_ports
from tests.cli.program import Ran, connector

pytestmark = pytest.mark.slow

EDC = "https://w3id.org/edc/v0.0.1/ns/"
CONTEXT = {"@vocab": EDC, "edc": EDC, "odrl": "http://www.w3.org/ns/odrl/2/"}
KEY = "edc-key"


def asset(id: str, kind: str = "HttpData", **more: str) -> dict[str, Any]:
    address = {"@type": "DataAddress", "type": kind, "baseUrl": "http://127.0.0.1:9/x", **more}
    return {
        "@id": id, "@type": "Asset", "properties": {"name": f"Data {id}", "id": id, "rows": 5.0}, "dataAddress": address,
        "@context": CONTEXT,
    }  # fmt: skip


def policy(id: str, *constraints: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"odrl:action": {"@id": "odrl:use"}}
    if constraints:
        rule["odrl:constraint"] = constraints[0] if len(constraints) == 1 else list(constraints)
    terms = {
        "@id": f"server-made-{id}", "@type": "odrl:Set", "odrl:permission": rule, "odrl:prohibition": [],
        "odrl:obligation": [],
    }  # fmt: skip
    return {"@id": id, "@type": "PolicyDefinition", "createdAt": 1795394990599, "policy": terms, "@context": CONTEXT}


def constraint(left: str, right: str) -> dict[str, Any]:
    return {"odrl:leftOperand": {"@id": left}, "odrl:operator": {"@id": "odrl:eq"}, "odrl:rightOperand": right}


def definition(id: str, terms: str, of: str) -> dict[str, Any]:
    selector = {"@type": "Criterion", "operandLeft": EDC + "id", "operator": "=", "operandRight": of}
    return {
        "@id": id, "@type": "ContractDefinition", "accessPolicyId": terms, "contractPolicyId": terms,
        "assetsSelector": selector, "@context": CONTEXT,
    }  # fmt: skip


@dataclass
class StubEdc:
    """EDC's management API, read-only, as far as a migration asks it."""

    objects: dict[str, list[dict[str, Any]]]
    url: str = ""
    pages: list[tuple[str, int]] = field(default_factory=list)

    async def request(self, request: web.Request) -> web.Response:
        if request.headers.get("x-api-key") != KEY:
            return web.json_response(
                [{"message": "Request could not be authenticated", "type": "AuthenticationFailed"}], status=401
            )
        query, family = await request.json(), request.match_info["family"]
        found = sorted(self.objects[family], key=lambda one: one["@id"])
        self.pages.append((family, query["offset"]))
        return web.json_response(found[query["offset"] : query["offset"] + query["limit"]])

    async def plan(self, request: web.Request) -> web.Response:
        """What EDC says of a constraint that no function is bound to."""
        scope = (await request.json())["policyScope"]
        (found,) = (one for one in self.objects["policydefinitions"] if one["@id"] == request.match_info["id"])
        given = found["policy"]["odrl:permission"].get("odrl:constraint", [])
        steps = [
            {
                "@type": "AtomicConstraintStep", "isFiltered": True, "functionParams": ["'x'", "EQ", "'y'"],
                "filteringReasons": [
                    f"leftOperand '{one['odrl:leftOperand']['@id']}' is not bound to scope '{scope}'",
                    f"leftOperand '{one['odrl:leftOperand']['@id']}' is not bound to any function within scope '{scope}'",
                ],
            }
            for one in (given if isinstance(given, list) else [given])
        ]  # fmt: skip
        step = {
            "@type": "PermissionStep",
            "isFiltered": False,
            "filteringReasons": [],
            "constraintSteps": steps,
            "dutySteps": [],
        }
        return web.json_response({"@type": "PolicyEvaluationPlan", "permissionSteps": step, "@context": CONTEXT})


@pytest.fixture
def edc() -> Iterator[StubEdc]:
    stub = StubEdc(
        {
            "assets": [
                asset("trial", authKey="X-Key", secretName="origin-key"),
                asset("bucket", "AmazonS3"),
                *(asset(f"series-{n:03}") for n in range(120)),
            ],
            "policydefinitions": [
                policy("open"),
                policy("research", constraint("odrl:purpose", "eu-ehds:HealthcareScientificResearch")),
                policy("members", constraint("edc:MembershipCredential", "active")),
            ],
            "contractdefinitions": [
                definition("research-offer", "research", "trial"),
                definition("members-offer", "members", "trial"),
            ],
        }
    )
    up, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/api/management/v3/{family}/request", stub.request)
        app.router.add_post("/api/management/v3/policydefinitions/{id}/evaluationplan", stub.plan)
        runner = web.AppRunner(app)
        await runner.setup()
        (port,) = free_ports(1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        stub.url = f"http://127.0.0.1:{port}/api/management"
        up.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert up.wait(10)
    yield stub
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with founded(tmp_path_factory.mktemp("import")) as (odense, _):
        yield odense


def run(edc: StubEdc, here: Hospital, *more: str) -> Ran:
    return connector("import", "edc", edc.url, "--api-key", KEY, "--dir", here.settings.root, *more)


def test_a_migration_is_told_first_then_done_then_done_already(edc: StubEdc, here: Hospital) -> None:
    dry = run(edc, here, "--json")
    assert dry.code == 1, dry.err  # not all of it can come
    told = {(one["family"], one["id"]): one for one in dry.document["findings"]}
    assert not dry.document["applied"]
    assert [id for family, id in told if family == "assets"] == ["bucket", *(f"series-{n:03}" for n in range(120)), "trial"]
    assert ("assets", 100) in edc.pages
    assert "open" not in [one["@id"] for one in here.api.query("policydefinitions")]

    research, members = told["policydefinitions", "research"], told["policydefinitions", "members"]
    assert (research["outcome"], members["outcome"]) == ("new", "refused")
    assert research["ignoredByEdc"] == [
        "leftOperand 'odrl:purpose' is not bound (catalog, contract.negotiation, transfer.process)"
    ]
    assert any("MembershipCredential" in why for why in members["why"])
    assert "put the secret origin-key" in told["assets", "trial"]["why"][0]
    assert "AmazonS3" in told["assets", "bucket"]["why"][0]
    assert told["contractdefinitions", "research-offer"]["outcome"] == "new"
    assert "members" in told["contractdefinitions", "members-offer"]["why"][0]

    done = run(edc, here, "--apply")
    assert done.code == 1
    assert "EDC ignored: leftOperand 'odrl:purpose' is not bound" in done.out
    assert done.out.splitlines()[-1] == "124 new, 0 same, 0 differs, 3 refused: the new ones were copied"
    trial = here.api.get("assets", "trial")
    assert trial["properties"]["name"] == "Data trial"
    assert here.api.get("contractdefinitions", "research-offer")["contractPolicyId"] == "research"

    again = run(edc, here, "--apply")
    assert again.out.splitlines()[-1] == "0 new, 124 same, 0 differs, 3 refused: the new ones were copied"

    edc.objects["assets"][0] = asset("trial") | {"properties": {"name": "Another trial", "id": "trial"}}
    changed = run(edc, here, "--apply")
    assert "differs  asset trial" in changed.out
    assert here.api.get("assets", "trial")["properties"]["name"] == "Data trial"


def test_a_wrong_key_and_what_is_no_management_api_are_said_plainly(edc: StubEdc, here: Hospital, tmp_path: Path) -> None:
    refused = connector("import", "edc", edc.url, "--api-key", "wrong", "--dir", here.settings.root)
    assert refused.code == 3
    assert "authenticated" in refused.err
    gone = connector("import", "edc", "http://127.0.0.1:1/management", "--dir", here.settings.root)
    assert gone.code == 4
