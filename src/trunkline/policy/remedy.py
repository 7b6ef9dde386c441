"""What would make a requirement met: what to declare, to verify anew, or to change."""

from __future__ import annotations

import msgspec

from trunkline.catalog.controls import ControlValue
from trunkline.clock import as_datetime
from trunkline.estate.claims import Basis, Claim, Requirement
from trunkline.estate.zones import CATALOGUE, Zones
from trunkline.policy.satisfy import describe_requirement, satisfies
from trunkline.policy.sources import Source, Sourced


class Required(msgspec.Struct, frozen=True):
    """What is asked of one control of one deployment."""

    deployment: str
    control: str
    requirement: Requirement
    zones: Zones = CATALOGUE


def remedy(required: Required, held: Sourced | None, now: int) -> str:
    """Say what would have to be done, once it is true, so that the requirement is met.

    Args:
        required: the requirement that is not met.
        held: the claim that does not meet it; None where there is none.
        now: nanoseconds since 1970.
    """
    to = f"to {required.deployment}"
    asked = describe_requirement(required.control, required.requirement)
    if held is None:
        return f"add a claim {to}, with evidence: {asked}"
    current = msgspec.structs.replace(held.claim, verified_at=as_datetime(now), expires=None)
    if satisfies(required.control, current, required.requirement, now, required.zones):
        return f"verify it anew: {_command(required, held.claim)}"
    stronger = msgspec.structs.replace(current, basis=Basis.OPERATOR_RUN)
    if satisfies(required.control, stronger, required.requirement, now, required.zones):
        return f"add a claim on a stronger basis {to}, with evidence: {asked}"
    if held.source is Source.ASSERTED:
        return f"use another deployment: an engine of the exchange itself cannot give {asked}"
    return f"make it so, then add a claim {to}, with evidence: {asked}"


def _command(required: Required, claim: Claim) -> str:
    return (
        f"trunkline claims verify {required.deployment}.{required.control} --value {write(claim.value)} "
        f'--basis {claim.basis} --evidence "TITLE|REFERENCE"'
    )


def write(value: ControlValue) -> str:
    """Write a claim's value as the command line takes it."""
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
