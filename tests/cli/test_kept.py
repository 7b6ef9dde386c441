from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.store.test_turn_table import FIRST, turn

from trunkline.clock import SystemClock
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store

if TYPE_CHECKING:
    from tests.cli.conftest import Command

DAY = 86_400_000_000_000


@pytest.fixture
def kept(data: Path) -> Path:
    """A data folder with three turns, the first of them old."""
    with open_store(DataFolder(data).store_path) as store:
        store.keep_turn(FIRST)
        for number, unit in ((2, "sales"), (3, "hr")):
            made = turn(number, None, unit=unit, expires_at=SystemClock.now() + DAY)
            store.keep_turn(made)
    return data


def test_what_is_kept_is_listed_without_what_it_says(trunkline: Command, kept: Path) -> None:
    rows = json.loads(trunkline("kept", "list", "--data", kept, "--json").out)
    assert [(row["unit"], row["use_case"], row["turns"]) for row in rows] == [("hr", "chat", 1), ("sales", "chat", 2)]
    shown = trunkline("kept", "list", "--unit", "hr", "--data", kept).out
    assert "hr" in shown
    assert "sales" not in shown


def test_turns_are_erased_by_whom_they_belong_to(trunkline: Command, kept: Path) -> None:
    done = trunkline("kept", "erase", "--unit", "sales", "--data", kept, "--json")
    assert json.loads(done.out) == {"erased": 2, "items": 0}
    assert trunkline("kept", "erase", "--before", "1d", "--data", kept).out.strip() == "1 turn is erased"
    assert "nothing is kept" in trunkline("kept", "list", "--data", kept).out


@pytest.mark.parametrize("wrong", [(), ("--all", "--unit", "hr"), ("--before", "soon")])
def test_nothing_is_erased_unless_it_is_said_what(trunkline: Command, kept: Path, wrong: tuple[str, ...]) -> None:
    assert trunkline("kept", "erase", *wrong, "--data", kept).code == 2
    assert trunkline("kept", "erase", "--all", "--data", kept).out.strip() == "3 turns are erased"
