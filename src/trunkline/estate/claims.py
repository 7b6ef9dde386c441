"""Controls, the claims that deployments make about them, and the requirements that data classes set."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

ControlValue = str | int | bool | tuple[str, ...]


class Basis(StrEnum):
    """What a claim rests on, weakest first. A weaker basis never satisfies a stronger requirement.

    `attested_per_response` stands beside the order: it is checked after the send and satisfies nothing before it.
    """

    UNVERIFIED = "unverified"
    PUBLISHED_DEFAULT = "published_default"
    CONTRACT = "contract"
    ENFORCED_SETTING = "enforced_setting"
    OPERATOR_RUN = "operator_run"
    ATTESTED_PER_RESPONSE = "attested_per_response"


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a claim can be looked up."""

    title: str
    reference: str | None = None
    quote: str | None = None
    sha256: str | None = None


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a deployment says of one control. Unknown or expired, it satisfies nothing."""

    value: ControlValue
    basis: Basis = Basis.UNVERIFIED
    evidence: Evidence | None = None
    verified_at: datetime | None = None
    verified_by: str | None = None
    expires: datetime | None = None


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"is_": "is"}):
    """What a data class asks of one control: exactly one of `is`, `within`, `at_most`, `at_least`."""

    is_: str | bool | int | None = None
    within: tuple[str, ...] | None = None
    at_most: Decimal | None = None
    at_least: Decimal | None = None
    basis: Basis = Basis.PUBLISHED_DEFAULT
    max_age_days: int | None = None


class DataClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sensitive data is. Classes stand from loosest to strictest; each adds to the requirements before it."""

    requires: dict[str, Requirement] = {}
    name: str | None = None
