from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command

ACME = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Acme's estate with a class lowered and an audience narrowed."""
    text = ACME.read_text("utf-8").replace(
        "audience: [marketing, sales]\n    data_class: confidential", "audience: [marketing]\n    data_class: internal"
    )
    path = tmp_path / "estate.yaml"
    path.write_text(text, "utf-8")
    return path


def test_an_estate_and_itself_have_no_differences(trunkline: Command) -> None:
    done = trunkline("diff", ACME, ACME.parent)
    assert done.code == 0
    assert "no decision would change" in done.out
    assert json.loads(trunkline("diff", ACME, ACME, "--json").out) == []


def test_what_changes_is_shown_by_use_case_and_the_answer_is_no(trunkline: Command, changed: Path) -> None:
    done = trunkline("diff", ACME, changed)
    assert done.code == 1
    assert "content-drafts" in done.out
    assert "marketing, sales -> marketing" in done.out
    assert "decisions would change" in done.out


def test_changes_are_rows_with_the_same_keys(trunkline: Command, changed: Path) -> None:
    done = trunkline("diff", ACME, changed, "--json")
    assert done.code == 1
    rows = json.loads(done.out)
    keys = {"kind", "use_case", "data_class", "deployment", "section", "name", "field", "before", "after", "decides"}
    assert all(set(row) == keys for row in rows)
    gained = {(row["use_case"], row["data_class"], row["deployment"]) for row in rows if row["kind"] == "gained"}
    assert gained == {("content-drafts", "internal", "gpt-payg"), ("content-drafts", "internal", "gpt-saas")}


def test_an_estate_with_faults_is_no_answer(trunkline: Command, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("estate: x\n", "utf-8")
    done = trunkline("diff", ACME, path)
    assert done.code == 1
    assert str(path) in done.err
    assert trunkline("diff", ACME, tmp_path / "nowhere").code == 2
