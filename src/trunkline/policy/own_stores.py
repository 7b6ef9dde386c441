"""What the exchange may keep of content itself, by data class."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.catalog.controls import ControlValue
from trunkline.catalog.stores import STORES
from trunkline.estate.claims import Claim, DataClass
from trunkline.estate.decisions import Denial
from trunkline.estate.own_stores import OwnStore
from trunkline.estate.zones import CATALOGUE, Zones
from trunkline.policy.claims import own_claim
from trunkline.policy.satisfy import FAR, describe_claim, describe_requirement, next_change, satisfies

TITLE = "a store that this exchange keeps"
CONVERSATIONS: Final = "conversations"
RETENTION: Final = "app_state_retention_days"
SEALED: Final[Mapping[str, ControlValue]] = MappingProxyType({"customer_managed_keys": "enforced"})
"""What is known of content that is encrypted with a key of the operator's before it reaches the database."""
NOTHING: Final[Mapping[str, OwnStore]] = MappingProxyType({})


def weigh_stores(
    classes: dict[str, DataClass],
    now: int,
    zones: Zones = CATALOGUE,
    declared: Mapping[str, OwnStore] = NOTHING,
    *,
    database_here: bool = True,
) -> dict[str, dict[str, tuple[Denial, ...]]]:
    """Hold each of the exchange's own stores against each data class and all looser ones.

    Of a database on another machine the exchange claims nothing: only what the estate declares counts.
    """
    ground = _Ground(classes, now, zones, declared, database_here)
    return {store: ground.weigh(store) for store in STORES}


def weigh_keeping(
    classes: dict[str, DataClass],
    now: int,
    zones: Zones,
    declared: Mapping[str, OwnStore],
    *,
    known: Mapping[str, ControlValue],
    database_here: bool,
) -> dict[str, tuple[Denial, ...]]:
    """Say for each data class why conversations of it may not be kept; nothing where they may.

    `known` are values of controls that are known for them beyond what the catalogue says, wherever the database is.
    """
    return _Ground(classes, now, zones, declared, database_here).weigh(CONVERSATIONS, known)


class _Ground(msgspec.Struct, frozen=True):
    """What stores are weighed against."""

    classes: dict[str, DataClass]
    now: int
    zones: Zones
    declared: Mapping[str, OwnStore]
    database_here: bool

    def weigh(
        self, store: str, instead: Mapping[str, ControlValue] = MappingProxyType({})
    ) -> dict[str, tuple[Denial, ...]]:
        """Hold one store against each class; `instead` are values that are known better than the catalogue's."""
        entry, now = STORES[store], self.now
        against: tuple[Denial, ...] = ()
        if not entry.content:
            against = (Denial(deployment=store, rule="the store takes no content", claim=f"it keeps {entry.keeps}"),)
        own = {**(entry.controls if self.database_here or not entry.tables else {}), **instead}
        found: dict[str, tuple[Denial, ...]] = {}
        for name, data_class in self.classes.items():
            for control, requirement in data_class.requires.items():
                said = self.declared[store].controls.get(control) if store in self.declared else None
                claims = [claim for claim in (said,) if claim is not None and _counts(claim)]
                if control in own:
                    claims.append(own_claim(own[control], now, TITLE))
                failing = [claim for claim in claims if not satisfies(control, claim, requirement, now, self.zones)]
                if failing or not claims:
                    rule = f"data class {name} requires {describe_requirement(control, requirement)}"
                    claim = failing[0] if failing else None
                    against = (*against, Denial(store, rule, describe_claim(control, claim, now)))
            found[name] = against
        return found


def stores_good_until(classes: dict[str, DataClass], now: int, declared: Mapping[str, OwnStore]) -> int:
    """When what was declared of stores may come to count otherwise by itself, in nanoseconds since 1970."""
    moments = [
        next_change(store.controls[control], requirement, now)
        for store in declared.values()
        for data_class in classes.values()
        for control, requirement in data_class.requires.items()
        if control in store.controls
    ]
    return min(moments, default=FAR)


def _counts(claim: Claim) -> bool:
    """Whether a claim speaks of all that is kept, not of some calls alone."""
    return not claim.applies_to.endpoints and not claim.applies_to.models
