"""Every command that reads the books reads those of the store that it is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.app.applied import keep_applied

if TYPE_CHECKING:
    from tests.cli.conftest import Command

ACME = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"


@pytest.fixture
def acme(data: Path) -> Path:
    """A data folder in which Acme's estate was applied."""
    keep_applied(data, [ACME])
    return data


def test_claims_doctor_and_explain_work_on_the_store_that_is_given(
    trunkline: Command, acme: Path, tmp_path: Path
) -> None:
    there, here = ("--data", acme, "--store", str(tmp_path / "elsewhere.db")), ("--data", acme)
    name = "gpt-reserved.human_review"
    assert trunkline("claims", "verify", name, "--evidence", "Renewed", "--by", "ada", *there).code == 0
    counts = {
        where: [row["in_force"] for row in json.loads(trunkline("claims", "history", name, "--json", *where).out)]
        for where in (there, here)
    }
    assert [len(rows) for rows in counts.values()] == [2, 1]
    listed = {row["claim"]: row for row in json.loads(trunkline("claims", "list", "--json", *there).out)}
    assert listed[name]["evidence"]["title"] == "Renewed"
    key = json.loads(trunkline("key", "create", "--unit", "acme", "--json", *there).out)["id"]
    assert trunkline("explain", "general-chat", "--caller", key, *there).code == 0
    assert trunkline("explain", "general-chat", "--caller", key, *here).code == 2
    assert "keys: 1" in trunkline("doctor", "--port", "0", *there).out
    assert "keys: 1" not in trunkline("doctor", "--port", "0", *here).out


def test_budgets_are_those_of_the_store_that_is_given(trunkline: Command, acme: Path, tmp_path: Path) -> None:
    there, here = ("--data", acme, "--store", str(tmp_path / "elsewhere.db")), ("--data", acme)
    name = "unit:marketing/month"
    assert name in trunkline("budget", "list", *there).out
    asked = ("--by", "5", "--until", "2090-01-01", "--reason", "a fair")
    assert trunkline("budget", "raise", name, *asked, *there).code == 0
    raised = [len(json.loads(trunkline("budget", "show", name, "--json", *w).out)["raises"]) for w in (there, here)]
    assert raised == [1, 0]
