"""A partner that is authenticated and means harm: what it may reach of what is not meant for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .conftest import POLICIES, publish, running, settings, until


async def test_an_offer_hidden_from_a_partner_cannot_be_negotiated_by_its_id(tmp_path: Path) -> None:
    """The dataset is in Aarhus's catalogue under strict terms; the lax ones are for somebody else, and their id is known."""
    odense = settings(tmp_path / "odense", "odense")
    publish(odense.root, "trial", "research")
    for name in ("open", "not-aarhus"):
        (odense.root / "policies" / f"{name}.yaml").write_text(f'"@type": Set\n"@id": urn:test:{name}\n{POLICIES[name]}')
    file = odense.root / "catalog" / "trial.jsonld"
    hidden = '{"policy": "open", "access": "not-aarhus", "@id": "urn:offer:for-somebody-else"}'
    file.write_text(file.read_text().replace('["trial-terms"]', f'["trial-terms", {hidden}]'))
    async with running(odense, settings(tmp_path / "aarhus", "aarhus")) as pair:
        shown = await pair.offer("trial")
        lax = replace(shown, uid="urn:offer:for-somebody-else", rules=(replace(shown.rules[0], constraints=()),))
        ended = await until(pair.consumer.negotiations.get, await pair.negotiate("trial", terms=lax), "TERMINATED")
        assert ended.cause is not None
        assert "is unknown" in ended.cause.detail
