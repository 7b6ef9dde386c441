from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command


@pytest.fixture
def bad(estate: Path) -> Path:
    text = estate.read_text("utf-8").replace("tiers: [[near]", "tiers: [[naer]").replace("audience:", "audiences:")
    estate.write_text(text, "utf-8")
    return estate


def test_an_estate_without_faults_is_shown_by_pattern_with_what_is_not_in_force(
    trunkline: Command, estate: Path
) -> None:
    done = trunkline("check", estate)
    assert done.code == 0
    assert "A_VARIABLE_THAT_NOBODY_SETS" in done.out
    assert "limits on persons are not in force yet" in done.out
    assert "no faults" in done.out


def test_all_faults_are_said_at_once_with_file_line_and_the_nearest_name(trunkline: Command, bad: Path) -> None:
    done = trunkline("check", bad)
    assert done.code == 1
    faults = [line for line in done.out.splitlines() if line.startswith(f"{bad}:")]
    assert len(faults) >= 2
    assert any("near" in fault for fault in faults)
    assert any("audience" in fault for fault in faults)


def test_faults_are_given_to_programs_too(trunkline: Command, bad: Path) -> None:
    done = trunkline("check", bad, "--json")
    assert done.code == 1
    report = json.loads(done.out)
    assert report["ok"] is False
    assert len(report["faults"]) >= 2


def test_what_is_declared_is_given_to_programs_too(trunkline: Command, estate: Path) -> None:
    report = json.loads(trunkline("check", estate, "--json").out)
    assert report["ok"] is True
    states = {row["deployment"]: row["state"] for row in report["deployments"]}
    assert states == {"near": "ready", "far": "not_configured"}


def test_a_credential_that_resolves_is_never_printed(
    trunkline: Command, estate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_VARIABLE_THAT_NOBODY_SETS", "sk-very-secret-key")
    done = trunkline("check", estate)
    assert "sk-very-secret-key" not in done.out + done.err
    assert "not configured" not in done.out


def test_a_file_that_is_not_there_is_wrong_usage(trunkline: Command, tmp_path: Path) -> None:
    assert trunkline("check", tmp_path / "nowhere.yaml").code == 2


def test_what_is_legal_but_unwise_is_told_with_its_place(trunkline: Command, estate: Path) -> None:
    text = estate.read_text("utf-8").replace("pools:\n", "pools:\n  spare: {owner: small, tiers: [[near]]}\n", 1)
    estate.write_text(text, "utf-8")
    line = text[: text.index("  spare:")].count("\n") + 1
    done = trunkline("check", estate)
    assert done.code == 0
    assert f"{estate}:{line}:3: pool spare is unused" in done.out
    assert (
        f"{estate}:{line}:3: pool spare is unused: no use case names it"
        in json.loads(trunkline("check", estate, "--json").out)["warnings"]
    )


def test_the_schema_is_one_json_object(trunkline: Command) -> None:
    assert json.loads(trunkline("schema").out)["type"] == "object"
