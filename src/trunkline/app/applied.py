"""The estate that was applied last, kept in the data folder so that commands can read it without being told where."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trunkline.errors import Unstartable
from trunkline.estate.load import Loaded, load

FOLDER = "applied-estate"
ORIGIN = "origin"
"""The file that names the folder the estate came from: relative `file:` references start there."""


def keep_applied(data: Path, files: Sequence[Path], origin: Path | None = None) -> None:
    """Keep copies of the files that declare the applied estate, in place of those before.

    Raises:
        OSError: they cannot be copied; what was kept before is still there.
    """
    fresh, kept, past = data / f"{FOLDER}.new", data / FOLDER, data / f"{FOLDER}.old"
    for left in (fresh, past):
        shutil.rmtree(left, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    for file in files:
        shutil.copyfile(file, fresh / file.name)
    if origin is not None:
        (fresh / ORIGIN).write_text(str(origin.absolute()), "utf-8")
    if kept.exists():
        kept.rename(past)
    fresh.rename(kept)
    shutil.rmtree(past, ignore_errors=True)


def applied_estate(data: Path) -> Path | None:
    """Return the folder with the estate that was applied last, or None where none was."""
    kept = data / FOLDER
    return kept if kept.is_dir() else None


def load_applied(data: Path) -> Loaded:
    """Read the estate that was applied last; its `file:` references start where they did then.

    Raises:
        BadEstate: it has faults.
        Unstartable: none was applied yet.
    """
    kept = applied_estate(data)
    if kept is None:
        raise Unstartable(
            "there is no estate: name its file or folder with --estate or TRUNKLINE_ESTATE. "
            "`trunkline check FILE` checks one; examples/acme is one to begin with."
        )
    loaded = load(kept)
    try:
        origin = Path((kept / ORIGIN).read_text("utf-8"))
    except FileNotFoundError:
        return loaded
    return msgspec.structs.replace(loaded, folder=origin)
