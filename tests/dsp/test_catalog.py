"""The offering: which datasets and offers a caller sees, and what they look like on the wire (DSP 2025-1, 5 and 6)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from connector.dsp.catalog import Offering
from connector.dsp.criteria import Query
from connector.dsp.offering import EDC, Asset, ContractDefinition, Criterion, PolicyDefinition
from connector.errors import Malformed
from connector.identity.participant import Participant
from connector.odrl import canonical, read
from connector.odrl.model import Json, PolicyKind

NOW = datetime(2026, 11, 23, tzinfo=UTC)
AARHUS = Participant("urn:hospital:aarhus")
ODENSE = Participant("urn:hospital:odense")
URL = "https://connector.odense.example/dsp/2025-1"
SCHEMAS = Path(__file__).parents[2].parent / "shared" / "ref" / "dsp" / "2025-1"


def policy(id: str, *constraints: dict[str, Json], **rule: Json) -> PolicyDefinition:
    permission = {"action": "use", **({"constraint": constraints} if constraints else {}), **rule}
    made = read.policy({"@type": "Set", "@id": id, "permission": [permission]})
    assert made.problems == ()
    return PolicyDefinition(id, made)


def constraint(left: str, operator: str, right: Json) -> dict[str, Json]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


ANYONE = policy("anyone")
ONLY_AARHUS = policy("only-aarhus", constraint("recipient", "eq", AARHUS.id))
UNTIL_2026 = policy("until-2026", constraint("dateTime", "lt", "2026-12-31T00:00:00Z"))
POLICIES = (ANYONE, ONLY_AARHUS, UNTIL_2026)


def asset(id: str, **properties: Json) -> Asset:
    return Asset(id, {EDC + name: value for name, value in properties.items()}, data_address={"type": "File"})


def define(id: str, contract: str, *selector: Criterion, access: str = "anyone", **more: Any) -> ContractDefinition:
    return ContractDefinition(id, access, contract, selector, **more)


def is_id(id: str) -> Criterion:
    return Criterion(EDC + "id", "=", id)


def build(
    assets: Sequence[Asset], definitions: Sequence[ContractDefinition], policies: Sequence[PolicyDefinition] = POLICIES
) -> Offering:
    return Offering.build(assets, policies, definitions, endpoint_url=URL)


def seen(offering: Offering, caller: Participant = AARHUS, **query: Any) -> list[dict[str, Any]]:
    return [json.loads(data) for data in offering.page(caller, NOW, Query(**query)).datasets]


def ids(offering: Offering, caller: Participant = AARHUS, **query: Any) -> list[str]:
    return [dataset["@id"] for dataset in seen(offering, caller, **query)]


# --- on the wire -----------------------------------------------------------------------------------------------------


def test_a_dataset_has_its_offers_and_two_ways_to_get_it() -> None:
    """DSP-039, DSP-040, DSP-041, DSP-042, DSP-043."""
    (dataset,) = seen(build([asset("trial")], [define("d", "only-aarhus", is_id("trial"))]))
    (offer,) = dataset.pop("hasPolicy")
    assert dataset == {
        "@id": "trial",
        "@type": "Dataset",
        "distribution": [
            {
                "@type": "Distribution",
                "format": name,
                "accessService": {
                    "@id": URL + "#service",
                    "@type": "DataService",
                    "endpointDescription": "dspace:connector",
                    "endpointURL": URL,
                },
            }
            for name in ("HttpData-PULL", "HttpData-PUSH")
        ],
    }
    assert UUID(offer.pop("@id"))
    assert offer == {
        "@type": "Offer",
        "permission": [
            {
                "action": "use",
                "constraint": [
                    {
                        "leftOperand": "http://www.w3.org/ns/odrl/2/recipient",
                        "operator": "eq",
                        "rightOperand": AARHUS.id,
                    }
                ],
            }
        ],
    }


def test_an_offer_in_a_catalogue_has_no_target_and_the_offer_we_hold_has_one() -> None:
    """DSP-043: implied by the dataset there; DSP-057: needed in a message."""
    targeted = replace(ANYONE, policy=replace(ANYONE.policy, target="something-else"))
    offering = build([asset("trial")], [define("d", "anyone", is_id("trial"))], [targeted])
    (dataset,) = seen(offering)
    (offer,) = dataset["hasPolicy"]
    assert "target" not in offer
    held = offering.offer(offer["@id"], "trial")
    assert held is not None
    assert (held.policy.kind, held.policy.uid, held.policy.target) == (PolicyKind.OFFER, offer["@id"], "trial")
    assert canonical.same_terms(held.policy, ANYONE.policy)
    assert held.definition_id == "d"


def test_a_description_uses_the_prefixes_of_the_dsp_context_and_else_full_iris() -> None:
    described = Asset(
        "trial",
        {
            "http://purl.org/dc/terms/title": {"@value": "Trial", "@language": "en"},
            "http://www.w3.org/ns/dcat#keyword": ["cancer", "survival"],
            EDC + "name": "trial",
            "plain": 5,
            "http://purl.org/dc/terms/publisher": {
                "@type": "http://xmlns.com/foaf/0.1/Agent",
                "http://xmlns.com/foaf/0.1/name": "Odense",
            },
            "http://healthdataportal.eu/ns/health#hasStructuredData": True,
            EDC + "large": 2**80,
            EDC + "nothing": None,
            EDC + "empty": [],
        },
    )
    (dataset,) = seen(build([described], [define("d", "anyone")]))
    assert {key: value for key, value in dataset.items() if key not in ("@id", "@type", "hasPolicy", "distribution")} == {
        "dct:title": {"@value": "Trial", "@language": "en"},
        "dcat:keyword": ["cancer", "survival"],
        EDC + "name": "trial",
        EDC + "plain": 5,
        EDC + "large": {"@value": str(2**80), "@type": "http://www.w3.org/2001/XMLSchema#integer"},
        "dct:publisher": {"@type": "http://xmlns.com/foaf/0.1/Agent", "http://xmlns.com/foaf/0.1/name": "Odense"},
        "http://healthdataportal.eu/ns/health#hasStructuredData": True,
    }


@pytest.mark.parametrize(
    "name",
    [
        "@id",
        "@context",
        "dcat:distribution",
        "http://www.w3.org/ns/dcat#distribution",
        "odrl:hasPolicy",
        "http://www.w3.org/ns/odrl/2/hasPolicy",
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
    ],
)
def test_a_property_cannot_change_what_is_offered(name: str) -> None:
    """The catalogue's own words come from the definitions alone (DSP-039)."""
    (plain,) = seen(build([Asset("trial")], [define("d", "anyone")]))
    (with_property,) = seen(build([Asset("trial", {name: {"@id": "urn:other"}})], [define("d", "anyone")]))
    assert with_property == plain


def test_private_properties_and_the_data_address_never_leave() -> None:
    hidden = Asset("trial", {}, {EDC + "ward": "private-7"}, {"type": "HttpData", "baseUrl": "https://secret.example"})
    page = build([hidden], [define("d", "anyone")]).page(AARHUS, NOW, Query())
    assert b"private-7" not in page.datasets[0]
    assert b"secret.example" not in page.datasets[0]


def test_a_catalogue_passes_the_schemas_of_the_protocol() -> None:
    """DSP-036..043 by the official schemas (DSP-093: those that cannot be resolved are not these)."""
    if not SCHEMAS.is_dir():
        pytest.skip("../shared/ref with the official schemas is not at hand")
    import jsonschema_rs

    schemas = [json.loads(file.read_bytes()) for file in SCHEMAS.glob("*/*-schema.json")]
    registry = jsonschema_rs.Registry([(schema["$id"], schema) for schema in schemas])
    root = {schema["$id"].rpartition("/")[2]: schema for schema in schemas}
    described = replace(asset("a", name="A"), properties={EDC + "name": "A", "http://purl.org/dc/terms/title": "A"})
    offering = build([described, asset("b")], [define("d", "only-aarhus"), define("e", "anyone", is_id("a"))])
    context = ["https://w3id.org/dspace/2025/1/context.jsonld"]
    datasets = seen(offering)
    for dataset in datasets:
        validator = jsonschema_rs.validator_for(root["dataset-schema.json"], registry=registry)
        validator.validate({"@context": context, **dataset})
    service = {"@id": URL + "#service", "@type": "DataService", "endpointURL": URL}
    catalog = {"@context": context, "@id": URL, "@type": "Catalog", "participantId": "p", "service": [service]}
    jsonschema_rs.validator_for(root["catalog-schema.json"], registry=registry).validate({**catalog, "dataset": datasets})


# --- offers ----------------------------------------------------------------------------------------------------------


def test_an_asset_that_no_definition_selects_is_in_nobodys_catalogue() -> None:
    assert ids(build([asset("a"), asset("b")], [define("d", "anyone", is_id("b"))])) == ["b"]


def test_offer_ids_are_stable_and_change_with_the_terms() -> None:
    """DSP-043: unique to one dataset; the same after a restart."""
    assets, definitions = [asset("a"), asset("b")], [define("d", "anyone"), define("e", "only-aarhus")]

    def offers(policies: Sequence[PolicyDefinition]) -> list[str]:
        return [offer["@id"] for dataset in seen(build(assets, definitions, policies)) for offer in dataset["hasPolicy"]]

    first = offers(POLICIES)
    assert len(set(first)) == 4
    assert offers(POLICIES) == first
    changed = offers((ANYONE, policy("only-aarhus", constraint("recipient", "isAnyOf", [AARHUS.id, ODENSE.id]))))
    assert [a == b for a, b in zip(first, changed, strict=True)] == [True, False, True, False]


def test_a_fixed_offer_id_is_used_for_one_dataset_and_never_for_two() -> None:
    """DSP-043."""
    one = build([asset("a")], [define("d", "anyone", offer_id="urn:offer:1")])
    assert one.offer("urn:offer:1", "a") is not None
    assert one.offer("urn:offer:1", "b") is None
    two = build([asset("a"), asset("b")], [define("d", "anyone", offer_id="urn:offer:1")])
    assert two.offer("urn:offer:1", "a") is None


def test_selectors_choose_assets_by_every_criterion() -> None:
    assets = [asset("a", topic="x", size=1), asset("b", topic="x", size=9), asset("c", topic="y", size=9)]
    selector = (Criterion(EDC + "topic", "=", "x"), Criterion(EDC + "size", ">", 5))
    assert ids(build(assets, [define("d", "anyone", *selector)])) == ["b"]


def test_a_selector_may_use_private_properties_and_a_callers_filter_may_not() -> None:
    private = Asset("a", {}, {EDC + "ward": "7"})
    on_ward = Criterion(EDC + "ward", "=", "7")
    offering = build([private], [define("d", "anyone", on_ward)])
    assert ids(offering) == ["a"]
    assert ids(offering, filters=(on_ward,)) == []


def test_what_cannot_be_understood_offers_nothing_and_is_named() -> None:
    bad = PolicyDefinition("bad", read.policy({"@id": "bad", "permission": [{"action": "fly"}]}))
    definitions = [
        define("d", "anyone"),
        define("e", "bad"),
        define("f", "gone"),
        define("g", "anyone", Criterion("id", "?", 1)),
    ]
    offering = build([asset("a")], definitions, [ANYONE, bad])
    (dataset,) = seen(offering)
    assert len(dataset["hasPolicy"]) == 1
    said = "\n".join(map(str, offering.problems))
    assert "contract definition e offers nothing: policy bad is missing or cannot be enforced" in said
    assert "contract definition f offers nothing: policy gone" in said
    assert "contract definition g offers nothing: operator '?' is not known" in said


# --- who sees what -----------------------------------------------------------------------------------------------------


def test_an_access_policy_hides_a_dataset_from_others() -> None:
    """DSP-046."""
    offering = build(
        [asset("a"), asset("b")], [define("d", "anyone", is_id("a")), define("e", "anyone", access="only-aarhus")]
    )
    assert ids(offering, AARHUS) == ["a", "b"]
    assert ids(offering, ODENSE) == ["a"]
    assert offering.dataset(ODENSE, NOW, "b") is None
    assert offering.dataset(AARHUS, NOW, "b") is not None
    assert len(seen(offering, AARHUS)[0]["hasPolicy"]) == 2
    assert len(seen(offering, ODENSE)[0]["hasPolicy"]) == 1


def test_an_offer_that_could_never_be_agreed_is_hidden() -> None:
    offering = build([asset("a")], [define("d", "only-aarhus")])
    assert ids(offering, AARHUS) == ["a"]
    assert ids(offering, ODENSE) == []


def test_an_offer_whose_time_is_over_is_hidden() -> None:
    offering = build([asset("a")], [define("d", "until-2026")])
    assert offering.page(AARHUS, NOW, Query()).datasets
    assert not offering.page(AARHUS, NOW + timedelta(days=100), Query()).datasets


def test_what_the_caller_has_yet_to_declare_counts_as_possible() -> None:
    research = policy("research", constraint("purpose", "eq", "dpv:ScientificResearch"))
    offering = build([asset("a")], [define("d", "research", access="research")], [research])
    assert ids(offering, AARHUS) == ["a"]


def test_a_purpose_that_the_law_forbids_sees_nothing() -> None:
    """EHDS, Article 54: no policy can allow it, not even one that allows all."""
    from connector.odrl.purposes import forbidden_purposes

    forbidden = replace(AARHUS, claims={"purpose": sorted(forbidden_purposes())[0]})
    offering = build([asset("a")], [define("d", "anyone")])
    assert ids(offering, forbidden) == []
    assert offering.dataset(forbidden, NOW, "a") is None


# --- queries -----------------------------------------------------------------------------------------------------------

MANY = [asset(f"a{number}", size=number, name=f"N{number % 3}", tags=["x", str(number)]) for number in range(9)]
ALL = build(MANY, [define("d", "anyone")])


def test_pages_follow_each_other_without_gap_or_overlap() -> None:
    """DSP-047."""
    pages = [ALL.page(AARHUS, NOW, Query(offset=offset, limit=4)) for offset in (0, 4, 8)]
    assert [len(page.datasets) for page in pages] == [4, 4, 1]
    assert [page.more for page in pages] == [True, True, False]
    assert [json.loads(d)["@id"] for page in pages for d in page.datasets] == [one.id for one in MANY]


def test_paging_counts_only_what_the_caller_may_see() -> None:
    hidden = build(MANY, [define("d", "only-aarhus"), *(define(f"e{n}", "anyone", is_id(f"a{n}")) for n in (2, 5, 7))])
    page = hidden.page(ODENSE, NOW, Query(offset=1, limit=2))
    assert [json.loads(data)["@id"] for data in page.datasets] == ["a5", "a7"]
    assert not page.more


@pytest.mark.parametrize(
    "left, operator, right, found",
    [
        ("id", "=", "a3", "a3"),
        (EDC + "id", "=", "a3", "a3"),
        (EDC + "id", "in", ["a1", "a3", "zz"], "a1 a3"),
        (EDC + "id", "!=", "a3", "a0 a1 a2 a4 a5 a6 a7 a8"),
        (EDC + "size", "=", 4, "a4"),
        (EDC + "size", "=", 4.0, "a4"),
        (EDC + "size", "=", "4", ""),
        (EDC + "size", ">", 6, "a7 a8"),
        (EDC + "size", ">=", 7, "a7 a8"),
        (EDC + "size", "<", 1, "a0"),
        (EDC + "size", "<=", 0, "a0"),
        (f"'{EDC}size'", "=", 2, "a2"),
        (EDC + "name", "like", "N_", "a0 a1 a2 a3 a4 a5 a6 a7 a8"),
        (EDC + "name", "like", "n%", ""),
        (EDC + "name", "ilike", "%n1", "a1 a4 a7"),
        (EDC + "name", "not in", ["N0", "N1"], "a2 a5 a8"),
        (EDC + "tags", "contains", "5", "a5"),
        ("size", "=", 4, ""),  # the short name finds nothing, as in EDC
        (EDC + "gone", "!=", 4, ""),  # what is not there satisfies nothing
    ],
)
def test_filters_are_edcs_criteria(left: str, operator: str, right: Json, found: str) -> None:
    """DSP-031, management-api.md "QuerySpec"."""
    assert " ".join(ids(ALL, filters=(Criterion(left, operator, right),))) == found


@pytest.mark.parametrize("operator, right", [("~", 1), ("in", "a"), ("not in", 3), ("like", 5), ("ilike", ["%"])])
def test_a_filter_that_is_not_understood_is_refused_even_where_nothing_is_offered(operator: str, right: Json) -> None:
    """DSP-031."""
    for offering in (ALL, build([], [])):
        with pytest.raises(Malformed, match="operator"):
            offering.page(AARHUS, NOW, Query((Criterion("id", operator, right),)))


def test_sorting_is_by_any_property_in_either_order() -> None:
    assert ids(ALL, sort=EDC + "size", descending=True, limit=3) == ["a8", "a7", "a6"]
    assert ids(ALL, sort=EDC + "name", limit=4) == ["a0", "a3", "a6", "a1"]
    mixed = build([asset("a", x="text"), asset("b", x=3), asset("c"), asset("d", x=[1])], [define("d", "anyone")])
    assert ids(mixed, sort=EDC + "x") == ["c", "b", "d", "a"]


def test_of_two_records_with_one_id_the_first_counts() -> None:
    """Files come before the store."""
    (dataset,) = seen(build([asset("a", name="file"), asset("a", name="store")], [define("d", "anyone")]))
    assert dataset[EDC + "name"] == "file"


def test_a_reader_of_json_ld_finds_every_property_as_the_file_said_it() -> None:
    """The dataset under the DSP context expands to what the properties by themselves expand to (DSP-002)."""
    from connector import files
    from connector.assets import shipped
    from connector.config import Settings
    from connector.dsp import codec
    from connector.jsonld.document import expand

    published = files.load(Settings(shipped("catalog").parent, "urn:odense"))
    offering = Offering.build(published.assets, published.policies, published.definitions, endpoint_url=URL)
    entry = offering.dataset(AARHUS, NOW, "bed-occupancy")
    assert entry is not None
    (seen_by_reader,) = expand(json.loads(codec.write_dataset(entry)))
    (described,) = expand(dict(offering.assets["bed-occupancy"].properties))
    own = {"@id", "@type", "http://www.w3.org/ns/odrl/2/hasPolicy", "http://www.w3.org/ns/dcat#distribution"}
    assert seen_by_reader.keys() == own | described.keys()
    assert {iri: seen_by_reader[iri] for iri in described} == described
    formats = [
        d["http://purl.org/dc/terms/format"][0]["@id"] for d in seen_by_reader["http://www.w3.org/ns/dcat#distribution"]
    ]
    assert [name.rpartition("HttpData-")[2] for name in formats] == ["PULL", "PUSH"]


def test_one_asset_more_or_less_gives_what_building_anew_gives() -> None:
    """`with_asset` is only a shorter way: assets added, changed and taken away, beside `build`."""
    selects = [define("all", "anyone", Criterion(EDC + "name", "!=", "hidden")), define("one", "only-aarhus", is_id("a3"))]
    assets = [asset(f"a{n}", name="hidden" if n == 2 else f"n{n}") for n in range(5)]
    changed = asset("a2", name="shown")

    def same(one: Offering, other: Offering) -> bool:
        offers = [{key: offer.policy for key, offer in made._offers.items()} for made in (one, other)]
        return seen(one) == seen(other) and dict(one.assets) == dict(other.assets) and offers[0] == offers[1]

    grown = build([], selects)
    for one in reversed(assets):
        grown = grown.with_asset(one.id, one)
    assert same(grown, build(assets, selects))
    assert same(grown.with_asset("a2", changed), build([*assets[:2], changed, *assets[3:]], selects))
    assert same(grown.with_asset("a1", None), build([assets[0], *assets[2:]], selects))
