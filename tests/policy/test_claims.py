from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from trunkline.catalog.vendor import PublishedControl, Vendor, load_vendors
from trunkline.clock import as_datetime, as_nanos
from trunkline.estate.boundaries import Boundary
from trunkline.estate.claims import AppliesTo, Basis, Claim
from trunkline.estate.deployments import Deployment, Engine, Pattern
from trunkline.messages import Operation
from trunkline.policy.claims import ENGINE_CLAIMS, feature_claims, gather_claims

NOW = as_nanos(datetime(2026, 11, 22, 12, tzinfo=UTC))
PUBLISHED = PublishedControl(
    value="flagged_only",
    title="Terms",
    quote="Flagged prompts are read.",
    reference="terms/3",
    verified=date(2026, 11, 21),
    expires=date(2027, 11, 21),
)
BOUNDARY = Boundary(provider="v", owner="acme", region="swedencentral")
VENDOR = Vendor(id="v", name="V", controls={"human_review": PUBLISHED, "subprocessors": PUBLISHED})


def deployment(engine: Engine | None = None, **controls: Claim) -> Deployment:
    return Deployment(model="v/m", pattern=Pattern.SAAS, boundary="b", engine=engine, controls=controls)


def test_what_a_vendor_publishes_is_a_claim_with_its_page_and_dates() -> None:
    (claim,) = gather_claims(deployment(), BOUNDARY, VENDOR, NOW)["human_review"]
    assert (claim.value, claim.basis) == ("flagged_only", Basis.PUBLISHED_DEFAULT)
    assert claim.evidence is not None
    assert (claim.evidence.title, claim.evidence.reference) == ("V: Terms", "terms/3")
    assert claim.verified_at == datetime(2026, 11, 21, tzinfo=UTC)
    assert claim.expires == datetime(2027, 11, 21, 23, 59, 59, 999999, tzinfo=UTC)


def test_what_the_estate_declares_stands_in_place_of_what_is_published() -> None:
    declared = Claim(value="never", basis=Basis.CONTRACT)
    assert gather_claims(deployment(human_review=declared), BOUNDARY, VENDOR, NOW)["human_review"] == (declared,)


def test_an_engine_has_what_the_exchange_asserts_and_nothing_that_a_vendor_publishes() -> None:
    claims = gather_claims(deployment(Engine()), BOUNDARY, VENDOR, NOW)
    assert {name: claim.value for name, (claim,) in claims.items()} == ENGINE_CLAIMS
    assert all(claim.basis is Basis.OPERATOR_RUN for (claim,) in claims.values())
    assert all(as_nanos(claim.verified_at) == NOW for (claim,) in claims.values() if claim.verified_at)
    assert all(claim.expires is None for (claim,) in claims.values())


def test_a_claim_declared_for_an_engine_counts_beside_the_asserted_one() -> None:
    declared = Claim(value="opt_out", basis=Basis.CONTRACT)
    claims = gather_claims(deployment(Engine(), training_use=declared), BOUNDARY, None, NOW)["training_use"]
    assert [claim.value for claim in claims] == ["opt_out", "never"]


def test_a_deployment_of_nobody_known_has_only_what_is_declared() -> None:
    assert gather_claims(deployment(), BOUNDARY, None, NOW) == {}


AZURE = load_vendors()["azure-openai"]
BEDROCK = load_vendors()["bedrock"]


@pytest.mark.parametrize(("sku", "region", "processed"), [
    ("GlobalStandard", "swedencentral", "global"),
    ("GlobalBatch", "eastus", "global"),
    ("DataZoneStandard", "swedencentral", "eu"),
    ("DataZoneProvisionedManaged", "eastus2", "us"),
    ("DataZoneStandard", "uksouth", None),
    ("Standard", "westeurope", "westeurope"),
    ("ProvisionedManaged", "swedencentral", "swedencentral"),
    ("Standard", None, None),
    ("Standard", "atlantis", None),
    ("DeveloperTier", "swedencentral", "global"),
    (None, "swedencentral", None),
])  # fmt: skip
def test_the_kind_of_an_azure_deployment_and_its_region_say_where_data_is_processed(
    sku: str | None, region: str | None, processed: str | None
) -> None:
    boundary = Boundary(provider="azure-openai", owner="acme", region=region)
    held = msgspec.structs.replace(deployment(), sku=sku)
    claims = gather_claims(held, boundary, AZURE, NOW)
    found = [claim.value for claim in claims.get("residency_processing", ())]
    assert found == ([] if processed is None else [processed])


@pytest.mark.parametrize(("region", "stored"), [
    ("swedencentral", ["eu"]), ("eastus", ["us"]), ("norwayeast", ["no"]), ("global", []), (None, []),
])  # fmt: skip
def test_azure_keeps_data_in_the_geography_of_the_region(region: str | None, stored: list[str]) -> None:
    boundary = Boundary(provider="azure-openai", owner="acme", region=region)
    found = gather_claims(deployment(), boundary, AZURE, NOW).get("residency_at_rest", ())
    assert [claim.value for claim in found] == stored


def test_a_declared_claim_stands_in_place_of_what_the_sku_says() -> None:
    boundary = Boundary(provider="azure-openai", owner="acme", region="swedencentral")
    declared = Claim(value="us", basis=Basis.CONTRACT)
    held = msgspec.structs.replace(deployment(residency_processing=declared), sku="Standard")
    assert gather_claims(held, boundary, AZURE, NOW)["residency_processing"] == (declared,)


def mode(value: str, **more: Any) -> Claim:
    return Claim(**{"value": value, "basis": Basis.ENFORCED_SETTING, "verified_at": as_datetime(NOW), **more})


def test_a_retention_mode_that_is_claimed_brings_what_the_vendor_publishes_of_it() -> None:
    soon = as_datetime(NOW) + timedelta(days=1)
    claims = gather_claims(deployment(retention_mode=mode("none", expires=soon)), BOUNDARY, BEDROCK, NOW)
    (forced,) = claims["stored_forced_off"]
    assert (forced.value, forced.basis, forced.expires) == (True, Basis.PUBLISHED_DEFAULT, soon)
    lasting = gather_claims(deployment(retention_mode=mode("none")), BOUNDARY, BEDROCK, NOW)["stored_forced_off"]
    assert [claim.expires for claim in lasting] == [datetime(2027, 11, 21, 23, 59, 59, 999999, tzinfo=UTC)]
    review = gather_claims(deployment(retention_mode=mode("provider_review")), BOUNDARY, BEDROCK, NOW)
    assert [claim.value for claim in review["human_review"]] == ["possible"]


@pytest.mark.parametrize("void", [
    mode("none", expires=as_datetime(NOW)),
    mode("none", basis=Basis.UNVERIFIED),
    mode("none", basis=Basis.ATTESTED_PER_RESPONSE),
    mode("unknown"),
    mode("no such mode"),
    Claim(value=3, basis=Basis.CONTRACT),
])  # fmt: skip
def test_a_retention_mode_that_does_not_count_brings_nothing(void: Claim) -> None:
    assert "stored_forced_off" not in gather_claims(deployment(retention_mode=void), BOUNDARY, BEDROCK, NOW)


def applied(**to: tuple[str, ...]) -> Claim:
    return Claim(value="never", basis=Basis.CONTRACT, applies_to=AppliesTo(**to))


CHAT, EMBED = (Operation.CHAT,), (Operation.EMBEDDINGS,)


@pytest.mark.parametrize(("claim", "operations", "counts"), [
    (applied(), (), True),
    (applied(endpoints=("chat",)), CHAT, True),
    (applied(endpoints=("chat",)), EMBED, False),
    (applied(endpoints=("chat",)), (*CHAT, *EMBED), False),
    (applied(endpoints=("chat", "embeddings")), (*CHAT, *EMBED), True),
    (applied(endpoints=("chat",)), (), False),
    (applied(models=("v/m",)), CHAT, True),
    (applied(models=("v/*",)), CHAT, True),
    (applied(models=("w/*", "v/other")), CHAT, False),
    (applied(models=("w/*", "v/m")), CHAT, True),
])  # fmt: skip
def test_a_claim_counts_only_for_what_it_applies_to_and_else_the_vendors_does(
    claim: Claim, operations: tuple[Operation, ...], counts: bool
) -> None:
    (found,) = gather_claims(deployment(human_review=claim), BOUNDARY, VENDOR, NOW, operations)["human_review"]
    assert (found is claim) is counts
    assert found.value == ("never" if counts else "flagged_only")


def test_of_a_feature_only_claims_count_that_name_it() -> None:
    plain = Claim(value=0, basis=Basis.CONTRACT)
    covering = msgspec.structs.replace(plain, applies_to=AppliesTo(features=("files",)))
    openai = load_vendors()["openai"]
    held = feature_claims(deployment(app_state_retention_days=plain), BOUNDARY, None, "files")
    assert held == {"app_state_retention_days": (), "zero_data_retention": ()}
    published = feature_claims(deployment(app_state_retention_days=plain), BOUNDARY, openai, "files")
    assert [claim.value for claim in published["app_state_retention_days"]] == ["until_deleted"]
    named = feature_claims(deployment(app_state_retention_days=covering), BOUNDARY, openai, "files")
    assert named["app_state_retention_days"] == (covering,)
    elsewhere = msgspec.structs.replace(covering, applies_to=AppliesTo(features=("files",), models=("w/*",)))
    assert (
        feature_claims(deployment(app_state_retention_days=elsewhere), BOUNDARY, openai, "files")[
            "app_state_retention_days"
        ]
        == ()
    )
    engine = feature_claims(deployment(Engine()), BOUNDARY, openai, "files")
    assert engine["app_state_retention_days"] == ()


def test_a_feature_breaks_an_agreement_that_covers_plain_requests() -> None:
    openai = load_vendors()["openai"]
    for feature in ("background", "extended_prompt_cache", "files", "fine_tuning"):
        claims = feature_claims(deployment(), BOUNDARY, openai, feature)["zero_data_retention"]
        assert [claim.value for claim in claims] == ["unavailable"]
