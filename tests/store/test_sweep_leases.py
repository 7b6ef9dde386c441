"""The table of leases does not grow with time: what nothing can come to any more goes, and no sum changes by it."""

from __future__ import annotations

import time

import msgspec
from sqlalchemy import select, update
from tests.metering.made import intent, settlement

from trunkline.ids import JournalId
from trunkline.metering.leases import Allowance, Ask, LeaseId
from trunkline.metering.periods import FOREVER, Period
from trunkline.metering.records import Entry
from trunkline.store.open import Store
from trunkline.store.schema import leases
from trunkline.store.sweep_leases import CLOSED, CLOSED_FOR, DAY, OVER_FOR, PAST

ALWAYS = Period(0, FOREVER)


def ask(lease: str, journal: str, period: Period = ALWAYS, **more: object) -> Ask:
    plain = Ask(
        lease=LeaseId(lease),
        version=1,
        allowance="team",
        period=period,
        limit=1_000,
        hard=True,
        declared_at=1,
        journal=JournalId(journal),
        amount=100,
        due=100,
        need=100,
        lasts=-2 * CLOSED_FOR,
    )
    return msgspec.structs.replace(plain, **more)


def live(store: Store, number: int, period: Period = ALWAYS) -> None:
    """Have a worker take a lease, spend 7 in it, and be gone."""
    lease, journal = f"lease-{number}", f"journal-{number}"
    store.ask([ask(lease, journal, period)])
    begun = msgspec.structs.replace(intent(2 * number, f"req_{number}", hold=50), leases=(LeaseId(lease),))
    ended = settlement(2 * number + 1, f"req_{number}", cost=7)
    store.book([Entry(JournalId(journal), begun), Entry(JournalId(journal), ended)])
    store.close_leases(JournalId(journal))


def age(store: Store) -> None:
    """Have all that was closed be closed for long."""
    with store._sessions.writing() as connection:
        old = time.time_ns() - 2 * CLOSED_FOR
        connection.execute(update(leases).where(leases.c.id.startswith(CLOSED)).values(expires=old))


def names(store: Store) -> list[str]:
    with store._sessions.reading() as connection:
        return sorted(connection.execute(select(leases.c.id)).scalars())


def team(store: Store) -> Allowance:
    (found,) = store.allowances()
    return found


def test_however_many_workers_came_and_went_the_table_is_as_long_as_those_of_a_day(store: Store) -> None:
    longest = 0
    for number in range(40):
        live(store, number)
        longest = max(longest, len(names(store)))
        if number % 5 == 4:
            age(store)
            assert store.sweep(100) == 10
    assert longest == 11  # five workers' leases and marks, and what those before have settled
    assert names(store) == [f"{PAST}team@0"]
    assert (team(store).settled, team(store).leased) == (40 * 7, 0)
    assert store.verify().differences == ()


def test_a_sweep_takes_no_more_than_it_may_and_ends_with_nothing_to_do(store: Store) -> None:
    for number in range(4):
        live(store, number)
    age(store)
    assert [store.sweep(3) for _ in range(4)] == [3, 3, 2, 0]
    assert team(store).settled == 28


def test_what_was_closed_a_moment_ago_stays_so_that_nothing_late_gets_in(store: Store) -> None:
    live(store, 1)
    assert store.sweep(100) == 0
    (late,) = store.ask([ask("lease-2", "journal-1")])
    assert (late.ended, late.amount) == (True, 0)


def test_the_last_word_of_a_lease_that_was_taken_out_takes_nothing(store: Store) -> None:
    live(store, 1)
    age(store)
    store.sweep(100)
    (answer,) = store.ask([ask("lease-1", "journal-1", version=9, amount=7, due=0, need=0, final=True)])
    assert (answer.ended, answer.amount) == (True, 0)
    assert (team(store).settled, team(store).leased) == (7, 0)


def test_what_is_open_frozen_or_was_resolved_by_hand_stays(store: Store) -> None:
    store.ask([ask("open", "alive", lasts=DAY), ask("frozen", "lost"), ask("resolved", "burnt")])
    store.resolve(LeaseId("resolved"), spent=True, reason="its disk burnt", by="ada")
    assert store.sweep(100) == 0
    assert names(store) == ["frozen", "open", "resolved"]


def test_leases_of_periods_long_over_go_while_their_worker_lives(store: Store) -> None:
    now = time.time_ns()
    over = Period(now - OVER_FOR - 2 * DAY, now - OVER_FOR - DAY)
    young = Period(now - 3 * DAY, now - 2 * DAY)
    for name, period in (("long over", over), ("over", young)):
        store.ask([ask(name, "alive", period, amount=0, final=True)])
    assert store.sweep(100) == 1
    assert names(store) == ["over", f"{PAST}team@{over.starts}"]
