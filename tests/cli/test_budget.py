"""What people say of budgets is taken where it can be kept, and refused in words where it cannot."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.app.applied import keep_applied, load_applied
from trunkline.ids import mint_journal_id
from trunkline.metering.budgets import compile_budgets
from trunkline.metering.leases import Ask, LeaseId
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store

if TYPE_CHECKING:
    from tests.cli.conftest import Command

NAME = "unit:small/month"


@pytest.fixture
def small(data: Path, estate: Path) -> Path:
    """A data folder in which the small estate was applied."""
    keep_applied(data, [estate])
    return data


def raised(trunkline: Command, data: Path, by: str, until: str = "30d") -> int:
    return trunkline("budget", "raise", NAME, "--by", by, "--until", until, "--reason", "a fair", "--data", data).code


@pytest.mark.parametrize("by", ["1e30", "1e400", "1e999999999", "4000000001", "1e-12", "Infinity", "NaN", "-1", "0"])
def test_an_increase_that_the_ledger_cannot_hold_is_refused_and_nothing_is_kept(
    trunkline: Command, small: Path, by: str
) -> None:
    assert raised(trunkline, small, by) == 2
    assert json.loads(trunkline("budget", "show", NAME, "--json", "--data", small).out)["raises"] == []


def test_increases_are_refused_before_their_sum_is_more_than_the_ledger_can_hold(
    trunkline: Command, small: Path
) -> None:
    assert [raised(trunkline, small, "4000000000") for _ in range(2)] == [0, 1]
    (row,) = json.loads(trunkline("budget", "list", "--json", "--data", small).out)
    assert row["limit"] == 4_000_000_010
    assert trunkline("ledger", "verify", "--data", small).code == 0


@pytest.mark.parametrize("until", ["9999-12-31", "2300-01-01", "999999w"])
def test_a_time_that_no_clock_of_the_store_reaches_is_refused(trunkline: Command, small: Path, until: str) -> None:
    assert raised(trunkline, small, "5", until) == 2


def test_sums_since_a_time_that_cannot_be_kept_are_refused_in_words(trunkline: Command, small: Path) -> None:
    assert trunkline("ledger", "sum", "--since", "0001-01-01", "--data", small).code == 2
    assert trunkline("ledger", "sum", "--since", "999999w", "--data", small).code == 2


def test_who_raised_a_budget_is_told_before_any_call_was_made(trunkline: Command, small: Path) -> None:
    assert raised(trunkline, small, "5") == 0
    (line,) = json.loads(trunkline("ledger", "lines", NAME, "--json", "--data", small).out)
    assert "a fair" in line["reason"]


def test_a_budget_is_listed_as_it_is_declared_now_and_in_its_own_zone(
    trunkline: Command, small: Path, estate: Path
) -> None:
    def spend(amount: int, lease: str) -> None:
        (one,) = compile_budgets(load_applied(small).estate, 1)
        account = one.account
        period = account.period_at(time.time_ns())
        ask = Ask(
            lease=LeaseId(lease), version=1, allowance=account.name, period=period, limit=account.limit, hard=False,
            declared_at=1, journal=mint_journal_id(), amount=amount, due=amount, need=amount, lasts=-1,
        )  # fmt: skip
        with open_store(DataFolder(small).store_path) as store:
            store.ask([ask])
            store.resolve(LeaseId(lease), spent=True, reason="spent", by="test")

    for place, zone in enumerate(("Asia/Kolkata", "Europe/Berlin", "America/New_York"), 1):
        changed = f"amount: {10 * place}, time_zone: {zone}"
        estate.write_text(estate.read_text("utf-8").replace("amount: 10}", f"{changed}}}"), "utf-8")
        keep_applied(small, [estate])
        spend(place * 1_000_000_000, zone)
        estate.write_text(estate.read_text("utf-8").replace(changed, "amount: 10"), "utf-8")
    estate.write_text(
        estate.read_text("utf-8").replace("amount: 10}", "amount: 70, time_zone: Europe/Berlin}"), "utf-8"
    )
    keep_applied(small, [estate])
    (row,) = json.loads(trunkline("budget", "list", "--json", "--data", small).out)
    assert (row["spent"], row["limit"], row["left"]) == (2, 70, 68)
