"""A budget counts what was spent in its period outside its leases, once, in whatever order it is heard of."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.metering.made import intent, settlement
from tests.store.at_once import at_once

from trunkline.ids import JournalId
from trunkline.metering.leases import Answer, Ask, Covers, LeaseId, mint_lease_id
from trunkline.metering.periods import Period
from trunkline.metering.records import Entry, Intent, Settlement
from trunkline.store.open import Store

HOUR = 3_600_000_000_000
MONTH = Period(100 * HOUR + HOUR // 2, 800 * HOUR)
DECLARED = 400 * HOUR + HOUR // 3
OF_FINANCE = Covers("unit", ("finance", "audit"), "EUR")


def ask(store: Store, lease: str = "first", covers: Covers | None = OF_FINANCE, **more: object) -> Answer:
    plain = Ask(
        lease=LeaseId(lease),
        version=1,
        allowance=f"{covers}/month",
        period=MONTH,
        limit=10_000,
        hard=False,
        declared_at=DECLARED,
        journal=JournalId("here"),
        amount=0,
        due=0,
        need=0,
        lasts=HOUR,
        covers=covers,
    )
    (answer,) = store.ask([msgspec.structs.replace(plain, **more)])
    return answer


def spend(store: Store, number: int, at: int, cost: int | None, **more: object) -> None:
    """Book an attempt; without a cost it is open, at its hold of 1,000."""
    begun = msgspec.structs.replace(intent(2 * number, f"req_{number}"), at=at, **more)
    ended = [] if cost is None else [Entry(JournalId("here"), settlement(2 * number + 1, f"req_{number}", cost=cost))]
    store.book([Entry(JournalId("here"), begun), *ended])


def spent(store: Store) -> int:
    (allowance,) = store.allowances()
    return allowance.settled


def spend_around(store: Store) -> None:
    moments = {
        MONTH.starts - 1: 1,
        MONTH.starts: 2,
        150 * HOUR: 4,
        400 * HOUR - 1: 8,
        400 * HOUR: 16,
        DECLARED - 1: 32,
        DECLARED: 64,
    }
    for number, (at, cost) in enumerate(moments.items()):
        spend(store, number, at, cost)


def test_what_was_spent_since_the_beginning_of_the_period_counts(store: Store) -> None:
    spend_around(store)
    assert ask(store).settled == 2 + 4 + 8 + 16 + 32 + 64
    assert store.verify().differences == ()


def test_it_counts_once_however_often_and_by_whomever_it_is_declared(store: Store) -> None:
    spend_around(store)
    ask(store)
    assert ask(store, "second", declared_at=DECLARED + HOUR).settled == 126
    assert store.sweep(100) == 0
    assert store.verify().differences == ()


def test_calls_under_way_at_the_declaration_count_at_their_hold(store: Store) -> None:
    spend(store, 1, 200 * HOUR, None)
    assert ask(store).settled == 1_000
    store.book([Entry(JournalId("here"), settlement(3, "req_1", cost=30))])
    assert spent(store) == 30
    spend(store, 2, 200 * HOUR, None)
    assert spent(store) == 1_030
    store.close_lost(JournalId("here"), 1)
    assert spent(store) == 1_030
    assert store.verify().differences == ()


def test_a_hard_budget_grants_only_what_is_left_of_it(store: Store) -> None:
    spend_around(store)
    answer = ask(store, hard=True, limit=127, amount=5, need=1, due=5, declared_at=DECLARED)
    assert (answer.settled, answer.amount) == (126, 0)  # its period is long over for the store's clock
    assert answer.limit - answer.settled == 1


@pytest.mark.parametrize(
    ("covers", "spent"),
    [
        (Covers("unit", ("finance", "audit"), "EUR"), 30),
        (Covers("unit", ("finance",), "EUR"), 10),
        (Covers("use_case", ("reports",), "EUR"), 30),
        (Covers("deployment", ("one",), "EUR"), 20),
        (Covers("boundary", ("there",), "EUR"), 10),
        (Covers("key", ("key_1",), "EUR"), 30),
        (Covers("unit", ("finance",), "USD"), 40),
        (Covers("unit", ("nobody",), "EUR"), 0),
        (Covers("end_customer", ("shop-17",), "EUR"), 20),
        (Covers("end_customer", ("nobody",), "EUR"), 0),
        (Covers("person", ("ada",), "EUR"), 20),
        (Covers("person", ("nobody",), "EUR"), 0),
        (None, 0),
    ],
)
@pytest.mark.parametrize("at", [200 * HOUR, DECLARED - 1])
def test_whatever_it_is_on_only_that_is_counted(store: Store, covers: Covers | None, spent: int, at: int) -> None:
    spend(store, 1, at, 10)
    spend(store, 2, at, 20, unit="audit", boundary="here", end_customer="shop-17", person="ada")
    spend(
        store,
        3,
        at,
        40,
        currency="USD",
        use_case="other",
        deployment="two",
        key="key_2",
        boundary="far",
        end_customer="shop-17",
        person="ada",
    )
    if covers is not None and covers.kind == "boundary":
        spend(store, 4, at, 10, boundary="there")
    if covers is not None and covers.kind == "deployment":
        spend(store, 5, at, 10, deployment="two")
        spent += 10
    assert ask(store, covers=covers).settled == spent


NAME = f"{OF_FINANCE}/month"
OWN = mint_lease_id(NAME, MONTH.starts)
OTHER = mint_lease_id(NAME, MONTH.ends)
"""Of the same budget, in its next period."""


def test_what_is_drained_after_the_declaration_counts_once_however_often_it_is_read(store: Store) -> None:
    ask(store)
    for _ in range(3):
        spend(store, 1, 200 * HOUR, 10)
        spend(store, 2, 200 * HOUR, 20, unit="audit")
        spend(store, 3, 200 * HOUR, 40, unit="sales")
        spend(store, 4, MONTH.starts - 1, 80)
        spend(store, 5, 200 * HOUR, 160, currency="USD")
        spend(store, 6, 200 * HOUR, 320, leases=(OTHER,))
    assert spent(store) == 10 + 20 + 320
    assert store.verify().differences == ()


def test_what_began_long_after_the_declaration_counts_in_its_leases_alone(store: Store) -> None:
    now = time.time_ns()
    ask(store, period=Period(now - HOUR, now + 100 * HOUR), declared_at=now)
    for number, at in enumerate((now - HOUR // 2, now + HOUR // 2, now + 2 * HOUR)):
        spend(store, number, at, 10**number)
    assert spent(store) == 11


@pytest.mark.parametrize("at", [200 * HOUR, DECLARED - 1, DECLARED + 1])
def test_what_was_held_in_a_lease_of_it_counts_there_though_it_is_read_before_anybody_asked(
    store: Store, at: int
) -> None:
    spend(store, 1, at, 10, leases=(OWN,))
    spend(store, 2, at, None, leases=(OTHER, OWN))
    spend(store, 3, at, 20)
    assert ask(store).settled == 20
    assert ask(store, OWN).settled == 30
    store.book([Entry(JournalId("here"), settlement(5, "req_2", cost=40))])
    assert spent(store) == 70
    assert store.verify().differences == ()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], phases=[Phase.generate]
)
@given(st.data())
def test_in_every_order_all_that_was_spent_counts_once(store: Store, data: st.DataObject) -> None:
    run = secrets.token_hex(4)
    covers = Covers("unit", (run,), "EUR")
    own = mint_lease_id(f"{covers}/month", MONTH.starts)
    steps: list[Intent | Settlement | str] = [f"first {run}", own]
    total = 0
    for number in range(data.draw(st.integers(1, 6))):
        cost, request = 10**number, f"req_{run}_{number}"
        leases = (own,) if data.draw(st.booleans()) else ()
        at = data.draw(st.sampled_from([MONTH.starts, 150 * HOUR, DECLARED, 700 * HOUR]))
        begun = msgspec.structs.replace(intent(2 * number, request), at=at, unit=run, leases=leases)
        steps += [begun, settlement(2 * number + 1, request, cost=cost)]
        total += cost
    steps += data.draw(st.lists(st.sampled_from(steps), max_size=6))
    for step in data.draw(st.permutations(steps)):
        if isinstance(step, str):
            ask(store, step, covers)
        else:
            store.book([Entry(JournalId(run), step)])
    (found,) = [one for one in store.allowances() if one.name == f"{covers}/month"]
    assert (found.settled, found.leased) == (total, 0)
    assert store.verify().differences == ()


def test_nothing_is_missed_or_counted_twice_where_it_is_drained_in_the_moment_of_the_declaration(
    place: str, store: Store
) -> None:
    def draining(own: Store) -> None:
        for number in range(40):
            spend(own, number, 200 * HOUR, 1)

    def declaring(first: int) -> Callable[[Store], None]:
        def work(own: Store) -> None:
            for number in range(first, first + 20):
                covers = Covers("unit", ("finance", f"{number % 20}"), "EUR")
                ask(own, f"{number}", covers)

        return work

    at_once(place, draining, declaring(0), declaring(20))
    assert [one.settled for one in store.allowances()] == [40] * 20
    assert store.verify().differences == ()
