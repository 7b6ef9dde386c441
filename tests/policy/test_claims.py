from __future__ import annotations

from datetime import UTC, date, datetime

from trunkline.catalog.vendor import PublishedControl, Vendor
from trunkline.clock import as_nanos
from trunkline.estate.claims import Basis, Claim
from trunkline.estate.deployments import Deployment, Engine, Pattern
from trunkline.policy.claims import ENGINE_CLAIMS, gather_claims

NOW = as_nanos(datetime(2026, 11, 22, 12, tzinfo=UTC))
PUBLISHED = PublishedControl(
    value="flagged_only",
    title="Terms",
    quote="Flagged prompts are read.",
    reference="terms/3",
    verified=date(2026, 11, 21),
    expires=date(2027, 11, 21),
)
VENDOR = Vendor(id="v", name="V", controls={"human_review": PUBLISHED, "subprocessors": PUBLISHED})


def deployment(engine: Engine | None = None, **controls: Claim) -> Deployment:
    return Deployment(model="v/m", pattern=Pattern.SAAS, boundary="b", engine=engine, controls=controls)


def test_what_a_vendor_publishes_is_a_claim_with_its_page_and_dates() -> None:
    (claim,) = gather_claims(deployment(), VENDOR, NOW)["human_review"]
    assert (claim.value, claim.basis) == ("flagged_only", Basis.PUBLISHED_DEFAULT)
    assert claim.evidence is not None
    assert (claim.evidence.title, claim.evidence.reference) == ("V: Terms", "terms/3")
    assert claim.verified_at == datetime(2026, 11, 21, tzinfo=UTC)
    assert claim.expires == datetime(2027, 11, 21, 23, 59, 59, 999999, tzinfo=UTC)


def test_what_the_estate_declares_stands_in_place_of_what_is_published() -> None:
    declared = Claim(value="never", basis=Basis.CONTRACT)
    assert gather_claims(deployment(human_review=declared), VENDOR, NOW)["human_review"] == (declared,)


def test_an_engine_has_what_the_exchange_asserts_and_nothing_that_a_vendor_publishes() -> None:
    claims = gather_claims(deployment(Engine()), VENDOR, NOW)
    assert {name: claim.value for name, (claim,) in claims.items()} == ENGINE_CLAIMS
    assert all(claim.basis is Basis.OPERATOR_RUN for (claim,) in claims.values())
    assert all(as_nanos(claim.verified_at) == NOW for (claim,) in claims.values() if claim.verified_at)
    assert all(claim.expires is None for (claim,) in claims.values())


def test_a_claim_declared_for_an_engine_counts_beside_the_asserted_one() -> None:
    declared = Claim(value="opt_out", basis=Basis.CONTRACT)
    claims = gather_claims(deployment(Engine(), training_use=declared), None, NOW)["training_use"]
    assert [claim.value for claim in claims] == ["opt_out", "never"]


def test_a_deployment_of_nobody_known_has_only_what_is_declared() -> None:
    assert gather_claims(deployment(), None, NOW) == {}
