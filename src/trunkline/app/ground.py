from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from trunkline.app.compiling import Compiler
from trunkline.app.keys import Rings
from trunkline.app.options import Options
from trunkline.clock import Clock
from trunkline.config.environment import Environment
from trunkline.errors import Unstartable
from trunkline.estate.endpoints import Address
from trunkline.estate.load import Loaded
from trunkline.estate.snapshot import Snapshot
from trunkline.metering.alerts import Recipients, compile_recipients
from trunkline.metering.budgets import Budgets, compile_budgets
from trunkline.metering.counters import MOST_LIMITS
from trunkline.metering.limits import Limits, compile_limits
from trunkline.store.folder import DataFolder
from trunkline.store.open import Store
from trunkline.tenancy.certificates import Bearer

ADMIN_KEY = "TRUNKLINE_ADMIN_KEY"
NOWHERE: Mapping[str, Address] = MappingProxyType({})


class Ground(msgspec.Struct, frozen=True):
    """What every process of an exchange stands on. `name` is the exchange's own, another one with each start."""

    options: Options
    folder: DataFolder
    store: Store
    clock: Clock
    name: str


class Checked(msgspec.Struct, frozen=True):
    """An estate that was checked in full, compiled once, and can be applied without a fault.

    Attributes:
        environment: where its references are looked up.
        recipients: its webhooks.
    """

    loaded: Loaded
    compiler: Compiler
    rings: Rings
    snapshot: Snapshot
    budgets: Budgets
    limits: Limits
    environment: Environment
    recipients: Recipients


def check(ground: Ground, loaded: Loaded, addresses: Mapping[str, Address] = NOWHERE) -> Checked:
    """Compile an estate with what is around it; takes a while and touches nothing, so it may run in a thread.

    Args:
        ground: what the process stands on.
        loaded: the estate.
        addresses: where its engines listen already.

    Raises:
        Unstartable: it cannot be applied here; the message says why.
    """
    estate = loaded.estate
    environment = Environment(loaded.folder, os.environ)
    compiler = Compiler(
        estate,
        environment,
        ground.clock,
        addresses=addresses,
        engines=ground.options.engines,
        database_here=ground.store.here,
        content_sealed=ground.options.content_key is not None,
    )
    compiler.verified(ground.store.claim_versions())
    rings = Rings(
        pepper=ground.store.pepper(ground.folder.pepper()),
        cost_centres={name: unit.cost_centre for name, unit in estate.units.items()},
        root=estate.root,
        admin=os.environ.get(ADMIN_KEY),
        bearers=tuple(
            Bearer(name=name, unit=one.unit, use_cases=one.use_cases, **one.marks())
            for name, one in estate.certificates.items()
        ),
    )
    budgets, limits = compile_budgets(estate, ground.store.next_declaration()), compile_limits(estate)
    if (count := sum(1 for _ in limits)) > MOST_LIMITS:
        raise Unstartable(f"the estate has {count} limits; an exchange counts against {MOST_LIMITS} and no more")
    recipients = compile_recipients(estate)
    return Checked(loaded, compiler, rings, compiler.compile(), budgets, limits, environment, recipients)
