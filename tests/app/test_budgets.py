"""What is told of budgets while their declarations change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from trunkline.app.budgets import BudgetWatch
from trunkline.clock import NANOS_PER_SECOND, SystemClock, iso
from trunkline.estate.webhooks import Webhook
from trunkline.ids import mint_journal_id
from trunkline.metering.alerts import Recipients
from trunkline.metering.budgets import Budgets, Stands
from trunkline.metering.leases import Ask, mint_lease_id
from trunkline.metering.periods import period_at
from trunkline.metering.purse import Account
from trunkline.money import Nano
from trunkline.store.open import Store, open_store

NAME = "unit:acme/quarter/EUR"
HOOK = "money"
TELLS = Recipients("test", {HOOK: Webhook(url="env:URL", secret="env:SECRET")}, {HOOK: None})


def stands(limit: int, *warn_at: int, declared_at: int = 1, zone: str = "UTC") -> Stands:
    at = partial(period_at, "quarter", ZoneInfo(zone) if zone != "UTC" else UTC)
    account = Account(NAME, limit, hard=True, declared_at=declared_at, period_at=at)
    return Stands(account, "unit", "acme", "quarter", zone, "EUR", warn_at=tuple(map(Nano, warn_at)))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "trunkline.db") as opened:
        yield opened


class Watched:
    """A watch, and what is spent of what it watches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._watch = BudgetWatch(Budgets({}, {}), TELLS, store, SystemClock())

    def declare(self, one: Stands) -> None:
        self.of = one
        self._watch.adopt(Budgets({("unit", "acme"): (one,)}, {}), TELLS)

    def spend(self, amount: int, at: int | None = None) -> None:
        account = self.of.account
        period = account.period_at(SystemClock.now() if at is None else at)
        lease = mint_lease_id(NAME, period.starts)
        ask = Ask(
            lease=lease, version=1, allowance=NAME, period=period, limit=account.limit, hard=at is None,
            declared_at=account.declared_at, journal=mint_journal_id(), amount=amount, due=amount, need=amount,
            lasts=-1,
        )  # fmt: skip
        self._store.ask([ask])
        self._store.resolve(lease, spent=True, reason="spent", by="test")

    def told(self) -> list[tuple[str, str]]:
        self._watch.look()
        self._watch.look_back()
        due = self._store.due_alerts([HOOK], 100)
        for one in due:
            self._store.end_alert(one.alert, "taken")
        bodies = [json.loads(one.alert.body) for one in due]
        return [(one["type"], one["data"].get("threshold", "")) for one in bodies]

    def limits(self) -> list[int]:
        self._watch.look()
        return [reading.limit for reading in self._watch.readings().values()]


@pytest.fixture
def watched(store: Store) -> Watched:
    return Watched(store)


def passed(*amounts: int) -> list[tuple[str, str]]:
    return [("budget.threshold", f"0.{amount:09d}".rstrip("0")) for amount in amounts]


def test_thresholds_of_a_raised_limit_are_told_though_as_many_of_the_old_one_were(watched: Watched) -> None:
    watched.declare(stands(100, 50, 90))
    watched.spend(95)
    assert watched.told() == passed(50, 90)
    watched.declare(stands(1_000, 500, 900, declared_at=2))
    watched.spend(5)
    assert watched.told() == []
    watched.spend(450)
    assert watched.told() == passed(500)
    watched.spend(400)
    assert watched.told() == passed(900)
    assert watched.told() == []


def test_no_threshold_is_told_twice_because_another_is_declared_before_it(watched: Watched) -> None:
    watched.declare(stands(100, 50))
    watched.spend(60)
    assert watched.told() == passed(50)
    watched.declare(stands(100, 30, 50, declared_at=2))
    watched.spend(1)
    assert watched.told() == []


def test_an_older_declaration_makes_no_threshold_be_told_again(watched: Watched) -> None:
    newer, older = stands(100, 50, declared_at=2), stands(1_000, 500)
    watched.declare(newer)
    watched.spend(60)
    assert watched.told() == passed(50)
    watched.declare(older)
    assert watched.told() == []
    watched.declare(newer)
    assert watched.told() == []


def test_in_another_time_zone_a_budget_stands_once_and_is_told_of_once(watched: Watched) -> None:
    watched.declare(stands(100, 50))
    watched.spend(60)
    assert watched.told() == passed(50)
    watched.declare(stands(200, 150, declared_at=2, zone="Asia/Kolkata"))
    watched.spend(160)
    assert watched.told() == passed(150)
    assert watched.limits() == [200]


def before_now() -> int:
    """A time within the quarter before this one."""
    return period_at("quarter", UTC, SystemClock.now()).starts - 1


@pytest.fixture
def lately(monkeypatch: pytest.MonkeyPatch) -> None:
    """Periods have been over for no long time, however far this quarter has come."""
    monkeypatch.setattr("trunkline.store.lease_table.OVER_FOR", 400 * 86_400 * NANOS_PER_SECOND)


@pytest.mark.usefixtures("lately")
def test_a_threshold_passed_by_what_is_booked_after_the_period_is_told_once_and_which_period(
    watched: Watched, store: Store
) -> None:
    watched.declare(stands(100, 50, 90))
    watched.spend(60, before_now())
    watched._watch.look_back()
    (due,) = store.due_alerts([HOOK], 100)
    period = period_at("quarter", UTC, before_now())
    said = json.loads(due.alert.body)["data"]
    assert said["period"] == {"starts": iso(period.starts), "ends": iso(period.ends)}
    assert f"were spent in the period from {iso(period.starts)} to {iso(period.ends)}." in said["message"]
    store.end_alert(due.alert, "taken")
    watched.spend(20, before_now())
    assert watched.told() == []
    watched.spend(20, before_now())
    assert watched.told() == passed(90)
    assert watched.told() == []
    watched.spend(1)
    watched.told()
    assert [one.warned_before for one in watched._watch.readings().values()] == [2]


@pytest.mark.usefixtures("lately")
def test_thresholds_that_are_declared_after_a_period_tell_nothing_of_what_was_spent_in_it(watched: Watched) -> None:
    watched.declare(stands(100, 90))
    watched.spend(60, before_now())
    assert watched.told() == []
    watched.declare(stands(100, 30, 50, 70, 90, declared_at=2))
    watched.spend(5, before_now())
    assert watched.told() == []
    watched.spend(10, before_now())
    assert watched.told() == passed(70)


def test_what_was_spent_in_a_period_that_is_long_over_is_told_no_more(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.store.lease_table.OVER_FOR", 0)
    watched.declare(stands(100, 50))
    watched.spend(60, before_now())
    assert watched.told() == []
