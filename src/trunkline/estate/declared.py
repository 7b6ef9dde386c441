"""What could be read of an estate, with the tree it came from: the checks of the whole work on it."""

from __future__ import annotations

import msgspec

from trunkline.config.document import Mapping, Sequence, locate
from trunkline.config.faults import Place
from trunkline.estate.boundaries import Boundary
from trunkline.estate.budgets import Budget, Limit
from trunkline.estate.certificates import Certificate
from trunkline.estate.claims import DataClass
from trunkline.estate.deployments import Deployment
from trunkline.estate.estate import ExchangeRate
from trunkline.estate.own_stores import OwnStore
from trunkline.estate.pools import Pool
from trunkline.estate.rules import Rule
from trunkline.estate.units import Unit
from trunkline.estate.use_cases import UseCase
from trunkline.estate.webhooks import Webhook
from trunkline.estate.zones import Zone


class Declared(msgspec.Struct, frozen=True):
    """The things that have no fault of their own, by name; budgets and limits by their place in the list.

    `unread` are sections that stand under a misspelt name or in the wrong shape: that is said once, not again for
    every name that refers to them.
    """

    tree: Mapping
    name: str
    currency: str
    time_zone: str
    exchange_rates: tuple[ExchangeRate, ...]
    units: dict[str, Unit]
    data_classes: dict[str, DataClass]
    boundaries: dict[str, Boundary]
    deployments: dict[str, Deployment]
    pools: dict[str, Pool]
    use_cases: dict[str, UseCase]
    budgets: dict[int, Budget]
    limits: dict[int, Limit]
    rules: dict[str, Rule] = {}
    zones: dict[str, Zone] = {}
    certificates: dict[str, Certificate] = {}
    stores: dict[str, OwnStore] = {}
    webhooks: dict[str, Webhook] = {}
    unread: frozenset[str] = frozenset()

    def names(self, section: str) -> tuple[str, ...]:
        """All names of a section, also of things that could not be read."""
        entry = self.tree.entries.get(section)
        return tuple(entry.value.entries) if entry is not None and isinstance(entry.value, Mapping) else ()

    def place(self, *path: str | int) -> Place:
        """Where the value at `path` stands, or the nearest thing above it that is written down."""
        return locate(self.tree, path)

    def place_of_name(self, *path: str | int) -> Place:
        """Where the name that ends `path` stands."""
        return locate(self.tree, path, name=True)

    def lineage(self, unit: str) -> tuple[str, ...]:
        """The unit and those above it, as far as they can be followed; ends before a unit comes twice."""
        found: list[str] = []
        step: str | None = unit
        while step is not None and step not in found and step in self.units:
            found.append(step)
            step = self.units[step].parent
        return tuple(found)

    def count(self, section: str) -> int:
        """How many things a section declares."""
        entry = self.tree.entries.get(section)
        if entry is None:
            return 0
        if isinstance(entry.value, Mapping):
            return len(entry.value.entries)
        return len(entry.value.items) if isinstance(entry.value, Sequence) else 0
