"""Controls, the claims that deployments make about them, and the requirements that data classes set."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final

import msgspec

from trunkline.estate.names import Amount, Count, Moment, Sha256

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


class ValueKind(StrEnum):
    """What the value of a control is."""

    WORD = "word"
    DAYS = "days"
    FLAG = "flag"
    ZONES = "zones"
    NAMES = "names"


class Control(msgspec.Struct, frozen=True):
    """A typed attribute of a deployment: what it means and which values it can have.

    Attributes:
        words: for `WORD` all values there are; for `DAYS` what may stand instead of a number (and satisfies no bound).
    """

    meaning: str
    kind: ValueKind
    words: tuple[str, ...] = ()


CONTROLS: Final[Mapping[str, Control]] = MappingProxyType(
    {
        "training_use": Control(
            "whether prompts and answers are used for training",
            ValueKind.WORD,
            ("never", "opt_in", "opt_out", "always"),
        ),
        "human_review": Control(
            "whether a human at the provider may read prompts",
            ValueKind.WORD,
            ("never", "flagged_only", "possible", "always"),
        ),
        "abuse_log_retention_days": Control(
            "how long logs for abuse monitoring keep content", ValueKind.DAYS, ("until_deleted",)
        ),
        "app_state_retention_days": Control(
            "how long stored responses, threads and files are kept", ValueKind.DAYS, ("until_deleted",)
        ),
        "stored_by_default": Control("whether answers are stored where the caller does not say", ValueKind.FLAG),
        "stored_forced_off": Control("whether storing is refused whatever the caller says", ValueKind.FLAG),
        "zero_data_retention": Control(
            "whether an agreement of zero data retention covers the deployment",
            ValueKind.WORD,
            ("enforced", "available", "unavailable"),
        ),
        "chat_history_location": Control(
            "where chat history is stored", ValueKind.WORD, ("none", "exchange", "customer_cloud", "provider")
        ),
        "residency_at_rest": Control("in which zones data is stored", ValueKind.ZONES),
        "residency_processing": Control("in which zones data is processed", ValueKind.ZONES),
        "network": Control(
            "how the deployment is reached",
            ValueKind.WORD,
            ("public", "ip_allowlist", "private_link", "private_network", "loopback"),
        ),
        "customer_managed_keys": Control(
            "whether stored data is encrypted with the customer's keys",
            ValueKind.WORD,
            ("none", "optional", "enforced"),
        ),
        "sub_processors": Control("who else processes the data", ValueKind.NAMES),
        "certifications": Control("which certifications cover the deployment", ValueKind.NAMES),
    }
)


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a claim can be looked up. May be written as its title alone."""

    short_form: ClassVar[str] = "title"

    title: str
    reference: str | None = None
    quote: str | None = None
    sha256: Sha256 | None = None


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a deployment says of one control. Unknown or expired, it satisfies nothing."""

    value: ControlValue
    basis: Basis = Basis.UNVERIFIED
    evidence: Evidence | None = None
    verified_at: Moment | None = None
    verified_by: str | None = None
    expires: Moment | None = None


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"is_": "is"}):
    """What a data class asks of one control: exactly one of `is`, `within`, `at_most`, `at_least`.

    May be written as the value of `is` alone. `max_age_days` bounds the age of the claim's `verified_at`.
    """

    short_form: ClassVar[str] = "is"

    is_: str | bool | int | None = None
    within: tuple[str, ...] | None = None
    at_most: Amount | None = None
    at_least: Amount | None = None
    basis: Basis = Basis.PUBLISHED_DEFAULT
    max_age_days: Count | None = None


class DataClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sensitive data is. Classes stand from loosest to strictest; each adds to the requirements before it."""

    requires: dict[str, Requirement] = {}
    name: str | None = None
