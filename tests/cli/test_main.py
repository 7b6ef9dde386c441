from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from trunkline import __version__
from trunkline.cli.commands import COMMANDS, Listed

if TYPE_CHECKING:
    from tests.cli.conftest import Command


def loaded(listed: Listed) -> Any:
    return typer.main.get_command(importlib.import_module(listed.module).app)


def every_command() -> list[tuple[str, Any]]:
    found = []
    for listed in COMMANDS:
        top = loaded(listed)
        found.append((listed.name, top))
        found += [(f"{listed.name} {name}", command) for name, command in getattr(top, "commands", {}).items()]
    return found


@pytest.mark.parametrize("listed", COMMANDS, ids=lambda listed: listed.name)
def test_a_listed_command_says_of_itself_what_the_list_says(listed: Listed) -> None:
    said = loaded(listed).help
    assert said.startswith(listed.summary.removesuffix("."))


def test_every_command_and_option_is_explained() -> None:
    for name, command in every_command():
        assert command.help, name
        assert [option.name for option in command.params if not option.help] == [], name


def test_one_environment_name_stands_for_one_option_everywhere() -> None:
    names: dict[str, set[str]] = {}
    for _, command in every_command():
        for option in command.params:
            known = option.envvar or []
            for variable in [known] if isinstance(known, str) else known:
                names.setdefault(variable, set()).add(option.opts[0])
                assert re.fullmatch(r"TRUNKLINE_[A-Z_]+", variable)
    assert {variable: options for variable, options in names.items() if len(options) > 1} == {}


def test_every_option_of_up_has_its_environment_name() -> None:
    up = next(command for name, command in every_command() if name == "up")
    for option in up.params:
        assert option.envvar == "TRUNKLINE_" + option.opts[0].removeprefix("--").upper().replace("-", "_")


def test_help_lists_every_command_without_loading_any(trunkline: Command) -> None:
    script = (
        "import sys; from trunkline.cli.main import run; sys.argv = ['trunkline', '--help']\n"
        "try: run()\n"
        "finally: sys.stderr.write(' '.join(name for name in sys.modules if 'trunkline.' in name))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stderr.split()) <= {
        *("trunkline.cli", "trunkline.cli.main", "trunkline.cli.commands", "trunkline.errors")
    }
    for listed in COMMANDS:
        assert listed.summary in done.stdout


def test_the_version_is_printed(trunkline: Command) -> None:
    assert trunkline("version").out.startswith(f"trunkline {__version__} ")
    assert f'"trunkline":"{__version__}"' in trunkline("version", "--json").out


@pytest.mark.parametrize("words", [["chek"], ["version", "--loud"], ["key"], ["ledger", "sum", "--by", "nothing"]])
def test_wrong_usage_ends_in_2_and_prints_nothing_on_standard_output(trunkline: Command, words: list[str]) -> None:
    done = trunkline(*words)
    assert done.code == 2


def test_a_mistyped_command_is_answered_with_the_nearest(trunkline: Command) -> None:
    assert "'check'" in trunkline("chek").err


def test_what_stops_a_command_is_one_message_and_no_traceback(trunkline: Command, tmp_path: Path) -> None:
    done = trunkline("ledger", "tail", "--data", tmp_path / "nowhere")
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("trunkline: there is no data folder ")
    assert "Traceback" not in done.err
