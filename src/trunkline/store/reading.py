from __future__ import annotations

from trunkline import errors
from trunkline.metering.recover import Recovery, recover
from trunkline.store.folder import DataFolder
from trunkline.store.open import Store


def catch_up(folder: DataFolder, store: Store, now: int) -> Recovery | None:
    """Book what an exchange that is gone left in its journals, so that commands see all of it.

    Returns None where an exchange runs on the folder: it books by itself, within a second.

    Raises:
        errors.DataFolderUnusable: a newer version of Trunkline wrote a journal.
    """
    try:
        grip = folder.hold(patience=0)
    except errors.DataFolderBusy:
        return None
    with grip:
        return recover(folder.journal_folder, store, now)
