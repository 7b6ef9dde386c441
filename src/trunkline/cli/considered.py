"""The estate that a question is about: the file given, or the estate applied last with what was verified since."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from trunkline.app.applied import applied_estate
from trunkline.app.compiling import surround
from trunkline.clock import SystemClock
from trunkline.config.environment import Environment
from trunkline.errors import Unstartable
from trunkline.estate.endpoints import Address
from trunkline.estate.estate import Estate
from trunkline.estate.load import Loaded, load
from trunkline.estate.snapshot import Snapshot
from trunkline.policy.compile import compile_estate
from trunkline.policy.sources import Sourced, trace_all
from trunkline.policy.surroundings import Surroundings
from trunkline.policy.verified import ClaimStore, Overlaid, overlay
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.store.place import VARIABLE, place_of
from trunkline.tenancy.keys import KeyStore

ENGINE = Address(url="http://127.0.0.1:1", key="")
"""Stands for an engine that is not asked whether it runs: it starts with the exchange."""


class Considered(msgspec.Struct, frozen=True):
    """An estate as it stands at a moment.

    Attributes:
        loaded: as its file declares it.
        overlaid: with later verifications laid over it.
        claims: where they are kept; None where the estate is a file that no data folder has applied.
        keys: the data folder's, likewise.
        pepper: under which their secrets are digested, likewise.
        now: the moment, in nanoseconds since 1970.
    """

    loaded: Loaded
    overlaid: Overlaid
    surroundings: Surroundings
    now: int
    claims: ClaimStore | None = None
    keys: KeyStore | None = None
    pepper: bytes = b""

    @property
    def estate(self) -> Estate:
        """The estate, with later verifications laid over it."""
        return self.overlaid.estate

    def compile(self) -> Snapshot:
        """Return it compiled, engines taken to run."""
        return compile_estate(self.estate, self.surroundings, self.now)

    def sourced(self) -> tuple[Sourced, ...]:
        """Return every claim that counts in it."""
        return tuple(trace_all(self.estate, self.surroundings.vendors, self.now, self.overlaid.verified))


@contextmanager
def consider(data: Path, estate: Path | None, store: str | None = None) -> Iterator[Considered]:
    """Read the estate at a path alone, or the one last applied in the data folder with what was verified there since.

    Args:
        data: the data folder.
        estate: the path, if any.
        store: where the data folder's books are; None for where the exchange kept them last.

    Raises:
        errors.BadEstate: it has faults.
        errors.Unstartable: no path is given, and none was applied in the data folder.
    """
    if estate is not None:
        yield consider_file(estate)
        return
    folder = data.expanduser()
    path = applied_estate(folder)
    if path is None:
        raise Unstartable(
            f"no estate was applied in {folder} yet: name one with --estate FILE, or start an exchange with "
            "`trunkline up --estate FILE`"
        )
    considered = consider_file(path)
    kept = DataFolder(folder)
    with open_store(place_of(kept, store or os.environ.get(VARIABLE))) as opened:
        versions = opened.claim_versions()
        yield msgspec.structs.replace(
            considered,
            overlaid=overlay(considered.estate, considered.surroundings.vendors, versions),
            surroundings=msgspec.structs.replace(considered.surroundings, database_here=opened.here),
            claims=opened,
            keys=opened,
            pepper=opened.pepper(kept.pepper()),
        )


def consider_file(estate: Path) -> Considered:
    """Read the estate at a path alone.

    Raises:
        errors.BadEstate: it has faults.
    """
    loaded = load(estate.expanduser())
    surroundings = surround(Environment(loaded.folder, os.environ))
    engines = {name: ENGINE for name, one in loaded.estate.deployments.items() if one.engine is not None}
    return Considered(
        loaded=loaded,
        overlaid=Overlaid(loaded.estate),
        surroundings=msgspec.structs.replace(surroundings, addresses=engines),
        now=SystemClock.now(),
    )
