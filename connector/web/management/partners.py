"""Whom this connector trusts, so that a program need not be told a partner's address (EDC has no such list)."""

from __future__ import annotations

from connector.web.management.jsonld import Node
from connector.web.management.operation import Call, Operation, Parts


async def listed(parts: Parts, call: Call) -> list[Node]:
    return [
        {
            "@id": partner.id,
            "@type": "Partner",
            "name": partner.name or None,
            "address": partner.dsp.rstrip("/") if partner.dsp else None,
            "spatial": partner.spatial,
        }
        for partner in parts.partners()
    ]


OPERATIONS = (
    Operation("GET", "/partners", listed, "List the participants of the trust file", response="Partner", many=True),
)
