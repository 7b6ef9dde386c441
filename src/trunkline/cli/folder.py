"""The books of a data folder: keys and ledger, whether an exchange runs on it or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from trunkline.clock import SystemClock
from trunkline.errors import DataFolderUnusable
from trunkline.metering.ports import LeaseStore, LedgerStore
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.store.reading import catch_up
from trunkline.tenancy.keys import KeyStore


class Books(msgspec.Struct, frozen=True):
    """What is kept in a data folder."""

    folder: DataFolder
    keys: KeyStore
    ledger: LedgerStore
    leases: LeaseStore


@contextmanager
def open_books(data: Path, *, make: bool = False) -> Iterator[Books]:
    """Open a data folder's books; what an exchange that is gone left in its journals is booked first.

    Args:
        data: the folder; a leading `~` is the home.
        make: make the folder where there is none.

    Raises:
        errors.DataFolderUnusable: there is none, it cannot be written, or a newer version wrote it.
    """
    path = data.expanduser()
    if not make and not path.is_dir():
        raise DataFolderUnusable(
            f"there is no data folder {path}: start an exchange with `trunkline up`, or give another with --data"
        )
    folder = DataFolder(path)
    with open_store(folder.store_path) as store:
        catch_up(folder, store, SystemClock.now())
        yield Books(folder, store, store, store)
