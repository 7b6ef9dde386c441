"""What the exchange may keep of content itself: the one question that every sink has to ask before it writes."""

from __future__ import annotations

from trunkline.catalog.stores import STORES
from trunkline.estate.claims import DataClass
from trunkline.estate.stages import Denial, Snapshot
from trunkline.estate.zones import CATALOGUE, Zones
from trunkline.policy.claims import own_claim
from trunkline.policy.satisfy import describe_claim, describe_requirement, satisfies

TITLE = "a store that this exchange keeps"


def may_hold(snapshot: Snapshot, store: str, data_class: str) -> bool:
    """Whether content of a data class (prompts, answers, what an upstream says of them) may be written to a store.

    A store or a class that nothing is known of may hold nothing.
    """
    return snapshot.stores.get(store, {}).get(data_class) == ()


def weigh_stores(
    classes: dict[str, DataClass], now: int, zones: Zones = CATALOGUE
) -> dict[str, dict[str, tuple[Denial, ...]]]:
    """Hold each of the exchange's own stores against each data class and all looser ones."""
    found: dict[str, dict[str, tuple[Denial, ...]]] = {}
    for store, entry in STORES.items():
        against: tuple[Denial, ...] = ()
        if not entry.content:
            against = (Denial(deployment=store, rule="the store takes no content", claim=f"it keeps {entry.keeps}"),)
        found[store] = {}
        for name, data_class in classes.items():
            for control, requirement in data_class.requires.items():
                value = entry.controls.get(control)
                claim = None if value is None else own_claim(value, now, TITLE)
                if claim is None or not satisfies(control, claim, requirement, now, zones):
                    rule = f"data class {name} requires {describe_requirement(control, requirement)}"
                    against = (*against, Denial(store, rule, describe_claim(control, claim, now)))
            found[store][name] = against
    return found
