"""The books of a data folder: keys and ledger, whether an exchange runs on it or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from trunkline.clock import SystemClock
from trunkline.conversations.dialogues import DialogueStore
from trunkline.conversations.turns import TurnStore
from trunkline.errors import DataFolderUnusable
from trunkline.metering.ports import LeaseStore, LedgerStore
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.store.place import VARIABLE, place_of
from trunkline.store.reading import catch_up
from trunkline.tenancy.keys import KeyStore


class Books(msgspec.Struct, frozen=True):
    """What is kept in a data folder, and in the store that belongs to it."""

    folder: DataFolder
    keys: KeyStore
    ledger: LedgerStore
    leases: LeaseStore
    turns: TurnStore
    dialogues: DialogueStore
    pepper: bytes


@contextmanager
def open_books(data: Path, store: str | None = None, *, make: bool = False) -> Iterator[Books]:
    """Open a data folder's books; what an exchange that is gone left in its journals is booked first.

    Args:
        data: the folder; a leading `~` is the home.
        store: where its books are; None for where the exchange kept them last.
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
    with open_store(place_of(folder, store or os.environ.get(VARIABLE))) as opened:
        catch_up(folder, opened, SystemClock.now())
        yield Books(folder, opened, opened, opened, opened, opened, opened.pepper(folder.pepper()))
