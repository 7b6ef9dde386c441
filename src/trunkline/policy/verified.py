"""Later versions of claims: what was verified since the estate's file was written, laid over it.

A version renews (the same value, on a basis no stronger, with fresh dates and evidence) or tightens (it meets no
requirement that the file's claim would not meet). What would loosen policy needs the file: it is refused when it is
recorded, and weighed again whenever the estate changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Protocol

import msgspec

from trunkline.catalog.controls import CONTROLS, ControlValue
from trunkline.catalog.vendor import Vendor
from trunkline.clock import as_nanos
from trunkline.estate.claims import Basis, Claim, Requirement
from trunkline.estate.estate import Estate
from trunkline.estate.zones import Zones, known_zones
from trunkline.policy.satisfy import AHEAD, FAR, STRENGTH, describe_requirement, satisfies
from trunkline.policy.sources import ClaimId, Source, Sourced, trace

UNKNOWN = "unknown"


class Version(msgspec.Struct, frozen=True):
    """One dated version of a claim, kept for ever. Numbers count from 1 for each claim."""

    deployment: str
    control: str
    number: int
    claim: Claim
    recorded_at: int


class ClaimStore(Protocol):
    """Where versions are kept. Implemented by the store; every method is one transaction."""

    def record_claim(self, deployment: str, control: str, claim: Claim, at: int) -> Version:
        """Keep a new version, in nanoseconds since 1970, beside all before it."""
        ...

    def claim_versions(self) -> tuple[Version, ...]:
        """Every version ever recorded, oldest first."""
        ...

    def claims_changed(self) -> int:
        """Count the versions ever recorded, by any process. Cheap."""
        ...


class Weight(StrEnum):
    """What a version does to policy."""

    RENEWS = "renews"
    TIGHTENS = "tightens"
    LOOSENS = "loosens"


class Weighed(msgspec.Struct, frozen=True):
    """What a version does to policy, and why it would loosen it."""

    weight: Weight
    why: str = ""


class Void(msgspec.Struct, frozen=True):
    """A version that has no effect, and why."""

    version: Version
    why: str


class Overlaid(msgspec.Struct, frozen=True):
    """An estate with the newest versions laid over it.

    Attributes:
        verified: the claims that come from a version.
        void: the newest versions that have no effect.
    """

    estate: Estate
    verified: frozenset[ClaimId] = frozenset()
    void: tuple[Void, ...] = ()


def overlay(estate: Estate, vendors: dict[str, Vendor], versions: Iterable[Version]) -> Overlaid:
    """Lay the newest version of each claim over the estate; what would loosen it has no effect."""
    newest: dict[ClaimId, Version] = {}
    for version in versions:
        known = newest.get((version.deployment, version.control))
        if known is None or known.number < version.number:
            newest[version.deployment, version.control] = version
    fresh: dict[str, dict[str, Claim]] = {}
    void: list[Void] = []
    for version in newest.values():
        if why := _void(estate, vendors, version):
            void.append(Void(version, why))
        else:
            held = trace(estate, version.deployment, vendors, version.recorded_at).get(version.control, ())
            fresh.setdefault(version.deployment, {})[version.control] = _laid(version.claim, held)
    deployments = dict(estate.deployments)
    for name, claims in fresh.items():
        deployment = deployments[name]
        deployments[name] = msgspec.structs.replace(deployment, controls={**deployment.controls, **claims})
    return Overlaid(
        estate=msgspec.structs.replace(estate, deployments=deployments) if fresh else estate,
        verified=frozenset((name, control) for name, claims in fresh.items() for control in claims),
        void=tuple(void),
    )


def _laid(fresh: Claim, held: tuple[Sourced, ...]) -> Claim:
    """The claim of a version in place of another: whatever it does not verify stays as it was."""
    if not held or held[0].source is Source.ASSERTED:
        return fresh
    return msgspec.structs.replace(
        held[0].claim,
        value=fresh.value,
        basis=fresh.basis,
        evidence=fresh.evidence,
        verified_at=fresh.verified_at,
        verified_by=fresh.verified_by,
        expires=fresh.expires,
    )


def weigh(estate: Estate, vendors: dict[str, Vendor], deployment: str, control: str, claim: Claim, now: int) -> Weighed:
    """Say what a version would do to policy, held against what the estate's file, or else the vendor, says.

    `now` is when it was or would be recorded; that what it is held against has expired by then plays no part.
    """
    held = trace(estate, deployment, vendors, now).get(control, ())
    # Beside what the exchange asserts of its own engine, another claim can only take away: both must satisfy.
    if held and held[0].source is Source.ASSERTED:
        return Weighed(Weight.TIGHTENS)
    if not held and claim.value != UNKNOWN:
        return Weighed(Weight.LOOSENS, f"nothing is claimed of {control} at {deployment} yet")
    if not held:
        return Weighed(Weight.TIGHTENS)
    return _compare(claim, held[0], estate)


def _compare(claim: Claim, before: Sourced, estate: Estate) -> Weighed:
    if _strength(claim.basis) > _strength(before.claim.basis):
        return Weighed(Weight.LOOSENS, f"{_where(before)} rests on basis {before.claim.basis}, not {claim.basis}")
    if type(claim.value) is type(before.claim.value) and claim.value == before.claim.value:
        return Weighed(Weight.RENEWS)
    zones = known_zones(estate.zones)
    for class_name, requirement in requirements_on(estate, before.control):
        fitted = fits(before.control, before.claim.value, requirement, zones)
        if not fitted and fits(before.control, claim.value, requirement, zones):
            return Weighed(
                Weight.LOOSENS,
                f"{_where(before)} is {before.claim.value}, and data class {class_name} requires "
                f"{describe_requirement(before.control, requirement)}",
            )
    return Weighed(Weight.TIGHTENS)


def _void(estate: Estate, vendors: dict[str, Vendor], version: Version) -> str:
    """Why a version has no effect on the estate; empty when it has."""
    deployment = estate.deployments.get(version.deployment)
    if deployment is None:
        return f"the estate has no deployment {version.deployment}"
    declared = deployment.controls.get(version.control)
    # A bare date in the file means the end of that day: only one that is later beyond doubt goes before.
    filed = as_nanos(declared.verified_at) if declared is not None and declared.verified_at is not None else 0
    if filed - AHEAD >= version.recorded_at:
        return "the estate's file was verified later"
    weighed = weigh(estate, vendors, version.deployment, version.control, version.claim, version.recorded_at)
    return f"it would loosen policy: {weighed.why}" if weighed.weight is Weight.LOOSENS else ""


def requirements_on(estate: Estate, control: str) -> Iterator[tuple[str, Requirement]]:
    """Yield what each data class requires of a control, with the class's name."""
    for name, data_class in estate.data_classes.items():
        if control in data_class.requires:
            yield name, data_class.requires[control]


def fits(control: str, value: ControlValue, requirement: Requirement, zones: Zones) -> bool:
    """Whether a value alone is what a requirement asks of the control, whatever basis and dates it would need."""
    claim = Claim(value, Basis.OPERATOR_RUN)
    asked = msgspec.structs.replace(requirement, basis=Basis.UNVERIFIED, max_age_days=None)
    return control in CONTROLS and satisfies(control, claim, asked, FAR, zones)


def _strength(basis: Basis) -> int:
    return STRENGTH.get(basis, -1)


def _where(before: Sourced) -> str:
    where = "the estate's file" if before.source is Source.DECLARED else "what the vendor publishes"
    return f"{where} on {before.name}"
