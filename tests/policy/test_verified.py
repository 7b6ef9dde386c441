"""Later versions of claims renew or tighten; what would loosen has no effect, whenever it is looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy.test_compile_properties import CONTROLS, DEPLOYMENTS, SURROUNDINGS, compiled, estates, good_claims
from tests.policy.test_compile_properties import allowed as reached
from tests.policy.test_compile_properties import claims as made_claims

from trunkline.catalog.controls import ControlValue
from trunkline.clock import as_nanos
from trunkline.estate.claims import Basis, Claim, Evidence
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.policy.compile import compile_estate
from trunkline.policy.sources import Source, trace
from trunkline.policy.surroundings import Surroundings
from trunkline.policy.verified import Version, Weight, overlay, weigh

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW = as_nanos(TODAY)


def fresh(value: ControlValue, basis: Basis = Basis.CONTRACT, **fields: Any) -> Claim:
    evidence, expires = Evidence("Seen again"), TODAY + timedelta(days=365)
    made = Claim(value, basis, evidence=evidence, verified_at=TODAY, expires=expires)
    return msgspec.structs.replace(made, **fields)


def version(deployment: str, control: str, claim: Claim, number: int = 1, at: int = NOW) -> Version:
    return Version(deployment, control, number, claim, at)


@pytest.mark.parametrize(
    ("claim", "control", "value", "basis", "weight"),
    [
        ("gpt-reserved", "training_use", "never", "contract", Weight.RENEWS),
        ("gpt-reserved", "training_use", "never", "published_default", Weight.RENEWS),
        ("gpt-reserved", "training_use", "never", "enforced_setting", Weight.LOOSENS),
        ("gpt-reserved", "training_use", "opt_out", "contract", Weight.TIGHTENS),
        ("gpt-reserved", "training_use", "unknown", "unverified", Weight.TIGHTENS),
        ("gpt-reserved", "abuse_log_retention_days", 30, "enforced_setting", Weight.TIGHTENS),
        ("gpt-saas", "training_use", "never", "published_default", Weight.RENEWS),
        ("gpt-saas", "training_use", "never", "contract", Weight.LOOSENS),
        ("gpt-saas", "human_review", "never", "published_default", Weight.LOOSENS),
        ("gpt-saas", "network", "private_link", "unverified", Weight.LOOSENS),
        ("gpt-saas", "network", "unknown", "unverified", Weight.TIGHTENS),
        ("mistral-house", "network", "public", "operator_run", Weight.TIGHTENS),
        ("mistral-house", "network", "loopback", "operator_run", Weight.TIGHTENS),
        ("smol", "training_use", "always", "operator_run", Weight.TIGHTENS),
        ("smol", "certifications", ("iso27001",), "operator_run", Weight.LOOSENS),
    ],
)
def test_a_version_renews_tightens_or_loosens(
    acme: Estate,
    surroundings: Surroundings,
    claim: str,
    control: str,
    value: ControlValue,
    basis: str,
    weight: Weight,
) -> None:
    weighed = weigh(acme, surroundings.vendors, claim, control, fresh(value, Basis(basis)), NOW)
    assert weighed.weight is weight, weighed.why
    assert bool(weighed.why) is (weight is Weight.LOOSENS)
    if weighed.why and "nothing is claimed" not in weighed.why:
        assert weighed.why.startswith("what the vendor publishes" if claim == "gpt-saas" else "the estate's file")


def test_what_the_file_knows_worse_of_an_engine_is_not_taken_back_by_a_version(
    acme: Estate, surroundings: Surroundings
) -> None:
    worse = msgspec.structs.replace(
        acme.deployments["smol"], controls={"training_use": Claim("opt_out", Basis.OPERATOR_RUN)}
    )
    estate = msgspec.structs.replace(acme, deployments={**acme.deployments, "smol": worse})
    better = fresh("never", Basis.OPERATOR_RUN)
    assert weigh(estate, surroundings.vendors, "smol", "training_use", better, NOW).weight is Weight.LOOSENS
    overlaid = overlay(estate, surroundings.vendors, [version("smol", "training_use", better)])
    assert allowed(overlaid.estate, surroundings) == allowed(estate, surroundings)


def allowed(estate: Estate, surroundings: Surroundings, now: int = NOW) -> set[tuple[str, str, str]]:
    return granted(compile_estate(estate, surroundings, now))


def granted(snapshot: Snapshot) -> set[tuple[str, str, str]]:
    return {
        (name, data_class, endpoint.deployment)
        for name, offer in snapshot.offers["acme"].items()
        for data_class, decision in offer.decisions.items()
        for endpoint in (*decision.all_allowed, *decision.unconfigured)
    }


def test_a_renewal_goes_on_where_the_file_has_run_out(acme: Estate, surroundings: Surroundings) -> None:
    later = as_nanos(datetime(2028, 1, 1, tzinfo=UTC))
    control = "training_use"
    renewed = fresh("never", verified_at=datetime(2027, 12, 1, tzinfo=UTC), expires=datetime(2028, 12, 1, tzinfo=UTC))
    overlaid = overlay(acme, surroundings.vendors, [version("gpt-reserved", control, renewed, at=later)])
    use = ("general-chat", "internal", "gpt-reserved")
    assert use not in allowed(acme, surroundings, later)
    assert use in allowed(overlaid.estate, surroundings, later)
    assert overlaid.verified == {("gpt-reserved", control)}


def test_a_tightening_is_in_force_and_comes_from_a_verification(acme: Estate, surroundings: Surroundings) -> None:
    overlaid = overlay(acme, surroundings.vendors, [version("gpt-reserved", "training_use", fresh("opt_out"))])
    assert ("general-chat", "internal", "gpt-reserved") in allowed(acme, surroundings)
    assert ("general-chat", "internal", "gpt-reserved") not in allowed(overlaid.estate, surroundings)
    found = trace(overlaid.estate, "gpt-reserved", surroundings.vendors, NOW, overlaid.verified)
    assert [one.source for one in found["training_use"]] == [Source.VERIFIED]
    assert [one.source for one in found["network"]] == [Source.DECLARED]


def test_the_newest_version_counts(acme: Estate, surroundings: Surroundings) -> None:
    versions = [
        version("gpt-reserved", "training_use", fresh("never"), number=2),
        version("gpt-reserved", "training_use", fresh("opt_out"), number=1),
    ]
    overlaid = overlay(acme, surroundings.vendors, versions)
    assert overlaid.estate.deployments["gpt-reserved"].controls["training_use"].value == "never"


def test_a_file_that_was_verified_later_goes_before_a_version(acme: Estate, surroundings: Surroundings) -> None:
    old = version("gpt-reserved", "training_use", fresh("opt_out"), at=as_nanos(datetime(2026, 9, 1, tzinfo=UTC)))
    overlaid = overlay(acme, surroundings.vendors, [old])
    assert overlaid.estate == acme
    assert [void.why for void in overlaid.void] == ["the estate's file was verified later"]


def test_a_version_of_the_day_the_file_was_verified_counts(acme: Estate, surroundings: Surroundings) -> None:
    of_that_day = version(
        "gpt-reserved", "training_use", fresh("opt_out"), at=as_nanos(datetime(2026, 10, 2, 1, tzinfo=UTC))
    )
    assert overlay(acme, surroundings.vendors, [of_that_day]).verified


def test_a_version_that_a_new_file_makes_looser_than_itself_loses_its_effect(
    acme: Estate, surroundings: Surroundings
) -> None:
    renewal = version("gpt-reserved", "training_use", fresh("never"))
    worse = msgspec.structs.replace(acme.deployments["gpt-reserved"].controls["training_use"], value="opt_out")
    reserved = acme.deployments["gpt-reserved"]
    changed = msgspec.structs.replace(reserved, controls={**reserved.controls, "training_use": worse})
    estate = msgspec.structs.replace(acme, deployments={**acme.deployments, "gpt-reserved": changed})
    overlaid = overlay(estate, surroundings.vendors, [renewal])
    assert overlaid.estate.deployments["gpt-reserved"].controls["training_use"].value == "opt_out"
    assert "loosen" in overlaid.void[0].why


def test_a_version_for_a_deployment_that_is_gone_is_void(acme: Estate, surroundings: Surroundings) -> None:
    overlaid = overlay(acme, surroundings.vendors, [version("gone", "training_use", fresh("never"))])
    assert "no deployment gone" in overlaid.void[0].why


@settings(max_examples=150, deadline=None)
@given(estate=estates(), data=st.data())
def test_over_made_up_estates_no_version_allows_what_the_file_refuses(estate: Estate, data: st.DataObject) -> None:
    made = st.builds(version, st.sampled_from(DEPLOYMENTS), st.sampled_from(CONTROLS), made_claims | good_claims)
    overlaid = overlay(estate, SURROUNDINGS.vendors, data.draw(st.lists(made, max_size=6)))
    current = undated(estate)
    before, after = reached(compiled(current)), reached(compiled(overlaid.estate))
    assert {one for one, tiers in after.items() for _ in tiers} <= set(before)
    for where, tiers in after.items():
        assert {one for tier in tiers for one in tier} <= {one for tier in before[where] for one in tier}


def undated(estate: Estate) -> Estate:
    """The estate with all its claims verified just now: a renewal may go that far, and no further."""
    deployments = {
        name: msgspec.structs.replace(
            one,
            controls={
                control: msgspec.structs.replace(claim, verified_at=TODAY, expires=None)
                for control, claim in one.controls.items()
            },
        )
        for name, one in estate.deployments.items()
    }
    return msgspec.structs.replace(estate, deployments=deployments)


values = st.sampled_from(["never", "opt_out", "flagged_only", "eu", "us", "on_prem", "private_link", "unknown", 0, 30])
controls = st.sampled_from(
    ["training_use", "human_review", "network", "residency_processing", "abuse_log_retention_days", "certifications"]
)
claims = st.builds(
    Claim,
    value=values,
    basis=st.sampled_from(list(Basis)),
    verified_at=st.none() | st.just(TODAY),
    expires=st.none() | st.just(TODAY + timedelta(days=30)),
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_version_ever_allows_what_the_current_file_refuses(
    acme: Estate, surroundings: Surroundings, data: st.DataObject
) -> None:
    names = st.sampled_from([*acme.deployments, "gone"])
    versions = data.draw(st.lists(st.builds(version, names, controls, claims, st.integers(1, 3)), max_size=6))
    overlaid = overlay(acme, surroundings.vendors, versions)
    assert allowed(overlaid.estate, surroundings) <= allowed(acme, surroundings)
