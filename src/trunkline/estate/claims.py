"""Controls, the claims that deployments make about them, and the requirements that data classes set."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec

from trunkline.catalog.controls import ControlValue
from trunkline.estate.names import Amount, Count, Moment, Sha256


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
    """Where a claim can be looked up. May be written as its title alone."""

    short_form: ClassVar[str] = "title"

    title: str
    reference: str | None = None
    quote: str | None = None
    sha256: Sha256 | None = None


class AppliesTo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a claim holds for. An empty list leaves nothing out, but for features: none but those listed are covered.

    Attributes:
        endpoints: operations, such as `chat` and `embeddings`.
        features: what a request may use beside a plain prompt and still be covered, such as `files`.
        models: names such as `openai/gpt-4.1-mini`; `openai/*` stands for all of a vendor's.
    """

    endpoints: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class Attestation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each answer must carry: `expect` in a `header`, or in the `body` at a path such as `usage.inference_geo`."""

    expect: str
    header: str | None = None
    body: str | None = None


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a deployment says of one control. Unknown or expired, it satisfies nothing.

    With the basis `attested_per_response` it says by `attestation` what each answer must carry: it satisfies nothing
    before the send, and an answer without it never reaches the caller.
    """

    value: ControlValue
    basis: Basis = Basis.UNVERIFIED
    applies_to: AppliesTo = AppliesTo()
    evidence: Evidence | None = None
    verified_at: Moment | None = None
    verified_by: str | None = None
    expires: Moment | None = None
    attestation: Attestation | None = None


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"is_": "is"}):
    """What a data class asks of one control: exactly one of `is`, `within`, `includes`, `at_most`, `at_least`.

    May be written as the value of `is` alone. Where a control's words are ordered, stricter ones than those named will
    do as well; a zone will do when it lies in one of those named. `max_age_days` bounds the age of `verified_at`.
    """

    short_form: ClassVar[str] = "is"

    is_: str | bool | int | None = None
    within: tuple[str, ...] | None = None
    includes: tuple[str, ...] | None = None
    at_most: Amount | None = None
    at_least: Amount | None = None
    basis: Basis = Basis.PUBLISHED_DEFAULT
    max_age_days: Count | None = None


class DataClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sensitive data is. Classes stand from loosest to strictest; each adds to the requirements before it."""

    requires: dict[str, Requirement] = {}
    name: str | None = None
