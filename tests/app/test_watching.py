from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.app.watching import EstateWatch, sign

WITHIN = 10.0


def write(path: Path, text: str) -> None:
    path.write_text(text)


def replace(path: Path) -> None:
    fresh = path.with_name("fresh")
    fresh.write_text(path.read_text())
    about = path.stat()
    os.utime(fresh, ns=(about.st_atime_ns, about.st_mtime_ns))
    fresh.rename(path)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


CHANGES: dict[str, Callable[[Path], None]] = {
    "written": lambda folder: write(folder / "a.yaml", "longer"),
    "touched": lambda folder: touch(folder / "a.yaml"),
    "replaced by its like": lambda folder: replace(folder / "a.yaml"),
    "another one beside it": lambda folder: write(folder / "b.yaml", "b"),
    "gone": lambda folder: (folder / "a.yaml").unlink(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "estate"
    folder.mkdir()
    write(folder / "a.yaml", "a")
    return folder


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_an_estates_files_is_seen(folder: Path, change: Callable[[Path], None]) -> None:
    before = sign(folder)
    assert sign(folder) == before
    change(folder)
    assert sign(folder) != before


def test_what_is_no_estate_does_not_matter(folder: Path) -> None:
    before = sign(folder)
    write(folder / "notes.txt", "x")
    assert sign(folder) == before


async def test_a_change_is_told_once_it_stands_still(folder: Path) -> None:
    watch = EstateWatch(folder, look_every=0.001, quiet=0.001)
    write(folder / "b.yaml", "b")
    await asyncio.wait_for(watch.changed(), WITHIN)
    again = asyncio.create_task(watch.changed())
    done, _ = await asyncio.wait({again}, timeout=0.1)
    assert not done
    write(folder / "b.yaml", "more")
    await asyncio.wait_for(again, WITHIN)


async def test_a_change_between_making_and_asking_is_not_missed(folder: Path) -> None:
    watch = EstateWatch(folder / "a.yaml", look_every=0.001, quiet=0.001)
    (folder / "a.yaml").unlink()
    await asyncio.wait_for(watch.changed(), WITHIN)
