from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from trunkline.estate.claims import Claim
from trunkline.estate.names import Amount, BoundaryName, Count, Currency, ModelName, Seconds, Sha256, UnitName, Version


class Pattern(StrEnum):
    """Who runs inference, and so what the organisation still owes."""

    SAAS = "saas"
    CLOUD_SHARED = "cloud_shared"
    CLOUD_PRIVATE = "cloud_private"
    SELF_MANAGED = "self_managed"


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the deployment can carry: reserved units, calls at once, or the provider's own per-minute limits.

    Of each of `ptu` units, `input_tpm` are the input tokens per minute that it takes, and `output_ratio` how many of
    them a token of output counts as: known for some models, to be said for the others.
    """

    ptu: Count | None = None
    input_tpm: Count | None = None
    output_ratio: Count | None = None
    concurrency: Count | None = None
    replicas: Count | None = None
    tpm: Count | None = None
    rpm: Count | None = None


class InternalRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What users of a fixed-price deployment are charged, per million tokens."""

    input_mtok: Amount = Decimal(0)
    output_mtok: Amount = Decimal(0)
    cache_read_mtok: Amount | None = None
    cache_write_mtok: Amount | None = None
    cache_write_1h_mtok: Amount | None = None
    input_audio_mtok: Amount | None = None
    output_audio_mtok: Amount | None = None
    cache_audio_read_mtok: Amount | None = None
    input_image_mtok: Amount | None = None
    output_image_mtok: Amount | None = None
    cache_image_read_mtok: Amount | None = None


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The estate's own price: per million tokens, or fixed for all of the deployment (`per_hour`, `people_per_month`).

    `cache_write_1h_mtok` is for what the provider keeps for an hour: 1.6 times `cache_write_mtok` where it is not said.
    Sound and pictures cost what text does where nothing is said of them, or the provider does not tell them apart.

    In `currency`, which defaults to the estate's.
    """

    input_mtok: Amount | None = None
    output_mtok: Amount | None = None
    cache_read_mtok: Amount | None = None
    cache_write_mtok: Amount | None = None
    cache_write_1h_mtok: Amount | None = None
    input_audio_mtok: Amount | None = None
    output_audio_mtok: Amount | None = None
    cache_audio_read_mtok: Amount | None = None
    input_image_mtok: Amount | None = None
    output_image_mtok: Amount | None = None
    cache_image_read_mtok: Amount | None = None
    per_hour: Amount | None = None
    people_per_month: Amount | None = None
    internal_rate: InternalRate | None = None
    currency: Currency | None = None


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds: to connect, to the first byte, between bytes, and for the whole call."""

    connect: Seconds = 5.0
    first_byte: Seconds = 60.0
    between: Seconds = 60.0
    total: Seconds = 900.0


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a failing deployment is left alone for a while: after so many failures in a row, or beyond a share of calls.

    The share counts over some tens of seconds and 20 calls or more; 1 never does it. `wait` is the longest time in
    seconds until one call is let through to see whether it is back; the first is one second.
    """

    failures: Count = 5
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    wait: Annotated[float, msgspec.Meta(gt=0, le=15)] = 15.0


class Engine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An engine that the exchange runs itself. `weights` is `builtin` or the path of a GGUF file with its `sha256`.

    `slots` chats share it at once, each with `context` tokens.
    """

    kind: Literal["embedded"] = "embedded"
    weights: str = "builtin"
    sha256: Sha256 | None = None
    slots: Count = 4
    context: Count = 2048


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model callable in one boundary under one pattern, with its claims, capacity and price.

    `url` is the base under which the dialect's paths stand; `dialect` defaults to
    what the provider speaks. A deployment is reached by `engine`, by `url`, or at its provider's own address.

    `version` is the model's, where its name does not tell it: deployments of one model in two versions do not stand in
    for each other unless a use case says so.

    `probe` is a path at its address that tells free of charge whether it is there, such as `/health`; `off` for none.
    For engines such as vLLM it is known.

    `throttle` says by which signs the exchange lets fewer calls at once go there: `latency` and refusals, `refusals`
    alone, or `off`. Unless declared, latency counts where nobody else's calls wait there: at `self_managed` and
    `cloud_private`.

    Where all that a call may use has failed, it is tried again there up to `retries` times, as far as the budget for
    repeated calls goes.
    """

    model: ModelName
    pattern: Pattern
    boundary: BoundaryName
    owner: UnitName | None = None
    sku: str | None = None
    dialect: str | None = None
    url: str | None = None
    credentials: str | None = None
    upstream_model: str | None = None
    version: Version | None = None
    probe: Annotated[str, msgspec.Meta(pattern=r"^(/[!-~]*|off)$", max_length=200)] | None = None
    context_length: Count | None = None
    capabilities: tuple[str, ...] = ()
    engine: Engine | None = None
    capacity: Capacity | None = None
    timeouts: Timeouts = Timeouts()
    tolerance: Tolerance = Tolerance()
    throttle: Literal["latency", "refusals", "off"] | None = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=5)] = 1
    price: Price | None = None
    controls: dict[str, Claim] = {}
