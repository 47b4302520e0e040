"""EDC's own OpenAPI documents, driven against us: what they say of a connector is answered as they say.

The documents are EDC's published ones. What differs is in tables here, each row with its reason; docs/management-api.md
tells users the same.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor

from connector.ports import Answer
from connector.web.management.routes import served
from tests.web.management_rig import Rig
from tests.web.test_management_openapi import CATALOG, DATASET, GOOD, settle
from tests.web.test_management_v4 import typed_body

FOLDER = Path(__file__).parents[2].parent / "shared/ref/edc-management"
DOCUMENTS = ("management-api-3.1.6.yaml", "management-api-4.0.0.yaml", "management-api-4.1.0.yaml")
VERSIONS = ("v3", "v4", "v4beta")
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="../shared/ref/edc-management is not there")

# statuses that may come at any operation, which EDC's documents leave out
ANYWHERE = {"400", "401", "403", "413", "415", "503"}
# and at one
ALSO = {
    "terminate": {"204": "EDC's server says 204 where its document says 200", "409": "it has ended already"},
    "resume": {"409": "it is not suspended"},
    "put": {"404": "there is none to replace", "409": "it comes from a file, or is in use"},
    "delete": {"409": "it is in use, or comes from a file"},
    "dataplanes": {"204": "nothing is said, so nothing is sent", "409": "the built-in data plane stays"},
}

# where a document does not say what EDC's server does: (operation, place in the answer, what is so)
SLIPS = (
    ("v3 .*", "@context", "one schema stands for two versions; version 3 has an object"),
    ("v3 .*contractdefinitions.*", "assetsSelector", "version 3 writes an array of one as its element, as JSON-LD does"),
    ("v3 get-dataplanes", "allowedSourceTypes", "the same"),
    ("v4.* get-contractagreements-id-negotiation", "", "the document has the agreement's schema for the negotiation"),
    (".* post-policydefinitions-id-(validate|evaluationplan)", "", "an error is an array here too, of one"),
    ("v4.* get-dataplanes", "@context", "version 4 has an array"),
)


@dataclass(frozen=True)
class Row:
    """One operation of a document of EDC's."""

    version: str
    method: str
    path: str  # below the version, its parameter called id
    operation: Mapping[str, Any]
    document: str

    @property
    def name(self) -> str:
        parts = (self.method.lower(), *self.path.strip("/").split("/"))
        return "-".join(part.strip("{}") for part in parts)

    def statuses(self) -> set[str]:
        words = {self.method.lower(), *self.path.strip("/").split("/")}
        return {*self.operation["responses"], *ANYWHERE, *(status for word in words for status in ALSO.get(word, ()))}


class Plain(SafeConstructor):
    """Reads `=`, which YAML 1.1 has a type of its own for, as a text."""


Plain.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


@cache
def document(name: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Plain
    return yaml.load(FOLDER / name)


@cache
def rows() -> list[Row]:
    found = []
    for name in DOCUMENTS if FOLDER.exists() else ():
        for path, methods in document(name)["paths"].items():
            _, version, rest = [*path.split("/", 2), ""][:3]
            if version in VERSIONS:
                rest = re.sub(r"\{\w+\}", "{id}", "/" + rest)
                found += [Row(version, method.upper(), rest, methods[method], name) for method in methods]
    return found


def identity(row: Row) -> str:
    return f"{row.document[15:20]} {row.method} {row.version}{row.path}"


@pytest.mark.parametrize("row", rows(), ids=identity)
def test_every_operation_is_there(row: Row) -> None:
    assert (row.method, row.path) in {(one.method, one.path) for one in served(row.version)}


# --- shapes ---------------------------------------------------------------------------------------------------------


def schema(row: Row, status: int) -> Any:
    """Return the documented schema of an answer as JSON Schema, or None where none is documented."""
    content = row.operation["responses"].get(str(status), {}).get("content", {}).get("application/json", {})
    if not content.get("schema"):
        return None
    return {**as_json_schema(content["schema"]), "components": as_json_schema(document(row.document)["components"])}


def as_json_schema(value: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema; `example` and the like are words about it."""
    if isinstance(value, dict):
        return {key: as_json_schema(item) for key, item in value.items() if key not in ("example", "format", "xml")}
    return [as_json_schema(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("version, name", [("v3", DOCUMENTS[0]), ("v4beta", DOCUMENTS[0]), ("v4", DOCUMENTS[2])])
async def test_good_requests_get_answers_of_the_documented_shape(api: Rig, version: str, name: str) -> None:
    await settle(api)
    api.version = version
    by_name = {row.name: row for row in rows() if (row.version, row.document) == (version, name)}
    for good, (id, body) in GOOD.items():
        api.peers.answers = [Answer(200, orjson.dumps(DATASET if "dataset" in good else CATALOG))]
        row = by_name.get(good)
        if row is None:
            continue
        status, answer = await api.call(
            row.method, row.path.replace("{id}", id), typed_body(row.version, row.method, row.path, body)
        )
        assert status in (200, 204), (good, answer)
        assert_documented(row, status, answer)


def assert_documented(row: Row, status: int, answer: Any) -> None:
    """Hold an answer to the document, its slips excepted."""
    assert {str(status), "default"} & row.statuses(), (row.name, status, answer)
    if status >= 400:
        assert answer
        assert all(isinstance(error["message"], str) and isinstance(error["type"], str) for error in answer)
        answer = [{name: value for name, value in error.items() if value is not None} for error in answer]
    if (wanted := schema(row, status)) is None:
        return
    for error in jsonschema_rs.Draft202012Validator(wanted).iter_errors(answer):
        place = "/".join(step for step in error.instance_path if isinstance(step, str))
        slips = (
            reason for name, where, reason in SLIPS if re.fullmatch(name, f"{row.version} {row.name}") and where == place
        )
        assert next(slips, None), (row.name, place, error.message[:300])


# --- whatever fits the documents ------------------------------------------------------------------------------------

GENERATED = settings(
    max_examples=5, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


def parts(name: str) -> dict[str, Any]:
    """Return a document with only what is driven."""
    whole = as_json_schema(document(name))
    kept = {identity(row).split(" ")[-1] for row in rows() if row.document == name}
    paths = {path: of for path, of in whole["paths"].items() if re.sub(r"\{\w+\}", "{id}", path).strip("/") in kept}
    return {**whole, "paths": paths}


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_requests_made_from_the_documents_are_answered_as_documented(api: Rig, name: str) -> None:
    """schemathesis makes requests that fit EDC's schemas; no answer is a 5xx or of another shape."""
    import schemathesis  # takes seconds

    await settle(api)
    loop = asyncio.get_running_loop()
    by_place = {(row.method, f"/{row.version}{row.path}"): row for row in rows() if row.document == name}
    driven = set()

    def answered(row: Row, case: Any) -> tuple[int, Any]:
        api.version, path = row.version, case.formatted_path.removeprefix(f"/{row.version}")
        data = json.dumps(case.body).encode() if isinstance(case.body, dict) else None
        return asyncio.run_coroutine_threadsafe(api.call(case.method, path, data=data), loop).result(10)

    def drive(operation: Any) -> None:
        row = by_place[operation.method.upper(), re.sub(r"\{\w+\}", "{id}", operation.path)]
        driven.add(row.name)

        @given(case=operation.as_strategy())
        @GENERATED
        def send(case: Any) -> None:
            assert_documented(row, *answered(row, case))

        send()

    for found in schemathesis.openapi.from_dict(parts(name)).get_all_operations():
        await asyncio.to_thread(drive, found.ok())
    assert driven == {row.name for row in by_place.values()}
