"""Holding one claim against one requirement: the smallest question of policy, answered without exceptions.

A claim satisfies nothing when it is absent, `unknown`, expired, dated in the future, attested only per response, or of
a weaker basis than asked for. It never helps that a value has an unexpected type: then it satisfies nothing either.
"""

from __future__ import annotations

from datetime import datetime

from trunkline.catalog.controls import CONTROLS, ControlValue, ValueKind
from trunkline.clock import NANOS_PER_SECOND, as_nanos
from trunkline.estate.claims import Basis, Claim, Requirement
from trunkline.estate.requirements import meets
from trunkline.estate.zones import CATALOGUE, Zones

FAR = 2**62
"""A time beyond all claims: the year 2116."""

DAY = 86_400 * NANOS_PER_SECOND

AHEAD = 25 * 3_600 * NANOS_PER_SECOND
"""How far ahead a verification may be dated: a bare date means that day's end, and a day has up to 25 hours."""

STRENGTH = {
    Basis.UNVERIFIED: 0,
    Basis.PUBLISHED_DEFAULT: 1,
    Basis.CONTRACT: 2,
    Basis.ENFORCED_SETTING: 3,
    Basis.OPERATOR_RUN: 4,
}


def satisfies(control: str, claim: Claim, requirement: Requirement, now: int, zones: Zones = CATALOGUE) -> bool:
    """Whether a claim meets all that a requirement asks of the control, at `now` in nanoseconds since 1970."""
    return (
        _strong(claim.basis, requirement.basis)
        and _current(claim, requirement, now)
        and meets(control, claim.value, requirement, zones)
    )


def next_change(claim: Claim, requirement: Requirement, now: int) -> int:
    """When the answer of `satisfies` may change by itself, in nanoseconds since 1970; FAR when never."""
    moments = [FAR]
    if claim.expires is not None:
        moments.append(as_nanos(claim.expires))
    if claim.verified_at is not None:
        verified = as_nanos(claim.verified_at)
        moments.append(verified - AHEAD)
        if requirement.max_age_days is not None:
            moments.append(verified + requirement.max_age_days * DAY)
    return min(moment for moment in moments if moment > now)


def describe_requirement(control: str, requirement: Requirement) -> str:
    """Write a requirement as a person would say it: `training_use is never (basis contract or stronger)`."""
    asks = []
    if requirement.is_ is not None:
        asks.append(f"is {_write(requirement.is_)}{_or_stricter(control, requirement.is_)}")
    if requirement.within is not None:
        asks.append(f"is within {', '.join(requirement.within)}")
    if requirement.includes is not None:
        asks.append(f"includes {', '.join(requirement.includes)}")
    if requirement.at_most is not None:
        asks.append(f"is at most {requirement.at_most}")
    if requirement.at_least is not None:
        asks.append(f"is at least {requirement.at_least}")
    limits = []
    if requirement.basis is not Basis.PUBLISHED_DEFAULT:
        limits.append(f"basis {requirement.basis} or stronger")
    if requirement.max_age_days is not None:
        limits.append(f"verified within {requirement.max_age_days} days")
    return f"{control} {' and '.join(asks)}" + (f" ({', '.join(limits)})" if limits else "")


def describe_claim(control: str, claim: Claim | None, now: int) -> str:
    """Write a claim with its basis, its source and its dates, each in the zone it was declared in."""
    if claim is None:
        return f"no claim on {control}"
    said = [f"basis {claim.basis}"]
    if claim.evidence is not None:
        said.append(f"'{claim.evidence.title}'")
    if claim.verified_at is not None:
        said.append(f"verified {_day(claim.verified_at)}")
    else:
        said.append("never verified")
    if claim.expires is not None:
        said.append(f"{'expired' if as_nanos(claim.expires) <= now else 'expires'} {_day(claim.expires)}")
    return f"{control} is {_write(claim.value)} ({', '.join(said)})"


def _strong(basis: Basis, asked: Basis) -> bool:
    strength = STRENGTH.get(basis)
    floor = STRENGTH.get(asked)
    return strength is not None and floor is not None and strength >= floor


def _current(claim: Claim, requirement: Requirement, now: int) -> bool:
    if claim.expires is not None and as_nanos(claim.expires) <= now:
        return False
    if claim.verified_at is None:
        return requirement.max_age_days is None
    verified = as_nanos(claim.verified_at)
    if verified - AHEAD > now:
        return False
    return requirement.max_age_days is None or now < verified + requirement.max_age_days * DAY


def _or_stricter(control: str, value: ControlValue) -> str:
    known = CONTROLS.get(control)
    ordered = known is not None and known.kind is ValueKind.WORD and known.ordered
    return " or stricter" if known is not None and ordered and value in known.words[1:] else ""


def _write(value: ControlValue) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
