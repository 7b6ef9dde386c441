"""What an estate is when it comes into force."""

from __future__ import annotations

import json
from pathlib import Path

from tests.path.exchange import deployment, estate

from trunkline.app.ground import Ground, check
from trunkline.app.options import Options
from trunkline.clock import SystemClock
from trunkline.estate.load import load
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store


class SetBack(SystemClock):
    """A clock that was set back by some fifty years."""

    @staticmethod
    def now() -> int:
        return 1


def test_a_budget_declared_after_a_clock_was_set_back_is_newer_than_that_before_it(tmp_path: Path) -> None:
    made = estate({"gpt": deployment("http://127.0.0.1:1")}, {"chat": [["gpt"]]})
    made["budgets"] = [{"on": {"unit": "acme"}, "per": "month", "amount": 10, "hard": True}]
    file = tmp_path / "estate.yaml"
    file.write_text(json.dumps(made), "utf-8")
    folder = DataFolder(tmp_path)
    with open_store(folder.store_path) as store:
        declared = [
            budget.account.declared_at
            for clock in (SystemClock(), SetBack())
            for budget in check(Ground(Options(data=tmp_path), folder, store, clock, "one"), load(file)).budgets
        ]
    assert len(declared) == 2
    assert declared[0] < declared[1]
