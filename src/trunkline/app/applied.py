"""The estate that was applied last, kept in the data folder so that commands can read it without being told where."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

FOLDER = "applied-estate"


def keep_applied(data: Path, files: Sequence[Path]) -> None:
    """Keep copies of the files that declare the applied estate, in place of those before."""
    fresh, kept = data / f"{FOLDER}.new", data / FOLDER
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    for file in files:
        shutil.copyfile(file, fresh / file.name)
    shutil.rmtree(kept, ignore_errors=True)
    fresh.rename(kept)


def applied_estate(data: Path) -> Path | None:
    """Return the folder with the estate that was applied last, or None where none was."""
    kept = data / FOLDER
    return kept if kept.is_dir() else None
