"""A partner that is authenticated and means harm: what it may reach of what is not meant for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .conftest import POLICIES, Pair, publish, running, settings, until


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


async def test_terms_said_a_thousand_times_are_agreed_in_the_providers_own_words(pair: Pair) -> None:
    """The same terms by content; but each access would judge every repetition, inside a transaction."""
    shown = await pair.offer("twice")
    asked = await pair.negotiate("twice", terms=replace(shown, rules=shown.rules * 1000))
    done = await until(pair.consumer.negotiations.get, asked, "FINALIZED")
    agreement = await pair.provider.store.read(lambda tx: tx.agreements.get(str(done.agreement_id)))  # type: ignore[attr-defined]
    assert agreement is not None
    assert len(agreement.policy.rules) == 1


async def test_a_refusal_that_quotes_a_partner_is_kept_short(pair: Pair) -> None:
    shown = await pair.offer("twice")
    known = shown.rules[0].constraints[0]
    unknown = tuple(replace(known, left=f"urn:{n}" + "x" * 1500) for n in range(20))  # type: ignore[call-arg]
    asked = await pair.negotiate("twice", terms=replace(shown, rules=(replace(shown.rules[0], constraints=unknown),)))
    ended = await until(pair.consumer.negotiations.get, asked, "TERMINATED")
    assert ended.cause is not None
    assert "understood" in ended.cause.detail
    assert len(ended.cause.detail) <= 1000
    provided = await pair.provider.negotiations.get(ended.peer_pid or "")
    assert provided.cause is not None
    assert len(provided.cause.detail) <= 1000
