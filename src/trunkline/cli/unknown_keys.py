"""Keys that an estate names and that nobody has: the estate's file knows nothing of keys, the store does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from trunkline.cli.keys import state_of
from trunkline.estate.estate import Estate
from trunkline.policy.named_keys import named_keys
from trunkline.policy.warn import Unwise
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.store.place import VARIABLE, place_of
from trunkline.tenancy.ring import ADMIN

CERTIFICATE = "cert_"
DEAD = frozenset({"revoked", "expired"})


def states_of_keys(data: Path | None, store: str | None, now: int) -> Mapping[str, str] | None:
    """Return how each key of a store stands; None where no store is named, or the folder named has none yet.

    Raises:
        errors.TrunklineError: it cannot be read.
    """
    if data is None and store is None:
        return None
    place = store
    if data is not None:
        if not data.expanduser().is_dir():
            return None
        place = place_of(DataFolder(data.expanduser()), store or os.environ.get(VARIABLE))
        if "://" not in place and not Path(place).exists():
            return None
    if place is None:
        return None
    with open_store(place) as opened:
        return {key.id: state_of(key, now) for key in opened.all()}


def unknown_keys(estate: Estate, states: Mapping[str, str] | None) -> Iterator[Unwise]:
    """Yield what an estate names keys for in vain. Without a store, only those of certificates can be told."""
    certificates = {f"{CERTIFICATE}{name}" for name in estate.certificates}
    for named in named_keys(estate):
        key = named.key
        if key == ADMIN or key in certificates:
            continue
        if key.startswith(CERTIFICATE):
            why = f"no certificate is declared as {key.removeprefix(CERTIFICATE)}"
        elif states is None:
            continue
        elif key not in states:
            why = f"there is no key {key}; `trunkline key list` shows the ids"
        elif states[key] in DEAD:
            why = f"the key {key} is {states[key]}"
        else:
            continue
        yield Unwise(named.path, f"{named.in_vain}: {why}")
