"""Which claims count for a deployment, and from whom they come."""

from __future__ import annotations

from datetime import UTC, datetime, time

from trunkline.catalog.vendor import PublishedControl, Vendor
from trunkline.clock import as_datetime
from trunkline.estate.claims import Basis, Claim, ControlValue, Evidence
from trunkline.estate.deployments import Deployment

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


def gather_claims(deployment: Deployment, vendor: Vendor | None, now: int) -> dict[str, tuple[Claim, ...]]:
    """Return the claims that count for each control; a requirement must be met by all of them.

    What the estate declares stands in place of what the vendor publishes: an opt-out that was granted is worth more
    than the default, and one that ran out must not fall back on it unseen. What the exchange asserts of an engine it
    runs never stands in place of a declared claim: the operator may know worse, so both must satisfy.
    """
    claims: dict[str, tuple[Claim, ...]] = {name: (claim,) for name, claim in deployment.controls.items()}
    if deployment.engine is not None:
        for control, value in ENGINE_CLAIMS.items():
            claims[control] = (*claims.get(control, ()), _asserted(value, now))
    elif vendor is not None:
        for control, published in vendor.controls.items():
            claims.setdefault(control, (_published(vendor, published),))
    return claims


def _asserted(value: ControlValue, now: int) -> Claim:
    return Claim(
        value=value,
        basis=Basis.OPERATOR_RUN,
        evidence=Evidence(title="an engine that this exchange runs"),
        verified_at=as_datetime(now),
        verified_by="trunkline",
    )


def _published(vendor: Vendor, control: PublishedControl) -> Claim:
    return Claim(
        value=control.value,
        basis=Basis.PUBLISHED_DEFAULT,
        evidence=Evidence(title=f"{vendor.name}: {control.title}", reference=control.reference, quote=control.quote),
        verified_at=datetime.combine(control.verified, time.min, UTC),
        expires=datetime.combine(control.expires, time.max, UTC),
    )
