from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from trunkline.estate.claims import Claim


class Pattern(StrEnum):
    """Who runs inference, and so what the organisation still owes."""

    SAAS = "saas"
    CLOUD_SHARED = "cloud_shared"
    CLOUD_PRIVATE = "cloud_private"
    SELF_MANAGED = "self_managed"


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the deployment can carry: reserved units, calls at once, or the provider's own per-minute limits."""

    ptu: int | None = None
    concurrency: int | None = None
    replicas: int | None = None
    tpm: int | None = None
    rpm: int | None = None


class InternalRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What users of a fixed-price deployment are charged, per million tokens."""

    input_mtok: Decimal = Decimal(0)
    output_mtok: Decimal = Decimal(0)
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The estate's own price: per million tokens, or fixed for all of the deployment (`per_hour`, `people_per_month`)."""

    input_mtok: Decimal | None = None
    output_mtok: Decimal | None = None
    cache_read_mtok: Decimal | None = None
    cache_write_mtok: Decimal | None = None
    per_hour: Decimal | None = None
    people_per_month: Decimal | None = None
    internal_rate: InternalRate | None = None
    currency: str | None = None


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds: to connect, to the first byte, between bytes, and for the whole call."""

    connect: float = 5.0
    first_byte: float = 60.0
    between: float = 60.0
    total: float = 900.0


class Engine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An engine that the exchange runs itself. `weights` is `builtin` or the path of a GGUF file with its `sha256`.

    `slots` chats share it at once, each with `context` tokens.
    """

    kind: Literal["embedded"] = "embedded"
    weights: str = "builtin"
    sha256: str | None = None
    slots: int = 4
    context: int = 2048


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model callable in one boundary under one pattern, with its claims, capacity and price.

    `url` is the base under which the dialect's paths stand; `dialect` defaults to
    what the provider speaks. A deployment is reached by `engine`, by `url`, or at its provider's own address.
    """

    model: str
    pattern: Pattern
    boundary: str
    owner: str | None = None
    sku: str | None = None
    dialect: str | None = None
    url: str | None = None
    credentials: str | None = None
    upstream_model: str | None = None
    context_length: int | None = None
    capabilities: tuple[str, ...] = ()
    engine: Engine | None = None
    capacity: Capacity | None = None
    timeouts: Timeouts = Timeouts()
    price: Price | None = None
    controls: dict[str, Claim] = {}
