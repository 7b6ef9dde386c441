"""Reads an estate from its file or folder, whole or not at all."""

from __future__ import annotations

import hashlib
from datetime import UTC
from pathlib import Path
from typing import Final, TypeVar, cast

import msgspec

from trunkline.clock import Clock, SystemClock, as_datetime
from trunkline.config.document import Mapping, Sequence, locate
from trunkline.config.faults import Faults, Place
from trunkline.config.reader import Reader
from trunkline.config.zones import describe_unknown_zone, find_zone
from trunkline.errors import BadEstate
from trunkline.estate.boundaries import Boundary
from trunkline.estate.budgets import Budget, Limit
from trunkline.estate.certificates import Certificate
from trunkline.estate.check import check
from trunkline.estate.claims import DataClass
from trunkline.estate.declaration import Declaration
from trunkline.estate.declared import Declared
from trunkline.estate.deployments import Deployment
from trunkline.estate.estate import Estate
from trunkline.estate.merge import Merged, merge
from trunkline.estate.names import Currency, Name
from trunkline.estate.notices import Notice, announce
from trunkline.estate.own_stores import OwnStore
from trunkline.estate.pools import Pool
from trunkline.estate.rates import RateReader
from trunkline.estate.rules import Rule
from trunkline.estate.units import Unit
from trunkline.estate.use_cases import UseCase
from trunkline.estate.webhooks import Webhook
from trunkline.estate.zones import Zone

_SYSTEM_CLOCK: Final = SystemClock()
_VERSION_LENGTH: Final = 12

T = TypeVar("T", bound=msgspec.Struct)


class Loaded(msgspec.Struct, frozen=True):
    """An estate without faults.

    Attributes:
        notices: what is declared but not in force, and claims that have expired.
        files: what it was read from, in the order read.
        folder: where `file:` references start from.
        tree: what is written in the files, each value with its place.
    """

    estate: Estate
    notices: tuple[Notice, ...]
    files: tuple[Path, ...]
    folder: Path
    tree: Mapping

    def place(self, *path: str | int) -> Place:
        """Where the thing at `path` is named, or the nearest thing above it that is written down."""
        return locate(self.tree, path, name=True)


def load(path: Path, clock: Clock = _SYSTEM_CLOCK) -> Loaded:
    """Read and check the estate at `path`, a file or a folder of files.

    Raises:
        BadEstate: it has faults; all of them are named, in the order of files and lines.
    """
    faults = Faults()
    merged = merge(path, faults)
    if merged is None:
        raise BadEstate(faults.lines())
    declared, reader = _read(merged, faults)
    check(declared, merged.owned, reader.references, faults)
    if faults:
        raise BadEstate(faults.lines())
    estate = _build(declared)
    notices = announce(declared, as_datetime(clock.now()))
    return Loaded(estate, notices, merged.files, path if path.is_dir() else path.parent, merged.tree)


def _read(merged: Merged, faults: Faults) -> tuple[Declared, Reader]:
    """Read every section, keeping what has no fault of its own so that the rest can be checked against it."""
    tree = merged.tree
    words = Reader(faults, UTC)
    unread = merged.refused | words.check_names(Declaration, tree, "an estate")
    name, currency, time_zone = (_word(tree, field, words) for field in ("estate", "currency", "time_zone"))
    for field, example in (("estate", "acme"), ("currency", "EUR")):
        if field not in tree.entries and field not in unread:
            what = "its name" if field == "estate" else field
            faults.add(tree.place, f"the estate lacks {what}; write a line such as `{field}: {example}`")
    zone = find_zone(time_zone) if time_zone else UTC
    if zone is None:
        faults.add(tree.entries["time_zone"].value.place, describe_unknown_zone(time_zone))
    reader = Reader(faults, zone or UTC)
    rates = _mapping(tree, "exchange_rates")
    for foreign, entry in rates.entries.items():
        reader.read_name(Currency, foreign, entry.place)
    declared = Declared(
        tree=tree,
        name=name,
        currency=currency,
        time_zone=time_zone or "UTC",
        exchange_rates=RateReader(currency, zone or UTC, faults).read(rates) if currency else (),
        units=_named(tree, "units", Unit, reader),
        data_classes=_named(tree, "data_classes", DataClass, reader),
        boundaries=_named(tree, "boundaries", Boundary, reader),
        deployments=_named(tree, "deployments", Deployment, reader),
        pools=_named(tree, "pools", Pool, reader),
        use_cases=_named(tree, "use_cases", UseCase, reader),
        rules=_named(tree, "rules", Rule, reader),
        zones=_named(tree, "zones", Zone, reader),
        certificates=_named(tree, "certificates", Certificate, reader),
        stores=_named(tree, "stores", OwnStore, reader),
        webhooks=_named(tree, "webhooks", Webhook, reader),
        budgets=_listed(tree, "budgets", Budget, reader),
        limits=_listed(tree, "limits", Limit, reader),
        unread=frozenset(unread),
    )
    return declared, reader


def _word(tree: Mapping, field: str, reader: Reader) -> str:
    """Return one of the words at the top; empty where it is not there, or after adding a fault."""
    entry = tree.entries.get(field)
    return "" if entry is None else cast("str", reader.read_field(Declaration, field, entry.value) or "")


def _mapping(tree: Mapping, section: str) -> Mapping:
    entry = tree.entries.get(section)
    return entry.value if entry is not None and isinstance(entry.value, Mapping) else Mapping({}, tree.place)


def _named(tree: Mapping, section: str, kind: type[T], reader: Reader) -> dict[str, T]:
    things: dict[str, T] = {}
    for name, entry in _mapping(tree, section).entries.items():
        reader.read_name(Name, name, entry.place)
        thing = reader.read(kind, entry.value, name)
        if thing is not None:
            things[name] = thing
    return things


def _listed(tree: Mapping, section: str, kind: type[T], reader: Reader) -> dict[int, T]:
    entry = tree.entries.get(section)
    if entry is None or not isinstance(entry.value, Sequence):
        return {}
    read = ((index, reader.read(kind, node, section)) for index, node in enumerate(entry.value.items))
    return {index: thing for index, thing in read if thing is not None}


def _build(declared: Declared) -> Estate:
    estate = Estate(
        name=declared.name,
        currency=declared.currency,
        time_zone=declared.time_zone,
        units=declared.units,
        data_classes=declared.data_classes,
        boundaries=declared.boundaries,
        deployments=declared.deployments,
        pools=declared.pools,
        use_cases=declared.use_cases,
        budgets=tuple(declared.budgets.values()),
        limits=tuple(declared.limits.values()),
        exchange_rates=declared.exchange_rates,
        rules=declared.rules,
        zones=declared.zones,
        certificates=declared.certificates,
        stores=declared.stores,
        webhooks=declared.webhooks,
    )
    content = hashlib.sha256(msgspec.json.encode(estate)).hexdigest()
    return msgspec.structs.replace(estate, version=content[:_VERSION_LENGTH])
