"""Which claims count for a deployment, and from whom they come."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, time
from fnmatch import fnmatchcase

import msgspec

from trunkline.catalog.controls import ZONES, ControlValue, lies_in, surrounding
from trunkline.catalog.features import FEATURES
from trunkline.catalog.vendor import PublishedControl, Vendor
from trunkline.clock import as_datetime
from trunkline.estate.boundaries import Boundary
from trunkline.estate.claims import Basis, Claim, Evidence, Requirement
from trunkline.estate.deployments import Deployment
from trunkline.messages import Operation
from trunkline.policy.satisfy import satisfies

ENGINE_CLAIMS: dict[str, ControlValue] = {
    "training_use": "never",
    "human_review": "never",
    "network": "loopback",
    "residency_processing": "on_prem",
    "residency_at_rest": "on_prem",
    "app_state_retention_days": 0,
    "abuse_log_retention_days": 0,
    "chat_history_location": "none",
}
"""What holds for an engine that the exchange runs itself, as its child, on the loopback interface."""

MODE = "retention_mode"
DATA_ZONES = ("eu", "us")

Claims = dict[str, tuple[Claim, ...]]


def gather_claims(
    deployment: Deployment,
    boundary: Boundary,
    vendor: Vendor | None,
    now: int,
    operations: Collection[Operation] = (),
) -> Claims:
    """Return the claims that count for each control; a requirement must be met by all of them.

    What the estate declares stands in place of what the vendor publishes: an opt-out that was granted is worth more
    than the default, and one that ran out must not fall back on it unseen. A declared claim that does not apply to all
    of `operations`, or to the model, stands in place of nothing. What the exchange asserts of an engine it runs never
    stands in place of a declared claim: the operator may know worse, so both must satisfy.
    """
    declared = {name: claim for name, claim in deployment.controls.items() if _applies(claim, deployment, operations)}
    claims: Claims = {name: (claim,) for name, claim in declared.items()}
    if deployment.engine is not None:
        for control, value in ENGINE_CLAIMS.items():
            claims[control] = (*claims.get(control, ()), _asserted(value, now))
    elif vendor is not None:
        for control, claim in _published(deployment, boundary, vendor, declared.get(MODE), now):
            claims.setdefault(control, (claim,))
    return claims


def feature_claims(
    deployment: Deployment,
    boundary: Boundary,
    vendor: Vendor | None,
    feature: str,
    operations: Collection[Operation] = (),
) -> Claims:
    """Return the claims that speak of a feature by name, for each control that it puts in question.

    A control without one is unknown while the feature is used, whatever holds for plain requests.
    """
    terms = vendor.features.get(feature, {}) if vendor is not None and deployment.engine is None else {}
    claims: Claims = {}
    for control in FEATURES[feature].questions:
        declared = deployment.controls.get(control)
        if declared is not None and feature in declared.applies_to.features:
            claims[control] = (declared,) if _applies(declared, deployment, operations) else ()
        elif vendor is not None and control in terms:
            claims[control] = tuple(_claim(vendor, terms[control], boundary))
        else:
            claims[control] = ()
    return claims


def own_claim(value: ControlValue, now: int, title: str) -> Claim:
    """Return what the exchange asserts of what it runs or keeps itself, renewed at `now`."""
    return Claim(
        value=value,
        basis=Basis.OPERATOR_RUN,
        evidence=Evidence(title=title),
        verified_at=as_datetime(now),
        verified_by="trunkline",
    )


def _asserted(value: ControlValue, now: int) -> Claim:
    return own_claim(value, now, "an engine that this exchange runs")


def _applies(claim: Claim, deployment: Deployment, operations: Collection[Operation]) -> bool:
    endpoints = claim.applies_to.endpoints
    covered = not endpoints or (bool(operations) and all(one.value in endpoints for one in operations))
    return covered and covers_model(claim, deployment.model)


def covers_model(claim: Claim, model: str) -> bool:
    """Whether a claim holds for a model at all."""
    models = claim.applies_to.models
    return not models or any(fnmatchcase(model, one) for one in models)


def _published(
    deployment: Deployment, boundary: Boundary, vendor: Vendor, mode: Claim | None, now: int
) -> Iterator[tuple[str, Claim]]:
    """Yield what the vendor publishes of this deployment: of its mode, of its SKU, of all; the first counts."""
    if mode is not None and isinstance(mode.value, str) and satisfies(MODE, mode, Requirement(is_=mode.value), now):
        for control, published in vendor.modes.get(mode.value, {}).items():
            for claim in _claim(vendor, published, boundary):
                ends = [moment for moment in (mode.expires, claim.expires) if moment is not None]
                yield control, msgspec.structs.replace(claim, expires=min(ends, default=None))
    for source in (vendor.skus.get(deployment.sku or "", {}), vendor.controls):
        for control, published in source.items():
            for claim in _claim(vendor, published, boundary):
                yield control, claim


def _claim(vendor: Vendor, control: PublishedControl, boundary: Boundary) -> Iterator[Claim]:
    value = _fill(control.value, boundary.region)
    if value is not None:
        yield Claim(
            value=value,
            basis=Basis.PUBLISHED_DEFAULT,
            evidence=Evidence(
                title=f"{vendor.name}: {control.title}",
                reference=control.reference,
                quote=control.quote,
                sha256=control.sha256,
            ),
            verified_at=datetime.combine(control.verified, time.min, UTC),
            expires=datetime.combine(control.expires, time.max, UTC),
        )


def _fill(value: ControlValue, region: str | None) -> ControlValue | None:
    """Put the boundary's region in its place; None where it has none, or one that is not known."""
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    if region is None or region not in ZONES:
        return None
    zone = next((zone for zone in DATA_ZONES if lies_in(region, zone)), None)
    around = surrounding(region)[1:]
    match value:
        case "{region}":
            return region
        case "{data_zone}":
            return zone
        case "{geography}":
            return zone or next(iter(around), None)
        case _:
            return None
