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
    assert "lending and shares of a pool are not in force yet" in done.out
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


def naming(estate: Path, *keys: str) -> Path:
    text = estate.read_text("utf-8")
    text += "".join(f"  - {{on: {{key: {key}}}, rpm: 5}}\n" for key in keys)
    estate.write_text(text, "utf-8")
    return estate


def test_keys_that_the_estate_names_and_nobody_has_are_told_with_their_line(
    trunkline: Command, estate: Path, data: Path
) -> None:
    made = [
        json.loads(trunkline("key", "create", "--unit", "small", "--data", data, "--estate", estate, "--json").out)[
            "id"
        ]
        for _ in range(2)
    ]
    trunkline("key", "revoke", made[1], "--data", data)
    naming(estate, *made, "key_of_nobody", "cert_gone", "key_admin")
    report = json.loads(trunkline("check", estate, "--data", data, "--json").out)
    told = [line for line in report["warnings"] if "binds nothing" in line]
    nobody = "there is no key key_of_nobody"
    first = len(estate.read_text("utf-8").splitlines()) - 4
    assert told == [
        f"{estate}:{first + 1}:11: the limit on it binds nothing: the key {made[1]} is revoked",
        f"{estate}:{first + 2}:11: the limit on it binds nothing: {nobody}; `trunkline key list` shows the ids",
        f"{estate}:{first + 3}:11: the limit on it binds nothing: no certificate is declared as gone",
    ]
    without = json.loads(trunkline("check", estate, "--json").out)["warnings"]
    assert [line for line in without if "binds nothing" in line] == told[2:]


def test_an_audience_that_names_a_key_of_nobody_is_told(trunkline: Command, estate: Path, data: Path) -> None:
    trunkline("key", "list", "--data", data)
    text = estate.read_text("utf-8").replace("audience: [small]", 'audience: [small, "key:key_of_nobody"]')
    estate.write_text(text, "utf-8")
    done = trunkline("check", estate, "--data", data)
    assert done.code == 0
    assert "lets nobody in by it: there is no key key_of_nobody" in " ".join(done.out.split())


def test_a_store_that_cannot_be_read_is_told_and_is_no_fault(trunkline: Command, estate: Path) -> None:
    done = trunkline("check", estate, "--store", "postgresql://nobody@127.0.0.1:1/nothing", "--json")
    assert done.code == 0
    assert any("were not looked up" in line for line in json.loads(done.out)["warnings"])
