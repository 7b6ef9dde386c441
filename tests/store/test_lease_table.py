"""The store grants and settles as the rules say, on both databases, and books costs in their leases once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.metering.made import intent, settlement
from tests.store.at_once import at_once

from trunkline import errors
from trunkline.ids import JournalId, RequestId, mint_journal_id
from trunkline.metering.leases import Allowance, Ask, LeaseId, mint_lease_id
from trunkline.metering.lines import Adjustment, Kind
from trunkline.metering.periods import FOREVER, Period
from trunkline.metering.ports import Raise
from trunkline.metering.records import Entry, Intent, Settlement
from trunkline.money import MOST_UNITS, NANOS_PER_UNIT
from trunkline.store.open import Store

ALWAYS = Period(0, FOREVER)
MINUTE = 60_000_000_000
HERE = JournalId("here")


def ask(lease: str, version: int, amount: int, *, limit: int = 1_000, **more: object) -> Ask:
    plain = Ask(
        lease=LeaseId(lease),
        version=version,
        allowance="team",
        period=ALWAYS,
        limit=limit,
        hard=True,
        declared_at=1,
        journal=HERE,
        amount=amount,
        due=amount,
        need=amount,
        lasts=MINUTE,
    )
    return msgspec.structs.replace(plain, **more)


def team(store: Store) -> Allowance:
    (found,) = store.allowances()
    return found


def held(number: int, *leases: str, hold: int = 100) -> Intent:
    return msgspec.structs.replace(intent(2 * number, f"req_{number}", hold=hold), leases=leases)


def settled(number: int, cost: int) -> Settlement:
    return settlement(2 * number + 1, f"req_{number}", cost=cost)


def entries(*records: Intent | Settlement, journal: JournalId = HERE) -> list[Entry]:
    return [Entry(journal, record) for record in records]


def test_what_is_left_is_granted_and_no_more(store: Store) -> None:
    (first,) = store.ask([ask("a", 1, 700)])
    (second,) = store.ask([ask("b", 1, 400)])
    (third,) = store.ask([ask("b", 2, 400, need=300)])
    assert (first.amount, second.amount, third.amount) == (700, 0, 300)
    assert (second.others, second.short) == (700, True)
    assert store.short(["team", "other"]) == ("team",)
    assert team(store).leased == 1_000


def test_a_repeated_or_late_ask_changes_nothing(store: Store) -> None:
    store.ask([ask("a", 1, 700)])
    (shrunk,) = store.ask([ask("a", 2, 100)])
    (again,) = store.ask([ask("a", 1, 700)])
    assert (shrunk.amount, again.amount, again.version) == (100, 100, 2)
    assert team(store).leased == 100


def test_a_newer_limit_replaces_an_older_one_and_never_the_other_way_round(store: Store) -> None:
    store.ask([ask("a", 1, 700)])
    (lowered,) = store.ask([ask("a", 2, 800, limit=750, declared_at=2)])
    (older,) = store.ask([ask("b", 1, 250, limit=1_000, declared_at=1)])
    assert (lowered.amount, older.amount, team(store).limit) == (700, 0, 750)


def test_a_settled_attempt_moves_from_leased_to_settled_once_however_often_it_is_read(store: Store) -> None:
    store.ask([ask("a", 1, 500)])
    for _ in range(2):
        store.book(entries(held(1, "a"), settled(1, 60)))
        store.book(entries(held(2, "a")))
        store.book(entries(settled(2, 30)))
        store.book(entries(settled(3, 5)))
        store.book(entries(held(3, "a")))
    assert (team(store).settled, team(store).leased) == (95, 405)


def test_nothing_depends_on_the_order_or_the_batches_of_draining(store: Store) -> None:
    records: list[Intent | Settlement] = [held(1, "a", "b"), settled(1, 60), held(2, "b"), settled(2, 30)]
    for number, order in enumerate(itertools.permutations(records)):
        names = (f"a{number}", f"b{number}")
        store.ask([ask(names[0], 1, 10, limit=10**9), ask(names[1], 1, 10, limit=10**9)])
        before = team(store).settled
        for record in order:
            request = RequestId(f"{record.request}_{number}")
            if isinstance(record, Intent):
                leases = tuple(f"{name}{number}" for name in record.leases)
                store.book(entries(msgspec.structs.replace(record, leases=leases, request=request)))
            else:
                store.book(entries(msgspec.structs.replace(record, request=request)))
        assert team(store).settled - before == 60 + 60 + 30
    assert store.verify().differences == ()


def test_what_costs_more_than_its_lease_is_booked_in_full(store: Store) -> None:
    store.ask([ask("a", 1, 50)])
    store.book(entries(held(1, "a", hold=50), settled(1, 80)))
    assert (team(store).settled, team(store).leased) == (80, 0)


def test_a_journal_that_was_read_whole_frees_its_leases_and_lets_nothing_late_in(store: Store) -> None:
    store.ask([ask("a", 1, 500)])
    store.book(entries(held(1, "a"), held(2, "a"), settled(1, 60)))
    assert store.close_lost(HERE, 5) == 1
    assert (team(store).settled, team(store).leased) == (160, 340)
    assert store.close_leases(HERE) == 340
    assert (team(store).settled, team(store).leased) == (160, 0)
    late = store.ask([ask("a", 2, 900), ask("b", 1, 100)])
    assert [(one.ended, one.amount) for one in late] == [(True, 160), (True, 0)]
    assert team(store).leased == 0


def test_leases_of_other_journals_stay(store: Store) -> None:
    store.ask([ask("a", 1, 500), ask("b", 1, 100, journal=JournalId("there"))])
    store.close_leases(HERE)
    assert [row.lease.id for row in store.open_leases()] == ["b"]


def test_a_watched_limit_counts_what_was_booked_before_it_was_asked_for(store: Store) -> None:
    store.book(entries(held(1, "soft"), settled(1, 60)))
    store.ask([ask("soft", 1, 0, limit=10, hard=False)])
    store.book(entries(held(2, "soft"), settled(2, 7)))
    assert (team(store).settled, team(store).leased) == (67, 0)


def test_a_lapsed_lease_is_freed_or_counted_by_hand_and_what_its_journal_tells_later_counts_once(store: Store) -> None:
    now = time.time_ns()
    store.ask([ask("a", 1, 500, lasts=-now), ask("b", 1, 200, lasts=-now), ask("c", 1, 10)])
    assert [row.lease.frozen(now) for row in store.open_leases()] == [True, True, False]
    store.resolve(LeaseId("a"), spent=True, reason="its disk is gone", by="ada")
    store.resolve(LeaseId("b"), spent=False, reason="it had no calls", by="ada")
    assert (team(store).settled, team(store).leased) == (500, 10)
    with pytest.raises(errors.Unknown):
        store.resolve(LeaseId("c"), spent=True, reason="it lives", by="ada")
    assert store.verify().differences == ()
    store.book(entries(held(1, "a"), settled(1, 60)))
    assert team(store).settled == 500
    assert store.verify().differences == ()
    store.close_leases(HERE)
    assert (team(store).settled, team(store).leased) == (60, 0)
    assert store.verify().differences == ()


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        ("UPDATE allowances SET settled = settled + 1", {"allowance"}),
        ("UPDATE allowances SET leased = leased - 1", {"allowance"}),
        ("DELETE FROM allowances", {"allowance"}),
        ("UPDATE leases SET settled = settled - 1, amount = amount - 1 WHERE id = 'a'", {"allowance", "lease"}),
        ("UPDATE leases SET amount = amount + 1 WHERE id = 'b'", {"allowance"}),
        ("UPDATE leases SET settled = 9 WHERE id = 'soft'", {"lease"}),
        ("DELETE FROM leases WHERE id = 'b'", {"allowance", "lease"}),
        ("UPDATE attempts SET leases = 'b' WHERE request = 'req_1'", {"lease"}),
    ],
)
def test_an_allowance_or_a_lease_that_stands_otherwise_than_its_lines_say_is_found(
    store: Store, spoil: str, where: set[str]
) -> None:
    store.ask([ask("a", 1, 500), ask("b", 1, 100)])
    lost = [held(3, "b", hold=20)]
    store.book(entries(held(1, "a", "b"), settled(1, 60), held(2, "soft"), settled(2, 7), held(4), *lost))
    store.close_lost(HERE, 9)
    store.book(entries(held(5, "a"), journal=JournalId("there")))
    store.adjust(Adjustment("req_1", 1, -20, "billed twice", "ada"), 77)
    assert store.verify().differences == ()
    with store._sessions.writing() as connection:
        connection.execute(text(spoil))
    assert {difference.where for difference in store.verify().differences} == where


def test_what_somebody_decides_of_a_budget_is_a_line_with_reason_and_name(store: Store) -> None:
    name = "unit:team/month/EUR"
    store.raise_limit(Raise("r1", name, 250, 1, 2_000_000_000, "a campaign", "the CFO", 1))
    now = time.time_ns()
    store.ask([ask("a", 1, 500, allowance=name, lasts=-now), ask("b", 1, 200, allowance=name, lasts=-now)])
    store.resolve(LeaseId("a"), spent=True, reason="its disk is gone", by="ada")
    store.resolve(LeaseId("b"), spent=False, reason="it had no calls", by="bob")
    found = [(one.kind, one.debit, one.credit, one.amount, one.currency, one.by) for one in store.lines(name)]
    assert found == [
        (Kind.TRANSFER, "budget:unit:team/month", "raised:unit:team/month", 250, "EUR", "the CFO"),
        (Kind.TRANSFER, "lost:unit:team/month", "frozen:unit:team/month", 500, "EUR", "ada"),
        (Kind.TRANSFER, "budget:unit:team/month", "frozen:unit:team/month", 200, "EUR", "bob"),
    ]
    assert [one.reason for one in store.lines(name)] == [
        "raised until 1970-01-01T00:00:02.000Z: a campaign",
        "lease a counted as spent: its disk is gone",
        "lease b freed: it had no calls",
    ]
    differences = store.verify().differences
    assert [one.which for one in differences if one.where != "lease"] == []


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 1_500), st.integers(0, 300), st.booleans()), max_size=12
    )
)
def test_settled_and_leased_together_never_pass_the_limit(
    store: Store, steps: list[tuple[str, int, int, bool]]
) -> None:
    name, journal = mint_lease_id("team", 0), mint_journal_id()
    granted: dict[str, int] = {}
    used: dict[str, int] = {}
    for number, (lease, amount, most, final) in enumerate(steps, 1):
        one = ask(
            f"{name}{lease}",
            number,
            max(amount, used.get(lease, 0)),
            need=0,
            allowance=name,
            journal=journal,
            final=final,
        )
        (answer,) = store.ask([one])
        granted[lease] = answer.amount
        cost = min(most, granted[lease] - used.get(lease, 0))
        if cost > 0:
            request = f"{name}_{number}"
            begun = msgspec.structs.replace(held(number, one.lease, hold=cost), request=request)
            ended = msgspec.structs.replace(settled(number, cost), request=request)
            store.book(entries(begun, ended, journal=journal))
            used[lease] = used.get(lease, 0) + cost
        found = next(each for each in store.allowances() if each.name == name)
        assert found.settled + found.leased <= found.limit
        assert found.settled == sum(used.values())
        assert found.leased == sum(granted.values()) - sum(used.values())
    assert store.verify().differences == ()


def raised(number: int, amount: int = 10) -> Raise:
    return Raise(f"raise-{number}", "team/month/EUR", amount, 0, FOREVER, "launch", "ada", number)


def test_raises_at_the_same_time_all_succeed_each_with_its_line_beside_grants_and_drains(
    place: str, store: Store
) -> None:
    def raising(first: int) -> Callable[[Store], None]:
        def work(own: Store) -> None:
            for number in range(first, first + 5):
                own.raise_limit(raised(number))

        return work

    def granting(own: Store) -> None:
        for number in range(1, 10):
            own.ask([ask("a", number, 10 * number, allowance="team/month/EUR")])

    def draining(own: Store) -> None:
        for number in range(10):
            own.book(entries(held(number, "a"), settled(number, 1)))

    at_once(place, *(raising(100 * worker) for worker in range(4)), granting, draining)
    lines = store.lines("team/month/EUR")
    assert [line.number for line in lines] == list(range(1, 21))
    assert len(store.raised()) == 20
    (allowance,) = store.allowances()
    assert (allowance.settled, allowance.leased) == (10, 80)
    assert store.verify().differences == ()


def test_what_is_settled_in_the_moment_in_which_its_lease_is_first_asked_for_is_not_lost(
    place: str, store: Store
) -> None:
    def draining(own: Store) -> None:
        for number in range(60):
            own.book(entries(held(number, f"lease-{number // 3}"), settled(number, 1)))

    def asking(own: Store) -> None:
        for number in range(20):
            own.ask([ask(f"lease-{number}", 1, 0, hard=False, final=False)])

    at_once(place, draining, asking)
    assert (team(store).settled, team(store).leased) == (60, 0)
    assert store.verify().differences == ()


def test_raises_at_the_same_time_do_not_add_up_to_more_than_can_be_kept(place: str, store: Store) -> None:
    half = MOST_UNITS * NANOS_PER_UNIT // 2 + 1
    outcomes: list[bool] = []

    def raising(number: int) -> Callable[[Store], None]:
        def work(own: Store) -> None:
            try:
                own.raise_limit(raised(number, half))
            except errors.Malformed:
                outcomes.append(False)
            else:
                outcomes.append(True)

        return work

    at_once(place, *map(raising, range(4)))
    assert sorted(outcomes) == [False, False, False, True]
    assert len(store.raised()) == 1


def test_a_declaration_is_later_than_those_before_it_though_the_clock_was_set_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000]
    monkeypatch.setattr("trunkline.store.lease_table.now_of", lambda _: clock[0])
    assert store.next_declaration() == 1_000
    clock[0] = 10
    assert store.next_declaration() == 1_001
    clock[0] = 2_000
    assert store.next_declaration() == 2_000


def test_no_two_declarations_at_the_same_time_are_equal(place: str, store: Store) -> None:
    made: list[int] = []
    at_once(place, *[lambda own: made.extend(own.next_declaration() for _ in range(5))] * 4)
    assert len(set(made)) == 20
    assert store.next_declaration() > max(made)


def test_what_was_declared_by_a_clock_that_was_ahead_does_not_outlive_the_next_declaration(store: Store) -> None:
    ahead = time.time_ns() + 1_000 * MINUTE
    store.ask([ask("a", 1, 700, declared_at=ahead)])
    (lowered,) = store.ask([ask("a", 2, 800, limit=750, declared_at=store.next_declaration())])
    assert (lowered.amount, team(store).limit) == (700, 750)


def test_an_allowance_whose_period_is_over_is_shown_until_it_was_seen_as_it_stands(store: Store) -> None:
    now = time.time_ns()
    over, current = Period(now - 20 * MINUTE, now - 10 * MINUTE), Period(now - 10 * MINUTE, now + 10 * MINUTE)
    store.ask([ask("a", 1, 50, period=over, hard=False), ask("b", 1, 0, period=current, hard=False)])
    (late,) = store.late_standings()
    assert (late.allowance.period, late.seen) == (over, None)
    assert store.warn_once("team", over.starts, 0, 2)
    assert [(one.allowance.period, one.warned_before) for one in store.standings()] == [(current, 2)]
    store.note_seen(late)
    assert store.late_standings() == ()
    store.book(entries(held(1, "a"), settled(1, 30)))
    (late,) = store.late_standings()
    assert (late.allowance.settled, late.seen, late.warned) == (30, 0, 2)
