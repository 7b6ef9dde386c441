from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.app.applied import keep_applied
from trunkline.cli.data_folder import examine_folder, journals
from trunkline.cli.estate_file import examine_estate
from trunkline.cli.findings import Finding, Verdict
from trunkline.ids import mint_journal_id
from trunkline.metering.frames import SUFFIX, header
from trunkline.store.folder import DataFolder

if TYPE_CHECKING:
    from tests.cli.conftest import Command

NOW = datetime(2026, 11, 22, tzinfo=UTC)
Look = Callable[[Path], dict[str, Finding]]


@pytest.fixture
def look() -> Look:
    return lambda path: {found.about: found for found in examine_folder(path, NOW).findings}


def test_a_sound_folder_has_nothing_that_fails(data: Path, look: Look) -> None:
    assert [found for found in look(data).values() if found.verdict is Verdict.FAIL] == []


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path, look: Look) -> None:
    found = look(tmp_path / "deep" / "data")["data folder"]
    assert found.verdict is Verdict.OK
    assert "first start makes it" in found.says
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_folders_place_fails(tmp_path: Path, look: Look) -> None:
    (tmp_path / "data").write_text("")
    assert look(tmp_path / "data")["data folder"].verdict is Verdict.FAIL


def test_a_folder_that_others_can_read_is_warned_of(data: Path, look: Look) -> None:
    data.chmod(0o755)
    found = look(data)["permissions"]
    assert found.verdict is Verdict.WARN
    assert found.do == f"chmod 700 {data}"


def test_who_holds_the_folder_is_said(data: Path) -> None:
    with DataFolder(data).hold() as grip:
        grip.announce(4711)
        examined = examine_folder(data, NOW)
    found = {found.about: found for found in examined.findings}["exchange"]
    assert examined.held_by is not None
    assert f"process {examined.held_by}" in found.says
    assert "127.0.0.1:4711" in found.says


def test_a_store_that_is_no_database_fails_with_what_to_do(data: Path, look: Look) -> None:
    for file in data.glob("trunkline.db*"):
        file.unlink()
    (data / "trunkline.db").write_bytes(b"not a database at all" * 100)
    found = look(data)["store"]
    assert found.verdict is Verdict.FAIL
    assert found.do


def test_leftover_and_torn_journals_are_warned_of_and_left_alone(data: Path) -> None:
    folder = DataFolder(data).journal_folder
    whole, torn = mint_journal_id(), mint_journal_id()
    (folder / f"{whole}{SUFFIX}").write_bytes(header(whole))
    (folder / f"{torn}{SUFFIX}").write_bytes(header(torn) + b"\x01\x02")
    (found,) = journals(folder, running=False)
    assert found.verdict is Verdict.WARN
    assert "2 left by an exchange that is gone, 1 with a torn end" in found.says
    assert len(list(folder.iterdir())) == 2
    (running,) = journals(folder, running=True)
    assert running.verdict is Verdict.OK


def test_a_damaged_journal_fails(data: Path) -> None:
    folder = DataFolder(data).journal_folder
    (folder / f"{mint_journal_id()}{SUFFIX}").write_bytes(b"\xff" * 4_096)
    assert Verdict.FAIL in {found.verdict for found in journals(folder, running=False)}


def test_the_command_ends_in_1_where_something_fails(trunkline: Command, data: Path, tmp_path: Path) -> None:
    done = trunkline("doctor", "--data", data, "--port", "0", "--json")
    rows = json.loads(done.out)
    assert done.code == 0
    assert {"about", "verdict", "says", "do"} == set(rows[0])
    (tmp_path / "file").write_text("")
    done = trunkline("doctor", "--data", tmp_path / "file", "--port", "0")
    assert done.code == 1
    assert "fail" in done.out


def test_the_estate_is_looked_at_given_or_last_applied(data: Path, estate: Path) -> None:
    assert examine_estate(None, data).verdict is Verdict.WARN
    assert examine_estate(estate, data).verdict is Verdict.OK
    keep_applied(data, [estate])
    assert "small" in examine_estate(None, data).says
    estate.write_text("units: 5\n", "utf-8")
    found = examine_estate(estate, data)
    assert found.verdict is Verdict.FAIL
    assert found.do == f"trunkline check {estate}"
