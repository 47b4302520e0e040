"""Terms in plain words, from every spelling of the same policy."""

from __future__ import annotations

import pytest

from connector.client.terms import duties, terms
from connector.client.wire import plain, short

COMPACT = {
    "permission": [
        {
            "action": "use",
            "constraint": [
                {"leftOperand": "purpose", "operator": "isA", "rightOperand": "https://w3id.org/dpv/legal/eu/ehds#ScientificResearch"},
                {"leftOperand": "count", "operator": "lteq", "rightOperand": 2},
                {"or": [
                    {"leftOperand": "spatial", "operator": "eq", "rightOperand": "DK"},
                    {"leftOperand": "spatial", "operator": "eq", "rightOperand": "NL"},
                ]},
            ],
            "duty": [{"action": "delete"}],
        }
    ],
    "prohibition": [{"action": "distribute"}],
}  # fmt: skip
EDC = {
    "@context": {"odrl": "http://www.w3.org/ns/odrl/2/"},
    "odrl:permission": {
        "odrl:action": {"@id": "odrl:use"},
        "odrl:constraint": [
            {
                "odrl:leftOperand": {"@id": "odrl:purpose"},
                "odrl:operator": {"@id": "odrl:isA"},
                "odrl:rightOperand": {"@id": "eu-ehds:ScientificResearch"},
            },
            {
                "odrl:leftOperand": {"@id": "odrl:count"},
                "odrl:operator": {"@id": "odrl:lteq"},
                "odrl:rightOperand": {"@value": "2", "@type": "xsd:integer"},
            },
            {
                "odrl:or": {
                    "@list": [
                        {"odrl:leftOperand": "odrl:spatial", "odrl:operator": "odrl:eq", "odrl:rightOperand": "DK"},
                        {"odrl:leftOperand": "odrl:spatial", "odrl:operator": "odrl:eq", "odrl:rightOperand": "NL"},
                    ]
                }
            },
        ],
        "odrl:duty": {"odrl:action": {"@id": "odrl:delete"}},
    },
    "odrl:prohibition": {"odrl:action": {"@id": "odrl:distribute"}},
    "odrl:obligation": [],
}


@pytest.mark.parametrize("policy", [COMPACT, EDC], ids=["compact", "as EDC writes it"])
def test_a_policy_reads_the_same_in_either_spelling(policy: dict[str, object]) -> None:
    assert terms(policy) == [  # type: ignore[arg-type]
        "may use, if purpose is a ScientificResearch; used at most 2 times; (spatial is DK or spatial is NL)",
        "must not distribute",
    ]
    assert duties(policy) == ["must delete"]  # type: ignore[arg-type]


def test_an_instant_keeps_its_colons() -> None:
    until = {"leftOperand": "dateTime", "operator": "lt", "rightOperand": "2027-01-01T00:00:00Z"}
    assert terms({"permission": {"action": "use", "constraint": until}}) == ["may use, if until 2027-01-01T00:00:00Z"]


def test_a_foreign_term_stays_what_it_is() -> None:
    assert plain({"tx:policy": 1, "edc:state": "STARTED"}) == {"tx:policy": 1, "state": "STARTED"}
    assert short("urn:example:one/two") == "two"
