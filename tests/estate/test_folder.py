from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.errors import BadEstate
from trunkline.estate.load import load

BASE = """\
estate: acme
currency: EUR
units: {acme: CC-1, sales: {parent: acme, cost_centre: CC-2}, inside: {parent: sales, cost_centre: CC-3}}
data_classes: {open: {}}
boundaries: {house: {provider: self-managed, owner: acme}}
budgets: [{on: {unit: acme}, per: month, amount: 10}]
"""
SALES = """\
owner: sales
deployments:
  small: {model: a/b, pattern: self_managed, boundary: house, engine: {}}
pools: {own: {tiers: [[small]]}}
use_cases: {letters: {audience: [sales], data_class: open, pools: [own]}}
budgets:
  - {on: {unit: inside}, per: month, amount: 5}
  - {on: {use_case: letters}, per: month, amount: 5}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "sales.yml").write_text(SALES)
    return tmp_path


def faults_of(folder: Path) -> list[str]:
    with pytest.raises(BadEstate) as caught:
        load(folder)
    return [fault.replace(f"{folder}/", "") for fault in caught.value.faults]


def test_the_files_of_a_folder_are_one_estate(folder: Path) -> None:
    (folder / "limits.json").write_text('{"limits": [{"on": {"unit": "sales"}, "rpm": 5}]}')
    (folder / "notes.txt").write_text("not an estate")
    (folder / ".hidden.yaml").write_text("not: [an, estate")

    loaded = load(folder)

    assert [file.name for file in loaded.files] == ["base.yaml", "limits.json", "sales.yml"]
    assert loaded.folder == folder
    assert [budget.amount for budget in loaded.estate.budgets] == [10, 5, 5]
    assert len(loaded.estate.limits) == 1


def test_a_file_of_a_unit_owns_what_it_declares(folder: Path) -> None:
    estate = load(folder).estate

    assert estate.pools["own"].owner == "sales"
    assert estate.use_cases["letters"].owner == "sales"
    assert estate.deployments["small"].owner == "sales"


def test_a_name_declared_in_two_files_names_both_places(folder: Path) -> None:
    (folder / "again.yaml").write_text("boundaries:\n  house: {provider: self-managed, owner: acme}\nestate: acme\n")

    assert faults_of(folder) == [
        f'base.yaml:1:1: "estate" is declared twice; the first is at {folder}/again.yaml:3:1'.replace(f"{folder}/", ""),
        'base.yaml:5:14: "house" is declared twice; the first is at again.yaml:2:3',
    ]


def test_data_classes_stand_in_one_file_because_their_order_matters(folder: Path) -> None:
    (folder / "classes.yaml").write_text("data_classes: {closed: {}}\n")

    assert faults_of(folder) == [
        "classes.yaml:1:1: data classes stand in one file, for their order matters; the others stand at base.yaml:4:1"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("owner: sales\nunits: {more: CC-9}\n", "x.yaml:2:1: a file with `owner: sales` declares only boundaries, "),
        ("owner: salse\n", 'x.yaml:1:8: unit "salse" is not declared; did you mean "sales"?'),
        ("owner: [sales]\n", "x.yaml:1:8: owner wants the name of a unit; this is a list"),
        (
            "owner: sales\npools: {p: {owner: acme, tiers: [[small]]}}\n",
            'x.yaml:2:20: this file belongs to "sales" and declares only what it owns',
        ),
        (
            "owner: sales\nbudgets: [{on: {unit: acme}, per: day, amount: 1}]\n",
            'x.yaml:2:16: this file belongs to "sales"; `on` names that unit, one below it, or what they own',
        ),
        (
            "owner: sales\nlimits: [{on: {boundary: house}, rpm: 1}]\n",
            'x.yaml:2:15: this file belongs to "sales"; `on` names that unit, one below it, or what they own',
        ),
        (
            "owner: sales\nlimits: [{on: {key: key_1}, rpm: 1}]\n",
            'x.yaml:2:15: this file belongs to "sales"; `on` names that unit, one below it, or what they own',
        ),
    ],
)
def test_a_file_of_a_unit_declares_nothing_of_others(folder: Path, text: str, fault: str) -> None:
    (folder / "x.yaml").write_text(text)

    assert [each[: len(fault)] for each in faults_of(folder)] == [fault]


def test_faults_of_several_files_come_together(folder: Path) -> None:
    (folder / "a.yaml").write_text("pools: {")
    (folder / "b.yaml").write_text("pool: {}")

    files = [fault.split(":")[0] for fault in faults_of(folder)]
    assert files == ["a.yaml", "b.yaml"]


def test_a_folder_without_an_estate_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadEstate, match=r"the folder holds no estate: no file ends in \.yaml, \.yml or \.json"):
        load(tmp_path)
