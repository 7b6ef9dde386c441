from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.exc import DataError
from tests.metering.made import intent, settlement

from trunkline import errors
from trunkline.ids import JournalId
from trunkline.messages import Usage
from trunkline.metering.ports import SUM_KEYS, Span
from trunkline.metering.records import Entry, Status
from trunkline.store.open import Store, open_store
from trunkline.store.schema import attempts, drained, strays

ONE, TWO = JournalId("one"), JournalId("two")


def _tables(store: Store) -> list[Any]:
    return [
        store._sessions.rows(select(table).order_by(*table.primary_key.columns))
        for table in (attempts, strays, drained)
    ]


def test_no_batch_reads_the_whole_ledger(tmp_path: Path) -> None:
    """What a batch costs must not grow with the ledger."""
    begun, later = intent(1, "req_a"), intent(2, "req_b")
    seen: list[tuple[str, Any]] = []
    with open_store(tmp_path / "trunkline.db") as store:
        engine = store._sessions.engine
        event.listen(engine, "before_cursor_execute", lambda _c, _k, text, values, *_: seen.append((text, values)))
        store.book([Entry(ONE, msgspec.structs.replace(one, leases=("lease",))) for one in (begun, later)])
        store.book([Entry(ONE, settlement(3, "req_a"))])
        whole = [Entry(ONE, msgspec.structs.replace(intent(4, "req_c"), leases=("lease",)))]
        store.book([*whole, Entry(ONE, settlement(5, "req_c"))])
        selects = [(text, values) for text, values in seen if text.startswith("SELECT") and "FROM attempts" in text]
        with store._sessions.reading() as connection:
            plans = [
                row.detail
                for text, values in selects
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
            ]
    assert len(selects) >= 3
    assert not [plan for plan in plans if plan.startswith("SCAN") and "json_each" not in plan]


def test_an_intent_without_a_settlement_is_open_at_its_hold(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a", hold=77))])
    (row,) = store.attempts("req_a")
    assert (row.status, row.hold, row.cost) == (Status.OPEN, 77, 77)
    assert row.usage == Usage(input=100, output=1_000, estimated=True)
    assert store.open_attempts(ONE) == 1
    assert store.open_attempts(TWO) == 0


def test_a_settlement_fills_the_attempt(store: Store) -> None:
    begun, ended = intent(1, "req_a"), settlement(2, "req_a")
    store.book([Entry(ONE, begun)])
    store.book([Entry(ONE, ended)])
    (row,) = store.attempts("req_a")
    for name in ("request", "attempt", "at", "key", "unit", "cost_centre", "use_case", "end_customer", "deployment"):
        assert getattr(row, name) == getattr(begun, name)
    for name in ("boundary", "pattern", "operation", "model_asked", "model_sent", "stream", "data_class", "decision"):
        assert getattr(row, name) == getattr(begun, name)
    for name in ("status", "http_status", "usage", "cost", "model_served", "first_byte", "latency", "error"):
        assert getattr(row, name) == getattr(ended, name)
    assert (row.price_version, row.currency, row.hold, row.journal) == ("estate/1", "EUR", 1_000, ONE)
    assert store.open_attempts(ONE) == 0


def test_both_halves_in_one_batch_are_booked_as_one(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a")), Entry(ONE, settlement(2, "req_a"))])
    (row,) = store.attempts("req_a")
    assert (row.status, row.cost) == (Status.OK, 10)


def test_a_settlement_read_before_its_intent_waits_for_it(store: Store) -> None:
    store.book([Entry(TWO, settlement(2, "req_a"))])
    assert store.attempts("req_a") == ()
    assert store.strays() == 1
    store.book([Entry(ONE, intent(1, "req_a"))])
    assert store.strays() == 0
    assert store.attempts("req_a")[0].status is Status.OK


def test_lost_attempts_are_closed_at_their_holds_and_only_those_of_that_journal(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a")), Entry(ONE, settlement(2, "req_a"))])
    store.book([Entry(ONE, intent(3, "req_b", hold=500)), Entry(TWO, intent(1, "req_c"))])
    assert store.close_lost(ONE, 9_000_000) == 1
    assert store.close_lost(ONE, 9_999_999) == 0
    (lost,) = store.attempts("req_b")
    assert (lost.status, lost.cost, lost.usage.estimated, lost.latency) == (Status.LOST, 500, True, 9_000_000 - lost.at)
    assert store.attempts("req_a")[0].status is Status.OK
    assert store.attempts("req_c")[0].status is Status.OPEN


def test_what_was_lost_stays_as_booked_when_its_journal_is_read_again(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a"))])
    store.close_lost(ONE, 5)
    before = _tables(store)
    store.book([Entry(ONE, intent(1, "req_a")), Entry(ONE, settlement(2, "req_a"))])
    store.book([Entry(ONE, settlement(2, "req_a"))])
    assert _tables(store) == before


def test_positions_are_kept_with_the_records_and_forgotten(store: Store) -> None:
    store.book([Entry(ONE, intent(1))], {ONE: 100})
    store.book([], {ONE: 200, TWO: 5})
    assert store.drained() == {ONE: 200, TWO: 5}
    store.forget(ONE)
    assert store.drained() == {TWO: 5}


def test_a_batch_that_fails_keeps_neither_records_nor_position(store: Store) -> None:
    wrong = Entry(ONE, msgspec.structs.replace(intent(2, "req_b"), hold=1 << 70))
    with pytest.raises((OverflowError, DataError)):
        store.book([Entry(ONE, intent(1, "req_a")), wrong], {ONE: 100})
    assert store.attempts("req_a") == ()
    assert store.drained() == {}


RECORDS = [Entry(ONE, intent(2 * number + 1, f"req_{number}")) for number in range(6)] + [
    Entry(TWO if number % 2 else ONE, settlement(2 * number + 2, f"req_{number}", cost=number))
    for number in (0, 1, 3, 4)
]


@settings(max_examples=25, deadline=None)
@given(
    delivered=st.lists(st.sampled_from(RECORDS), max_size=20).flatmap(lambda more: st.permutations(RECORDS + more)),
    batch=st.integers(1, 6),
)
def test_any_order_batching_and_repetition_of_the_records_gives_the_same_tables(
    delivered: list[Entry], batch: int
) -> None:
    with TemporaryDirectory() as folder:
        with open_store(Path(folder) / "straight.db") as straight:
            straight.book(RECORDS)
            expected = _tables(straight)
        with open_store(Path(folder) / "delivered.db") as store:
            for start in range(0, len(delivered), batch):
                store.book(delivered[start : start + batch])
            assert _tables(store) == expected


def test_tail_gives_the_newest_oldest_of_them_first(store: Store) -> None:
    store.book([Entry(ONE, intent(number)) for number in (3, 1, 2, 4)])
    assert [row.request[-1] for row in store.tail(3)] == ["2", "3", "4"]
    assert [row.request[-1] for row in store.tail(9, after=intent(2).at)] == ["3", "4"]


def test_attempts_of_a_call_come_in_order(store: Store) -> None:
    store.book([Entry(ONE, intent(number, "req_a", attempt=4 - number)) for number in (1, 2, 3)])
    assert [row.attempt for row in store.attempts("req_a")] == [1, 2, 3]
    assert store.attempts("req_none") == ()


@pytest.fixture
def summed(store: Store) -> Store:
    entries = []
    for number, (unit, customer, cost) in enumerate([("hr", None, 5), ("hr", "acme", 20), ("it", "acme", 7)]):
        begun = msgspec.structs.replace(intent(2 * number + 1, f"req_{number}"), unit=unit, end_customer=customer)
        entries += [Entry(ONE, begun), Entry(ONE, settlement(2 * number + 2, f"req_{number}", cost=cost))]
    entries.append(Entry(ONE, msgspec.structs.replace(intent(9, "req_0", attempt=2, hold=100), unit="hr")))
    store.book(entries)
    return store


def test_sums_group_by_what_is_asked_dearest_first(summed: Store) -> None:
    rows = summed.sums(["unit"], Span())
    assert [(row.by["unit"], row.calls, row.attempts, row.estimated, row.cost) for row in rows] == [
        ("hr", 2, 3, 1, 125),
        ("it", 1, 1, 0, 7),
    ]
    assert (rows[0].tokens_input, rows[0].tokens_output) == (124, 1_006)
    by_both = summed.sums(["end_customer", "unit"], Span())
    assert [tuple(row.by.values()) for row in by_both] == [(None, "hr"), ("acme", "hr"), ("acme", "it")]


def test_attempts_keep_whose_they_are_and_sums_can_be_made_by_it(store: Store) -> None:
    entries = []
    for number, (person, cost) in enumerate([("ada", 5), (None, 20), ("ada", 7)]):
        begun = msgspec.structs.replace(intent(2 * number + 1, f"req_{number}"), person=person)
        entries += [Entry(ONE, begun), Entry(ONE, settlement(2 * number + 2, f"req_{number}", cost=cost))]
    entries.append(Entry(ONE, msgspec.structs.replace(intent(9, "req_0", attempt=2, hold=100), person="ada")))
    store.book(entries)
    assert [(row.by["person"], row.calls, row.cost) for row in store.sums(["person"], Span())] == [
        ("ada", 2, 112),
        (None, 1, 20),
    ]
    assert [row.person for row in store.attempts("req_0")] == ["ada", "ada"]


def test_sums_without_groups_are_one_row_and_none_without_attempts(summed: Store) -> None:
    (row,) = summed.sums([], Span())
    assert (row.by, row.calls, row.attempts, row.cost) == ({}, 3, 4, 132)
    assert summed.sums([], Span(until=0)) == ()
    assert summed.sums(["unit"], Span(until=0)) == ()


def test_a_span_is_half_open(summed: Store) -> None:
    at = intent(3).at
    assert summed.sums([], Span(since=at))[0].attempts == 3
    assert summed.sums([], Span(until=at))[0].attempts == 1
    assert summed.sums([], Span(since=at, until=at + 1))[0].attempts == 1


@pytest.mark.parametrize("name", SUM_KEYS)
def test_every_sum_key_adds_up_to_the_whole(summed: Store, name: str) -> None:
    assert sum(row.cost for row in summed.sums([name], Span())) == 132


@pytest.mark.parametrize("by", [["colour"], ["unit", "unit"]])
def test_an_unknown_or_repeated_sum_key_is_refused_with_the_valid_ones(store: Store, by: list[str]) -> None:
    with pytest.raises(errors.Malformed, match="cost_centre"):
        store.sums(by, Span())


def test_money_beyond_32_bits_is_kept_exactly(store: Store) -> None:
    huge = 9_000_000_000_000_000
    store.book([Entry(ONE, intent(1, "req_a", hold=huge)), Entry(ONE, settlement(2, "req_a", cost=huge - 1))])
    (row,) = store.attempts("req_a")
    assert (row.hold, row.cost) == (huge, huge - 1)


READER = """
import sys
from trunkline.metering.ports import Span
from trunkline.store.open import open_store
with open_store(sys.argv[1]) as store:
    for line in sys.stdin:
        print(store.sums([], Span())[0].attempts, flush=True)
"""


def test_another_process_reads_what_is_booked_while_the_exchange_writes(store: Store, place: str) -> None:
    store.book([Entry(ONE, intent(1))])
    with subprocess.Popen(
        [sys.executable, "-c", READER, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        for number in range(2, 5):
            store.book([Entry(ONE, intent(number))])
            print("now", file=reader.stdin, flush=True)
            assert reader.stdout is not None
            assert reader.stdout.readline() == f"{number}\n"
        reader.communicate()
    assert reader.returncode == 0


def test_a_reading_while_a_transaction_writes_sees_the_state_before_it(store: Store) -> None:
    store.book([Entry(ONE, intent(1))])
    with store._sessions.writing() as connection:
        connection.execute(attempts.delete())
        assert len(store.tail(10)) == 1
    assert store.tail(10) == ()
