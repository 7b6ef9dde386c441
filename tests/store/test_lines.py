"""The ledger's lines, the balances and roll-ups kept beside them, and the comparison of all with each other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError
from tests.metering.made import intent, settlement

from trunkline import errors
from trunkline.ids import JournalId
from trunkline.messages import Usage
from trunkline.metering.lines import Adjustment, Kind
from trunkline.metering.ports import SUM_KEYS, Span
from trunkline.metering.records import Entry, Intent, Settlement, Status
from trunkline.money import Nano
from trunkline.store.levels import DAY, HOUR, KEYLESS, cover, ladder
from trunkline.store.open import Store, open_store
from trunkline.store.schema import accounts
from trunkline.store.sums import sums
from trunkline.store.telling import Work
from trunkline.store.verify import STRETCH, verify

ONE = JournalId("one")
PAYS, OWED, HELD, RESERVED = "cost:CC-1/finance", "owed:here", "held:CC-1/finance", "reserved:here"


def balances(store: Store) -> dict[str, int]:
    rows = store._sessions.rows(select(accounts.c.name, accounts.c.balance))
    return {name: balance for name, balance in rows if balance}


def moved(store: Store, request: str) -> list[tuple[str, str, str, int]]:
    return [(line.kind.word, line.debit, line.credit, line.amount) for line in store.lines(request)]


def clean(store: Store) -> bool:
    return store.verify().differences == ()


def test_an_open_attempt_holds_and_its_settlement_releases_and_settles(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a", hold=100))])
    assert moved(store, "req_a") == [("hold", HELD, RESERVED, 100)]
    assert balances(store) == {HELD: 100, RESERVED: -100}
    store.book([Entry(ONE, settlement(2, "req_a", cost=30))])
    assert moved(store, "req_a")[1:] == [("release", RESERVED, HELD, 100), ("settle", PAYS, OWED, 30)]
    assert balances(store) == {PAYS: 30, OWED: -30}
    last = store.lines("req_a")[-1]
    assert (last.currency, last.price_version, last.reason, last.by) == ("EUR", "estate/1", "ok", None)
    assert clean(store)


def test_sums_may_take_longer_than_other_statements(store: Store) -> None:
    seen: list[str] = []
    event.listen(store._sessions.engine, "before_cursor_execute", lambda _c, _k, said, *_: seen.append(said))
    store.sums(["key"], Span())
    assert any("statement_timeout = 0" in said for said in seen) is store.shared


class Told(Work):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("")
        self.begun: list[str] = []
        self.reached: list[float] = []

    def begin(self, doing: str, share: float | None = None) -> None:
        self.begun.append(doing)
        super().begin(doing, share)

    def reach(self, share: float) -> None:
        self.reached.append(share)


def test_verify_says_of_each_comparison_that_it_begins_and_how_far_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.store.verify.STRETCH", 2)
    for number in range(5):
        store.book([Entry(ONE, intent(number, f"req_{number}"))])
    told = Told()
    with store._sessions.snapshot(patient=True) as connection:
        verify(connection, store.checks, told)
    assert told.begun[0] == f"attempts as lines, 1 of {len(store.checks)}"
    assert [words.rpartition(", ")[2] for words in told.begun[:-1]] == [
        f"{number} of {len(store.checks)}" for number in range(1, len(store.checks) + 1)
    ]
    assert told.reached[:2] == [0.4, 0.8]
    assert all(0 <= share <= 1 for share in told.reached)


def test_what_opens_and_settles_at_once_has_only_its_settlement(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a", hold=100)), Entry(ONE, settlement(2, "req_a", cost=30))])
    assert moved(store, "req_a") == [("settle", PAYS, OWED, 30)]
    assert clean(store)


def test_what_exceeds_the_hold_is_a_line_of_its_own(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a", hold=100)), Entry(ONE, settlement(2, "req_a", cost=130))])
    assert moved(store, "req_a") == [("settle", PAYS, OWED, 100), ("overrun", PAYS, OWED, 30)]
    assert store.sums([], Span())[0].cost == 130
    assert clean(store)


@pytest.mark.parametrize("status", list(Status)[1:-1])
def test_every_end_of_an_attempt_has_a_line_that_says_how_it_ended(store: Store, status: Status) -> None:
    ended = msgspec.structs.replace(settlement(2, "req_a", cost=0), status=status)
    store.book([Entry(ONE, intent(1, "req_a")), Entry(ONE, ended)])
    (line,) = store.lines("req_a")
    assert (line.kind, line.amount, line.reason) == (Kind.SETTLE, 0, status.value)
    assert clean(store)


def test_what_is_lost_is_settled_at_its_hold(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a", hold=70))])
    store.close_lost(ONE, 9)
    assert [line[0] for line in moved(store, "req_a")] == ["hold", "release", "settle"]
    assert balances(store) == {PAYS: 70, OWED: -70}
    assert store.lines("req_a")[-1].reason == "lost"
    assert clean(store)


def test_records_that_are_read_again_add_no_lines(store: Store) -> None:
    records = [Entry(ONE, intent(1, "req_a")), Entry(ONE, settlement(2, "req_a"))]
    for batch in (records[:1], records, records[1:], records):
        store.book(batch)
    assert [line[0] for line in moved(store, "req_a")] == ["hold", "release", "settle"]
    assert store.sums([], Span())[0].attempts == 1
    assert clean(store)


def test_a_correction_is_a_new_line_and_counts_with_its_call(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_a", hold=100)), Entry(ONE, settlement(2, "req_a", cost=30))])
    assert store.adjust(Adjustment("req_a", 1, -20, "billed twice", "ada"), 77) == 10
    assert store.adjust(Adjustment("req_a", 1, 5, "the invoice says so", "bo"), 78) == 15
    lines = store.lines("req_a")
    assert moved(store, "req_a")[1:] == [("adjust", OWED, PAYS, 20), ("adjust", PAYS, OWED, 5)]
    assert (lines[1].reason, lines[1].by, lines[1].at) == ("billed twice", "ada", 77)
    assert store.attempts("req_a")[0].cost == 15
    assert store.sums(["unit"], Span())[0].cost == 15
    assert clean(store)


def test_what_is_not_there_not_settled_or_below_nothing_cannot_be_adjusted(store: Store) -> None:
    store.book([Entry(ONE, intent(1, "req_open")), Entry(ONE, intent(2, "req_a")), Entry(ONE, settlement(3, "req_a"))])
    with pytest.raises(errors.Unknown, match="req_none"):
        store.adjust(Adjustment("req_none", 1, 1, "why", "ada"), 1)
    with pytest.raises(errors.Malformed, match="not settled yet"):
        store.adjust(Adjustment("req_open", 1, 1, "why", "ada"), 1)
    with pytest.raises(errors.Malformed, match="no more"):
        store.adjust(Adjustment("req_a", 1, -11, "why", "ada"), 1)
    with pytest.raises(errors.Malformed, match="no less"):
        store.adjust(Adjustment("req_a", 1, 1 << 62, "why", "ada"), 1)
    assert clean(store)


@pytest.mark.parametrize("statement", ["UPDATE lines SET amount = 0", "DELETE FROM lines"])
def test_lines_cannot_be_changed_or_taken_away_by_anybody(store: Store, statement: str) -> None:
    store.book([Entry(ONE, intent(1, "req_a"))])
    with pytest.raises(DBAPIError, match="only ever added"), store._sessions.writing() as connection:
        connection.execute(text(statement))
    assert len(store.lines("req_a")) == 1


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        ("UPDATE attempts SET cost = cost + 1 WHERE request = 'req_a'", {"attempt", "roll-up"}),
        ("UPDATE attempts SET hold = hold + 1 WHERE request = 'req_open'", {"attempt"}),
        ("DELETE FROM attempts WHERE request = 'req_a'", {"attempt", "roll-up"}),
        ("UPDATE accounts SET balance = balance + 1 WHERE name LIKE 'cost:%'", {"account"}),
        ("UPDATE hours SET tokens_output = tokens_output + 1", {"roll-up"}),
        ("UPDATE key_days SET estimated = estimated + 1", {"roll-up"}),
        ("UPDATE key_months SET tokens_input = tokens_input - 1", {"roll-up"}),
        ("UPDATE months SET attempts = attempts + 1", {"roll-up"}),
        ("INSERT INTO months SELECT month + 1, cell, 0, 0, 0, 0, 0, 0, 0, 0 FROM months", {"roll-up"}),
        ("INSERT INTO hours SELECT hour - 10000, cell, 0, 0, 0, 0, 0, 0, 0, 0 FROM hours", {"roll-up"}),
        ("DELETE FROM hours", {"roll-up"}),
        ("DELETE FROM key_days", {"roll-up"}),
        ("DELETE FROM months", {"roll-up"}),
        ("UPDATE days SET cost = cost + 1", {"roll-up"}),
        ("DELETE FROM days", {"roll-up"}),
        ("DELETE FROM cells", {"roll-up"}),
        ("DELETE FROM key_cells", {"roll-up"}),
        ("DELETE FROM repeats", {"call"}),
        ("INSERT INTO repeats VALUES ('req_open', 1, 5, 1)", {"call"}),
    ],
)
def test_whatever_is_kept_beside_the_lines_and_differs_is_found(store: Store, spoil: str, where: set[str]) -> None:
    entries = [Entry(ONE, intent(1, "req_a")), Entry(ONE, settlement(2, "req_a")), Entry(ONE, intent(3, "req_open"))]
    entries += [Entry(ONE, intent(4, "req_two", attempt=number)) for number in (1, 2)]
    store.book(entries)
    assert clean(store)
    with store._sessions.writing() as connection:
        connection.execute(text(spoil))
    assert {difference.where for difference in store.verify().differences} == where


@pytest.mark.parametrize(("by", "span", "read"), [
    (["unit"], Span(), [(1, "months")]),
    (["unit"], Span(DAY - HOUR, 2 * DAY + HOUR), [(1, "days"), (1, "hours"), (1, "hours")]),
    (["unit"], Span(DAY + HOUR, 2 * DAY - HOUR), [(1, "days"), (-1, "hours"), (-1, "hours")]),
    (["unit"], Span(HOUR, 31 * DAY - HOUR - 1), [(1, "months"), (-1, "hours"), (-1, "hours"), (-1, None)]),
    (["unit"], Span(7, 9), [(1, None)]),
    (["unit"], Span(9, 7), []),
    (["key"], Span(), [(1, "key_months")]),
    (["key", "unit"], Span(HOUR, 31 * DAY - HOUR), [(1, "key_months"), (-1, None), (-1, None)]),
    (["end_customer"], Span(), [(1, None)]),
])  # fmt: skip
def test_a_span_is_made_up_of_the_coarsest_roll_ups_and_corrected_at_its_ends_by_finer_ones(
    by: list[str], span: Span, read: list[tuple[int, str | None]]
) -> None:
    pieces = [(sign, level and level.table.name) for sign, level, _ in cover(span, ladder(by))]
    assert pieces == read


def test_months_are_those_of_the_calendar() -> None:
    months = KEYLESS[0]
    for year in (1969, 1970, 1999, 2000, 2024, 2026, 2100, 2400):
        for month in range(1, 13):
            number = (year - 1970) * 12 + month - 1
            begins = (datetime(year, month, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days * DAY
            assert (months.begins(number), months.number(begins), months.number(begins - 1)) == (
                begins,
                number,
                number - 1,
            )


# What happens to a handful of calls: attempts of several calls, in some hours of three months, in any order.
HOURS = st.sampled_from(
    [
        0,
        HOUR - 1,
        HOUR,
        HOUR + 7,
        5 * HOUR // 2,
        DAY - HOUR,
        DAY - 1,
        DAY,
        DAY + HOUR,
        2 * DAY - 1,
        2 * DAY,
        3 * DAY + 7,
        30 * DAY,
        31 * DAY - 1,
        31 * DAY,
        59 * DAY - HOUR,
        59 * DAY,
        75 * DAY + 5,
    ]
)
NAMES = st.sampled_from(["a", "b"])


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """Records of some calls, each with some attempts, most of them settled."""
    entries: list[Entry] = []
    for call in range(draw(st.integers(1, 5))):
        unit, use_case, key = draw(NAMES), draw(NAMES), draw(NAMES)
        customer = draw(st.sampled_from([None, "x"]))
        for attempt in range(1, draw(st.integers(1, 3)) + 1):
            begun: Intent = msgspec.structs.replace(
                intent(len(entries) + 1, f"req_{call}", attempt, hold=draw(st.integers(0, 50))),
                at=draw(HOURS),
                unit=unit,
                use_case=use_case,
                key=key,
                end_customer=customer,
                deployment=draw(NAMES),
                boundary=draw(NAMES),
            )
            entries.append(Entry(ONE, begun))
            if draw(st.booleans()):
                ended: Settlement = msgspec.structs.replace(
                    settlement(len(entries) + 1, f"req_{call}", attempt),
                    cost=Nano(draw(st.integers(0, 80))),
                    usage=Usage(input=draw(st.integers(0, 9)), output=3, estimated=draw(st.booleans())),
                )
                entries.append(Entry(ONE, ended))
    return entries


SPANS = st.builds(
    Span,
    since=st.none() | st.integers(0, 90 * DAY) | HOURS,
    until=st.none() | st.integers(0, 90 * DAY) | HOURS,
)


def hold_true(store: Store, data: st.DataObject) -> None:
    """Book a history in any order and batching; sums with roll-ups equal those without; the books are clean."""
    entries = data.draw(histories())
    order = data.draw(st.permutations(entries + data.draw(st.lists(st.sampled_from(entries), max_size=3))))
    step = data.draw(st.integers(1, 7))
    for start in range(0, len(order), step):
        store.book(order[start : start + step])
        if data.draw(st.integers(0, 9)) == 0:
            store.close_lost(ONE, 99 * DAY)
    settled = [row for row in store.tail(100) if row.status is not Status.OPEN]
    for row in settled[:1]:
        store.adjust(Adjustment(row.request, row.attempt, data.draw(st.integers(-row.cost, 9)), "why", "ada"), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trunkline.store.verify.STRETCH", data.draw(st.sampled_from([2, 5, STRETCH])))
        assert store.verify().differences == ()
    for _ in range(3):
        by = data.draw(st.lists(st.sampled_from(SUM_KEYS), max_size=3, unique=True))
        span = data.draw(SPANS)
        with store._sessions.snapshot() as connection:
            assert sums(connection, by, span) == sums(connection, by, span, rolled_up=False)
    total = sum(balance for _, balance in store._sessions.rows(select(accounts.c.name, accounts.c.balance)))
    assert total == 0


@settings(max_examples=25)
@given(data=st.data())
def test_roll_ups_equal_rows_and_the_books_are_clean_on_sqlite(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder, open_store(Path(folder) / "trunkline.db") as store:
        hold_true(store, data)


@pytest.mark.slow
@settings(max_examples=500)
@given(data=st.data())
def test_roll_ups_equal_rows_and_the_books_are_clean_however_often_it_is_tried(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder, open_store(Path(folder) / "trunkline.db") as store:
        hold_true(store, data)


def test_roll_ups_equal_rows_and_the_books_are_clean_on_postgres(postgres_url: str) -> None:
    tables = text(
        "TRUNCATE attempts, strays, lines, hours, days, months, key_days, key_months, repeats, accounts, cells, "
        "key_cells, prices"
    )

    @settings(max_examples=15)
    @given(data=st.data())
    def holds(data: st.DataObject) -> None:
        with open_store(postgres_url) as store:
            with store._sessions.writing() as connection:
                connection.execute(tables)
            hold_true(store, data)

    holds()
