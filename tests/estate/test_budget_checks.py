from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.clock import as_nanos
from trunkline.errors import BadEstate
from trunkline.estate.load import Loaded, load
from trunkline.metering.budgets import compile_budgets
from trunkline.metering.periods import Period

ESTATE = """
estate: small
currency: EUR
time_zone: Europe/Berlin
units:
  acme: {cost_centre: CC-1}
  sales: {parent: acme, cost_centre: CC-2}
budgets:
"""


def loaded(folder: Path, *budgets: str) -> Loaded:
    path = folder / "estate.yaml"
    path.write_text(ESTATE.lstrip() + "".join(f"  - {{{one}}}\n" for one in budgets), "utf-8")
    return load(path)


MONTH = "on: {unit: acme}, per: month, amount: 100, hard: true"


@pytest.mark.parametrize(
    ("budgets", "fault"),
    [
        (["on: {unit: acme}, amount: 5"], "8:5: a budget needs a period"),
        (["on: {unit: acme}, amount: 5, from: 2026-11-01"], "8:5: a budget needs a period"),
        ([f"{MONTH}, from: 2026-11-01"], "8:5: a budget has either `per`, or `from` and `until`"),
        (["on: {unit: acme}, amount: 5, from: 2026-11-02, until: 2026-11-01"], "`until` lies before `from`"),
        ([MONTH, "on: {unit: acme}, per: month, amount: 9"], "9:5: the same node has this budget a month already, at"),
        (
            [
                "on: {unit: acme}, amount: 5, from: 2026-11-01, until: 2026-11-10",
                "on: {unit: acme}, amount: 5, from: 2026-11-10, until: 2026-11-20",
            ],
            "9:5: the same node has a budget in some of this time already",
        ),
        ([MONTH, "on: {unit: sales}, per: month, amount: 101, hard: true"], "101 a month is more than the 100"),
        ([MONTH, "on: {unit: sales}, per: day, amount: 101, hard: true"], "101 a day is more than the 100 a month"),
        (
            [
                "on: {unit: acme}, amount: 5, hard: true, from: 2026-11-01, until: 2026-11-30",
                "on: {unit: sales}, amount: 6, hard: true, from: 2026-11-10, until: 2026-11-30",
            ],
            "6 in its time is more than the 5 in its time",
        ),
        (["on: {unit: slaes}, per: month, amount: 1"], '8:17: unit "slaes" is not declared'),
        (
            [f"{MONTH}, time_zone: Europe/Berlni"],
            'time zone "Europe/Berlni" is not known; did you mean "Europe/Berlin"',
        ),
        (["on: {use_case: chat}, per: day, amount: 1"], '8:21: use case "chat" is not declared'),
        (["on: {deployment: gpt}, per: day, amount: 1"], '8:23: deployment "gpt" is not declared'),
        (["on: {boundary: here}, per: day, amount: 1"], '8:21: boundary "here" is not declared'),
        (["on: {unit: acme}, per: year, amount: 1"], "per"),
        (["on: {unit: acme, key: k}, per: month, amount: 1"], "`on` names exactly one thing"),
        (["on: {unit: acme}, per: month, amount: 0"], "amount is 0; it must be more than 0"),
        (["on: {unit: acme}, per: month, amount: 4000000001"], "a budget has at most 4,000,000,000"),
    ],
)
def test_a_budget_that_cannot_be_is_a_fault_with_its_place(tmp_path: Path, budgets: list[str], fault: str) -> None:
    with pytest.raises(BadEstate) as bad:
        loaded(tmp_path, *budgets)
    (said,) = bad.value.faults
    assert fault in said


def test_budgets_of_dates_that_follow_each_other_are_two_budgets(tmp_path: Path) -> None:
    estate = loaded(
        tmp_path,
        "on: {unit: acme}, amount: 5, from: 2026-11-01, until: 2026-11-10",
        "on: {unit: acme}, amount: 6, from: 2026-11-11, until: 2026-11-20T12:00:00Z",
        "on: {unit: acme}, amount: 7, per: day",
    ).estate
    first, second, daily = compile_budgets(estate, 1)
    assert first.account.name == "unit:acme/2026-11-01..2026-11-10/EUR"
    assert first.fixed is not None
    assert second.fixed is not None
    assert first.fixed.ends == second.fixed.starts
    assert second.account.period_at(0) == Period(second.fixed.starts, second.fixed.ends)
    until = estate.budgets[1].until
    assert until is not None
    assert second.fixed.ends == as_nanos(until)
    assert (daily.fixed, daily.owner) == (None, "acme")


def test_budgets_of_hours_of_one_day_are_not_taken_for_each_other(tmp_path: Path) -> None:
    hours = [("", "T08:00:00Z"), ("T08:00:00Z", "T12:00:00Z"), ("T12:00:00Z", "")]
    made = (f"on: {{unit: acme}}, amount: 5, from: 2026-11-01{one}, until: 2026-11-01{other}" for one, other in hours)
    budgets = list(compile_budgets(loaded(tmp_path, *made).estate, 1))
    assert len({one.account.name for one in budgets}) == len(hours)


def test_a_budget_of_a_week_may_be_more_than_that_of_a_month_for_it_lies_in_two(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, MONTH, "on: {unit: sales}, per: week, amount: 150, hard: true").estate.budgets) == 2


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("EUX", "2:11: EUX is no currency of ISO 4217; did you mean"),
        ("QQQ", "2:11: QQQ is no currency of ISO 4217; one of your own begins with X"),
        ("euro", "2:11"),
    ],
)
def test_an_unknown_currency_is_a_fault(tmp_path: Path, said: str, fault: str) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(f"estate: small\ncurrency: {said}\nunits: {{acme: CC-1}}\n", "utf-8")
    with pytest.raises(BadEstate) as bad:
        load(path)
    assert fault in bad.value.faults[0]


def test_a_currency_of_ones_own_is_none(tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text("estate: small\ncurrency: XTK\nunits: {acme: CC-1}\n", "utf-8")
    assert load(path).estate.currency == "XTK"
