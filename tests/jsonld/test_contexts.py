"""The contexts in `vocab/contexts/`: facts that equal the published ones, and never anything from the network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.errors import Malformed
from connector.jsonld import contexts
from tests.dsp.samples import SHARED

PUBLISHED = {
    contexts.DSP: "dspace-2025-1.jsonld",
    contexts.ODRL_PROFILE: "dspace-2025-1-odrl-profile.jsonld",
    contexts.DSP_2024: "dspace-2024-1.json",
    contexts.EDC_DSP: "dspace-edc-context-v1.jsonld",
    contexts.EDC_MANAGEMENT: "edc-management-context-v2.jsonld",
    contexts.ODRL: "odrl.jsonld",
    "https://w3id.org/edc/v0.0.1": "tx-edc-v1.jsonld",
}
# Types of other services than the management API; we hold what is needed
LEFT_OUT = {
    "AndConstraintStep", "AssociateDataspaceProfile", "AtomicConstraintStep", "CachedDocument", "CatalogAsset",
    "CelExpression", "CelExpressionTestRequest", "CelExpressionTestResponse", "DataspaceProfile", "DcpScope",
    "DiscoveryRequest", "DiscoveryResponse", "DutyStep", "OrConstraintStep", "ParticipantContext",
    "ParticipantContextConfig", "PermissionStep",
    "PolicyEvaluationPlan", "PolicyEvaluationPlanRequest", "ProhibitionStep", "SchemaValidatorRegistration", "TrustedIssuer",
    "XoneConstraintStep",
}  # fmt: skip


def published(iri: str) -> dict[str, Any]:
    folder = SHARED / "ref" / "contexts"
    if not folder.is_dir():
        pytest.skip("../shared/ref is not at hand")
    terms: dict[str, Any] = json.loads((folder / PUBLISHED[iri]).read_bytes())["@context"]
    return terms


def flattened(terms: Any) -> Any:
    if not isinstance(terms, dict):
        return terms
    own = {term: flattened(value) for term, value in terms.items()}
    imported = own.pop("@import", None)
    return {**flattened(published(imported)), **own} if imported else own


@pytest.mark.parametrize("iri", PUBLISHED)
def test_our_statement_of_a_context_equals_the_published_one_term_by_term(iri: str) -> None:
    theirs = flattened(published(iri))
    ours = contexts.context(iri)
    assert {term for term in theirs if term not in ours} == (LEFT_OUT if iri == contexts.EDC_MANAGEMENT else set())
    assert {term: theirs.get(term) for term in ours} == ours


def test_every_context_we_know_is_compared_and_has_a_source_and_a_version() -> None:
    assert contexts.known() == PUBLISHED.keys()
    index = json.loads((contexts.shipped("vocab") / "contexts" / "index.json").read_bytes())
    assert all(entry.keys() == {"file", "source", "version"} for entry in index.values())


def test_no_import_is_left_for_the_processor_to_resolve() -> None:
    """DSP-025: pyld changes imported contexts in place."""
    for iri in contexts.known():
        assert "@import" not in json.dumps(contexts.load(iri)["document"])
        assert contexts.load(iri)["tag"] == "static"


def test_an_unknown_context_is_refused_by_its_name() -> None:
    with pytest.raises(Malformed, match=r"https://example\.org/other\.jsonld"):
        contexts.load("https://example.org/other.jsonld")


def test_the_plain_twin_of_a_context_has_the_same_terms_with_full_iris_and_no_prefix() -> None:
    plain = contexts.context(contexts.DSP + contexts.PLAIN)
    assert "odrl" not in plain
    assert plain["Dataset"]["@id"] == "http://www.w3.org/ns/dcat#Dataset"
    assert plain["Dataset"]["@context"]["hasPolicy"]["@id"] == "http://www.w3.org/ns/odrl/2/hasPolicy"
    assert plain["ACCEPTED"] == "https://w3id.org/dspace/2025/1/ACCEPTED"
    assert plain["ContractRequestMessage"]["@context"]["operator"]["@type"] == "@vocab"
