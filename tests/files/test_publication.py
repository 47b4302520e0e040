"""`policies/` and `catalog/`: what they publish, and what is said of what they cannot (issue 3, item 5; product.md 4)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector import files
from connector.assets import shipped
from connector.config import Settings
from connector.dsp.catalog import Offering
from connector.dsp.criteria import Query
from connector.dsp.offering import EDC, Asset, ContractDefinition, Criterion
from connector.errors import InvalidFiles
from connector.files.publication import Published
from connector.identity.keys import Keys
from connector.identity.participant import Participant

OPEN = '"@type": Set\npermission:\n  - action: use\n'
DATASET = {
    "@id": "urn:trial",
    "@type": "Dataset",
    "title": "Trial",
    "source": {"type": "file", "path": "trial.csv"},
    "policies": ["open"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("policies", "catalog"):
        (tmp_path / name).mkdir()
    (tmp_path / "policies" / "open.yaml").write_text(OPEN)
    (tmp_path / "catalog" / "trial.csv").write_text("a,b\n1,2\n")
    write(tmp_path)
    return tmp_path


def write(folder: Path, file: str = "trial.jsonld", **changes: Any) -> None:
    content = {key: value for key, value in {**DATASET, **changes}.items() if value is not ...}
    (folder / "catalog" / file).write_text(json.dumps(content, indent=2))


def load(folder: Path) -> Published:
    return files.load(Settings(folder, "urn:odense"))


def problems(folder: Path) -> list[str]:
    with pytest.raises(InvalidFiles) as caught:
        load(folder)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def only_asset(folder: Path, **changes: Any) -> Asset:
    write(folder, **changes)
    (asset,) = load(folder).assets
    return asset


# --- what is published -------------------------------------------------------------------------------------------------


def test_a_dataset_file_gives_what_three_api_calls_would_give(folder: Path) -> None:
    published = load(folder)
    origin = str(folder / "catalog" / "trial.jsonld")
    assert published.assets == (
        Asset(
            "urn:trial",
            {"http://purl.org/dc/terms/title": "Trial"},
            data_address={"type": "File", "path": str(folder / "catalog" / "trial.csv")},
            origin=origin,
        ),
    )
    assert published.definitions == (
        ContractDefinition(
            "urn:trial#open", "open", "open", (Criterion(EDC + "id", "=", "urn:trial"),), origin=origin, offer_id=None
        ),
    )
    (policy,) = published.policies
    assert (policy.id, policy.policy.uid, policy.origin) == ("open", "open", str(folder / "policies" / "open.yaml"))
    assert published.warnings == ()


def test_the_same_files_give_the_same_digest_anywhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "copy"
    other.mkdir()
    for name in ("policies", "catalog"):
        (folder / name).rename(other / name)
    (folder / "policies").symlink_to(other / "policies")
    (folder / "catalog").symlink_to(other / "catalog")
    first = load(other).digest
    assert load(folder).digest == first
    (other / "policies" / "open.yaml").write_text("# the same terms\n" + OPEN)
    assert load(other).digest != first


def test_both_forms_of_a_policy_file_and_both_of_its_names_can_be_used(folder: Path) -> None:
    (folder / "policies" / "members.jsonld").write_text(
        json.dumps({"@type": "Set", "uid": "urn:policy:members", "permission": [{"action": "use"}]})
    )
    offers = ["open", {"policy": "members", "access": "open"}, {"policy": "urn:policy:members", "@id": "urn:offer:1"}]
    write(folder, policies=offers)
    definitions = load(folder).definitions
    assert [(one.id, one.access_policy_id, one.contract_policy_id, one.offer_id) for one in definitions] == [
        ("urn:trial#open", "open", "open", None),
        ("urn:trial#urn:policy:members+open", "open", "urn:policy:members", None),
        ("urn:trial#urn:policy:members", "urn:policy:members", "urn:policy:members", "urn:offer:1"),
    ]


def test_a_description_is_kept_under_full_iris_however_it_was_written(folder: Path) -> None:
    asset = only_asset(
        folder,
        **{
            "@context": [
                "https://w3id.org/dspace/2025/1/context.jsonld",
                {"lab": "https://lab.example/ns#", "grade": "lab:grade"},
            ],
            "title": ...,
            "dcterms:title": {"@value": "Trial", "@language": "en"},
            "keyword": ["a", "b"],
            "healthdcatap:healthCategory": {"@id": "lab:EHCT"},
            "publisher": {"@type": "foaf:Agent", "foaf:name": "Odense"},
            "lab:grade2": 3,
            "grade": 1,
            "https://other.example/x": True,
        },
    )
    assert asset.properties == {
        "http://purl.org/dc/terms/title": {"@value": "Trial", "@language": "en"},
        "http://www.w3.org/ns/dcat#keyword": ["a", "b"],
        "http://healthdataportal.eu/ns/health#healthCategory": {"@id": "https://lab.example/ns#EHCT"},
        "http://purl.org/dc/terms/publisher": {
            "@type": "http://xmlns.com/foaf/0.1/Agent",
            "http://xmlns.com/foaf/0.1/name": "Odense",
        },
        "https://lab.example/ns#grade2": 3,
        "https://lab.example/ns#grade": 1,
        "https://other.example/x": True,
    }


def test_an_http_source_becomes_the_data_address_that_edc_would_have(folder: Path) -> None:
    source = {
        "type": "http",
        "url": "https://fhir.odense.example/r4",
        "methods": ["GET", "POST"],
        "proxyPath": True,
        "proxyQuery": True,
        "proxyBody": False,
        "headers": {"Accept": "application/fhir+json"},
        "auth": {"header": "Authorization", "secret": "fhir-key"},
        "mediaType": "application/fhir+json",
    }
    assert only_asset(folder, source=source).data_address == {
        "type": "HttpData",
        "baseUrl": "https://fhir.odense.example/r4",
        "proxyMethod": "true",
        "methods": "GET,POST",
        "proxyPath": "true",
        "proxyQueryParams": "true",
        "header:Accept": "application/fhir+json",
        "authKey": "Authorization",
        "secretName": "fhir-key",
        "mediaType": "application/fhir+json",
    }


def test_files_of_editors_and_of_kubernetes_do_not_count(folder: Path) -> None:
    for name in (".#open.yaml", "#open.yaml#", "open.yaml~", ".open.yaml.swp", "README.md"):
        (folder / "policies" / name).write_text("not: [a policy")
    (folder / "policies" / ".broken.yaml").symlink_to("nowhere")
    assert len(load(folder).policies) == 1


def test_the_examples_that_init_copies_load_and_are_offered() -> None:
    published = files.load(Settings(shipped("catalog").parent, "urn:odense"))
    assert published.warnings == ()
    offering = Offering.build(published.assets, published.policies, published.definitions, endpoint_url="https://x.example")
    assert offering.problems == ()
    assert "bed-occupancy" in offering.assets


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_ten_mistakes_give_ten_lines_and_nothing_is_in_force(folder: Path) -> None:
    (folder / "policies" / "a.yaml").write_text("permission:\n  - action: use\n    constraint:\n      - leftOperand: cuont\n"
                                                "        operator: lteq\n        rightOperand: 3\n")  # fmt: skip
    (folder / "policies" / "b.yaml").write_text("permission:\n\t- action: use\n")
    (folder / "policies" / "c.yaml").write_text("permission:\n  - action: use\n    assignee: NO\n")
    (folder / "policies" / "d.jsonld").write_text(
        '{"@type": "Set",\n "permission": [{"action": "use"}],\n "permission": []}'
    )
    (folder / "policies" / "e.yaml").write_bytes(b'permission: "\xe6"\n')
    write(folder, "f.jsonld", **{"@id": "urn:f", "policies": ["opne"]})
    write(folder, "g.jsonld", **{"@id": "urn:g", "source": {"type": "file", "path": "gone.csv"}})
    write(folder, "u.jsonld")
    write(folder, "i.jsonld", **{"@id": "urn:i", "source": {"type": "http", "url": "https://x.example", "proxypath": True}})
    write(folder, "j.jsonld", **{"@id": "urn:j", "titel": "J"})
    found = problems(folder)
    gone, trial = folder / "catalog" / "gone.csv", folder / "catalog" / "trial.jsonld"
    assert [problem for problem in found if "policies/a.yaml" not in problem] == [
        "catalog/f.jsonld:10:5: error offer-policy there is no policy 'opne'; did you mean 'open'?",
        f"catalog/g.jsonld:7:13: error source-file there is no file {gone}; a relative path begins at this folder",
        "catalog/i.jsonld:8:5: error dataset-key there is no proxypath here; did you mean proxyPath?",
        "catalog/j.jsonld:12:3: error dataset-word 'titel' is not a word of dataset files; did you mean title?",
        f"catalog/u.jsonld:2:10: error dataset-twice the dataset urn:trial is described in {trial} already",
        "policies/b.yaml:2:1: error yaml-syntax a tab; indent with spaces",
        "policies/c.yaml:3:15: error yaml-ambiguous NO is a truth value to some readers of YAML and text to others; "
        'write true, false or null, or "NO" in quotes',
        "policies/d.jsonld:3:2: error duplicate-key 'permission' is here twice, first in line 2, column 2",
        "policies/e.yaml:1:14: error file-encoding is not UTF-8 from here on; save it as UTF-8",
    ]
    (operand,) = [problem for problem in found if "policies/a.yaml" in problem]
    assert operand.startswith("policies/a.yaml:4:9: error odrl-")
    assert "count" in operand


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"@id": ...}, '1:1: error dataset-id needs an "@id", a text without spaces that never changes'),
        ({"@id": "my trial"}, '2:10: error dataset-id needs an "@id"'),
        ({"@type": "Datenset"}, '3:12: error dataset-type is not a dataset; write "@type": "Dataset"'),
        ({"@context": "https://evil.example/c"}, "12:15: error dataset-context 'https://evil.example/c' is not fetched"),
        ({"@graph": []}, "12:3: error dataset-word @graph is not read here; remove it"),
        ({"dct:title": "T"}, "12:3: error dataset-twice dct:title says http://purl.org/dc/terms/title a second time"),
        ({"dcta:title": "T"}, "12:3: error dataset-word the prefix 'dcta' is not known; did you mean dct:title?"),
        ({"title": {"@id": "dcta:x"}}, "5:12: error dataset-word the prefix 'dcta' is not known"),
        ({"source": ...}, '1:1: error source-missing needs a "source"'),
        ({"source": {"type": "ftp"}}, "6:13: error source-type 'ftp' is no type of source; write \"file\" or \"http\""),
        ({"source": {"type": "file"}}, "5:13: error dataset-value path is missing; write a text"),
        ({"source": {"type": "http", "url": "ftp://x"}}, "7:12: error source-url is not an http:// or https:// address"),
        ({"source": {"type": "http", "url": "https://u:p@x"}}, "7:12: error source-url is not an http://"),
        ({"source": {"type": "http", "url": "https://x", "methods": ["GTE"]}}, "8:16: error source-value methods is a list"),
        ({"source": {"type": "http", "url": "https://x", "proxyBody": "yes"}}, "8:18: error source-value proxyBody is true"),
        ({"source": {"type": "http", "url": "https://x", "headers": {"A": 1}}}, "8:16: error source-value headers is an"),
        ({"source": {"type": "http", "url": "https://x", "auth": {"header": "A", "value": "s3cr3t"}}}, "8:13: error source"),
        ({"policies": ...}, '1:1: error offer-missing needs "policies": ["..."]; without one nobody sees it. There'),
        ({"policies": []}, "9:15: error offer-missing"),
        ({"policies": [3]}, "10:5: error offer-shape is the name of a policy"),
        ({"policies": ["open", "open"]}, "11:5: error offer-twice is offered under this policy already"),
        ({"policies": [{"policy": "open", "acess": "open"}]}, "12:7: error dataset-key there is no acess here; did you"),
        ({"policies": [{"access": "open"}]}, "10:5: error dataset-value policy is missing; write a text"),
        ({"policies": [{"policy": "open", "access": "gone"}]}, "12:17: error offer-policy there is no policy 'gone'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_dataset_file_is_named_where_it_is(folder: Path, changes: dict[str, Any], problem: str) -> None:
    write(folder, **changes)
    assert [one for one in problems(folder) if problem in one], problems(folder)
    assert "s3cr3t" not in "\n".join(problems(folder))


def test_a_dataset_that_is_no_object_is_refused(folder: Path) -> None:
    (folder / "catalog" / "trial.jsonld").write_text("[]")
    assert problems(folder) == [
        "catalog/trial.jsonld:1:1: error dataset-shape is not a JSON object; write one dataset per file"
    ]


def test_a_dataset_without_title_is_a_warning_only(folder: Path) -> None:
    write(folder, title=...)
    (warning,) = load(folder).warnings
    assert str(warning).removeprefix(f"{folder}/").startswith("catalog/trial.jsonld:1:1: warning dataset-title")


def test_a_file_that_looks_as_if_it_were_read_is_a_warning(folder: Path) -> None:
    for name in ("policies/research.json", "catalog/other.yaml", "catalog/data.json"):
        (folder / name).write_text("{}")
    write(folder, "second.jsonld", **{"@id": "urn:second", "source": {"type": "file", "path": "data.json"}})
    assert [str(warning).removeprefix(f"{folder}/") for warning in load(folder).warnings] == [
        "catalog/other.yaml: warning file-ignored is not read; if it is meant to be, name it other.jsonld",
        "policies/research.json: warning file-ignored is not read; if it is meant to be, name it research.jsonld",
    ]


def test_two_policies_of_one_name_are_refused(folder: Path) -> None:
    (folder / "policies" / "open.yml").write_text(OPEN)
    (folder / "policies" / "other.yaml").write_text("uid: open\n" + OPEN)
    assert problems(folder) == [
        f"policies/open.yml:1:1: error policy-twice the policy name 'open' is taken by {folder}/policies/open.yaml; "
        "choose another uid or file name",
        f"policies/other.yaml:1:6: error policy-twice the policy name 'open' is taken by {folder}/policies/open.yaml; "
        "choose another uid or file name",
    ]


def test_one_offer_id_for_two_offers_is_refused(folder: Path) -> None:
    """DSP-043: an offer is unique to its dataset."""
    offer = [{"policy": "open", "@id": "urn:offer:1"}]
    write(folder, policies=offer)
    write(folder, "second.jsonld", **{"@id": "urn:second", "policies": offer})
    (problem,) = problems(folder)
    assert "error offer-twice the offer id urn:offer:1 is used in" in problem


def test_a_broken_policy_is_reported_once_not_at_every_dataset(folder: Path) -> None:
    (folder / "policies" / "open.yaml").write_text("uid: urn:open\npermission: fly\n")
    write(folder, "second.jsonld", **{"@id": "urn:second", "policies": ["urn:open"]})
    assert all(problem.startswith("policies/open.yaml:") for problem in problems(folder))


def test_an_agreement_is_no_policy_to_publish(folder: Path) -> None:
    (folder / "policies" / "open.yaml").write_text('"@type": Agreement\npermission:\n  - action: use\n')
    assert problems(folder) == [
        "policies/open.yaml:1:10: error policy-kind is an agreement, which is between two; write @type: Set or Offer"
    ]


def test_a_missing_folder_is_not_an_empty_one(folder: Path) -> None:
    """policy-admin.md: missing policies are not an empty set."""
    with pytest.raises(InvalidFiles, match=r"policie: error folder-missing the folder cannot be read"):
        files.load(replace(Settings(folder, "urn:odense"), policies="policie"))


WORDS = st.one_of(
    st.sampled_from(["@id", "@type", "@context", "@value", "@language", "@list", "title", "dct:title", "keyword"]),
    st.sampled_from(["dcat:distribution", "odrl:hasPolicy", "urn:x", "Dataset", "trial.csv", "lab:", ":", "a:b", "open"]),
    st.sampled_from(["source", "type", "path", "file", "http", "url", "methods", "proxyPath", "headers", "auth", "secret"]),
    st.sampled_from(["policies", "policy", "access", "header"]),
)
ANYTHING = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("trial.csv\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(WORDS, ANYTHING, max_size=8), st.booleans())
def test_whatever_a_dataset_file_says_it_is_offered_or_refused_with_a_place(
    folder: Path, said: dict[str, Any], complete: bool
) -> None:
    (folder / "catalog" / "trial.jsonld").write_text(json.dumps({**DATASET, **said} if complete else said))
    try:
        published = load(folder)
    except InvalidFiles as error:
        refused = error.problems
    else:
        refused = ()
        build = Offering.build(published.assets, published.policies, published.definitions, endpoint_url="https://x.example")
        (data,) = build.page(Participant("urn:aarhus"), datetime(2026, 11, 23, tzinfo=UTC), Query()).datasets
        assert len(json.loads(data)["hasPolicy"]) == len(published.definitions)
    assert all(problem.file and problem.line and problem.column for problem in refused)


# --- connector check ---------------------------------------------------------------------------------------------------


def test_check_looks_at_everything_even_where_the_settings_are_wrong(folder: Path) -> None:
    (folder / "connector.toml").write_text('participant = "urn:odense"\ndevelopment = 1\n')
    (folder / "policies" / "open.yaml").write_text("permission:\n  - acton: use\n")
    found = "\n".join(map(str, files.check(folder, {})))
    assert "connector.toml:2:15: error config-value development is 1" in found
    assert "policies/open.yaml:2:5: error odrl-" in found or "policies/open.yaml:2:12: error odrl-" in found


def test_check_reads_the_keys_and_the_trust_file(folder: Path) -> None:
    (folder / "connector.toml").write_text('participant = "urn:odense"\ndevelopment = true\n')
    missing = "\n".join(map(str, files.check(folder, {})))
    assert f"{folder}/keys: error keys cannot read the key folder" in missing
    assert f"{folder}/trust.toml: error " in missing
    Keys.generate(folder / "keys", datetime(2026, 11, 23, tzinfo=UTC))
    (folder / "trust.toml").write_text("")
    assert files.check(folder, {}) == []
    (folder / "trust.toml").write_text("[[participant]]\nid = 3\n")
    assert f"{folder}/trust.toml:2:" in "\n".join(map(str, files.check(folder, {})))
