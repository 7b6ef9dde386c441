"""The estate's file as it is written: its sections and what stands in them. The reader and the schema go by it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

import msgspec

from trunkline.estate.boundaries import Boundary
from trunkline.estate.budgets import Budget, Limit
from trunkline.estate.certificates import Certificate
from trunkline.estate.claims import DataClass
from trunkline.estate.deployments import Deployment
from trunkline.estate.names import Currency, Name
from trunkline.estate.own_stores import OwnStore
from trunkline.estate.pools import Pool
from trunkline.estate.rules import Rule
from trunkline.estate.units import Unit
from trunkline.estate.use_cases import UseCase
from trunkline.estate.webhooks import Webhook
from trunkline.estate.zones import Zone

NOUNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "units": "unit",
        "data_classes": "data class",
        "boundaries": "boundary",
        "deployments": "deployment",
        "pools": "pool",
        "use_cases": "use case",
    }
)
"""What one thing of a section is called."""


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that an organisation declares: its units, its rules, and the models it may use, where and at what price."""

    estate: Name
    currency: Currency
    units: Annotated[dict[Name, Unit], msgspec.Meta(min_length=1)]
    time_zone: str = "UTC"
    exchange_rates: dict[Currency, Any] = {}  # read by `rates`: the name inside is the estate's own currency
    zones: dict[Name, Zone] = {}
    data_classes: dict[Name, DataClass] = {}
    boundaries: dict[Name, Boundary] = {}
    deployments: dict[Name, Deployment] = {}
    pools: dict[Name, Pool] = {}
    use_cases: dict[Name, UseCase] = {}
    rules: dict[Name, Rule] = {}
    certificates: dict[Name, Certificate] = {}
    stores: dict[Name, OwnStore] = {}
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()
    webhooks: dict[Name, Webhook] = {}
