from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
ROOMS = [
    *(
        "cli",
        "app",
        "gateway",
        "store",
        "conversations",
        "serving",
        "policy",
        "metering",
        "upstream",
        "estate",
        "dialects",
        "catalog",
    ),
    *("tenancy", "config", "observability", "wire"),
]
LEAVES = ["errors", "ids", "money", "clock", "messages"]


def lint(folder: Path, source: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--no-logo"],
        cwd=folder,
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def skeleton(tmp_path: Path, root: Path) -> Path:
    """An empty package with our rooms, under our own contract."""
    settings = (root / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(settings[settings.index("[tool.importlinter]") :], "utf-8")
    package = tmp_path / "trunkline"
    for room in ROOMS:
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
    for module in ("__init__", *LEAVES):
        (package / f"{module}.py").touch()
    return package


def test_every_room_sees_only_the_rooms_below_its_own(root: Path) -> None:
    result = lint(root, root / "src")
    assert result.returncode == 0, result.stdout


def test_an_empty_skeleton_keeps_the_contract(skeleton: Path) -> None:
    assert lint(skeleton.parent, skeleton.parent).returncode == 0


@pytest.mark.parametrize(
    ("room", "seen"),
    [("gateway", "store"), ("policy", "metering"), ("wire", "estate"), ("estate", "policy"), ("tenancy", "catalog")],
)
def test_a_room_that_looks_up_or_sideways_breaks_the_contract(skeleton: Path, room: str, seen: str) -> None:
    (skeleton / room / "__init__.py").write_text(f"import trunkline.{seen}\n", "utf-8")
    result = lint(skeleton.parent, skeleton.parent)
    assert result.returncode == 1
    assert f"trunkline.{room} is not allowed to import trunkline.{seen}" in result.stdout


def test_a_room_that_nobody_placed_breaks_the_contract(skeleton: Path) -> None:
    (skeleton / "attic").mkdir()
    (skeleton / "attic" / "__init__.py").touch()
    assert lint(skeleton.parent, skeleton.parent).returncode == 1


def test_every_module_at_the_top_is_a_leaf_or_an_entry(root: Path) -> None:
    contract = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0]
    placed = {room.strip("() ") for layer in contract["layers"] for room in layer.split("|")}
    there = {path.stem for path in (root / "src/trunkline").iterdir() if path.name != "py.typed"} - {"__pycache__"}
    assert there - placed == {"__init__", "__main__"}
