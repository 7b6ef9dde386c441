from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from trunkline.estate.boundaries import Boundary
from trunkline.estate.budgets import Budget, Limit
from trunkline.estate.certificates import Certificate
from trunkline.estate.claims import DataClass
from trunkline.estate.deployments import Deployment
from trunkline.estate.own_stores import OwnStore
from trunkline.estate.pools import Pool
from trunkline.estate.rules import Rule
from trunkline.estate.units import Unit
from trunkline.estate.use_cases import UseCase
from trunkline.estate.webhooks import Webhook
from trunkline.estate.zones import Zone


class ExchangeRate(msgspec.Struct, frozen=True):
    """How much of the estate's currency one unit of a provider's currency is worth, from a day on."""

    currency: str
    rate: Decimal
    since: datetime | None = None


class Estate(msgspec.Struct, frozen=True):
    """All that is declared, checked as a whole. Names are the keys; order is the file's, which data classes rely on."""

    name: str
    currency: str
    time_zone: str
    units: dict[str, Unit]
    data_classes: dict[str, DataClass]
    boundaries: dict[str, Boundary]
    deployments: dict[str, Deployment]
    pools: dict[str, Pool]
    use_cases: dict[str, UseCase]
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()
    exchange_rates: tuple[ExchangeRate, ...] = ()
    version: str = ""
    rules: dict[str, Rule] = {}
    zones: dict[str, Zone] = {}
    certificates: dict[str, Certificate] = {}
    stores: dict[str, OwnStore] = {}
    webhooks: dict[str, Webhook] = {}

    @property
    def root(self) -> str:
        """The name of the one unit without a parent."""
        return next(name for name, unit in self.units.items() if unit.parent is None)

    def lineage(self, unit: str) -> tuple[str, ...]:
        """The unit and all above it, the root last."""
        names = [unit]
        while (parent := self.units[names[-1]].parent) is not None:
            names.append(parent)
        return tuple(names)
