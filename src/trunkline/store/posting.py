"""How attempts become lines: which account gives, which takes, and what that does to balances and roll-ups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, Table, bindparam, update

from trunkline.messages import Usage
from trunkline.metering.lines import Adjustment, Decision, Kind
from trunkline.metering.records import Intent, Settlement, Status
from trunkline.store.levels import HOUR, KEYLESS, LADDERS, OF_KEYS, Ladder
from trunkline.store.names import Name, Names, Naming, Place, Standing, holders
from trunkline.store.schema import SUMMED, accounts, attempts, lines, repeats
from trunkline.store.sessions import upsert

FIRST_ADJUSTMENT = 100
"""Lines of one attempt are numbered by their kind, of which each has at most one; adjustments go on from here."""

_SETTLE = Kind.SETTLE.value
Change = tuple[int, ...]
"""What is added to a roll-up, in the order of SUMMED."""

Changes = dict[tuple[int, int], list[Change]]
"""Changes by the hour, day or month, and the cell."""

HOURS_OF_DAY = 24


class Facts(NamedTuple):
    """What the books need to know of an attempt. Held: what its open row counts at."""

    request: str
    attempt: int
    at: int
    unit: str
    cost_centre: str
    use_case: str
    deployment: str
    boundary: str
    pattern: str
    model: str
    key: str
    currency: str
    price_version: str
    hold: int
    leases: str | None
    person: str | None
    end_customer: str | None
    tokens: tuple[int, int, int, int, int]

    @property
    def place(self) -> Place:
        """Where it stands in the books."""
        return self[3:13]


FACTS = tuple(
    attempts.c[name]
    for name in (
        "request", "attempt", "at", "unit", "cost_centre", "use_case", "deployment", "boundary", "pattern",
        "model_sent", "key", "currency", "price_version", "hold", "leases", "person", "end_customer",
        "tokens_input", "tokens_cached", "tokens_cache_write", "tokens_output", "tokens_reasoning",
    )
)  # fmt: skip
"""The columns of `attempts` that make facts, in their order."""


def facts_of_row(row: Sequence[Any] | Row[Any]) -> Facts:
    """Return the facts in a row of FACTS."""
    count = len(FACTS) - 5
    return Facts._make((*row[:count], tuple(row[count : count + 5])))


def place_of(intent: Intent) -> Place:
    """Return where an attempt that begins stands in the books."""
    return (
        intent.unit,
        intent.cost_centre,
        intent.use_case,
        intent.deployment,
        intent.boundary,
        str(intent.pattern),
        intent.model_sent,
        intent.key,
        intent.currency,
        intent.price_version,
    )


def tokens(usage: Usage) -> tuple[int, int, int, int, int]:
    """Return usage in the order of the columns."""
    return (usage.input, usage.cached, usage.cache_write, usage.output, usage.reasoning)


class Books:
    """What postings into one store share: its names, and statements in its dialect."""

    def __init__(self, engine: Engine) -> None:
        dialect = engine.dialect
        self.names = Names(engine)
        self.lines = str(lines.insert().compile(dialect=dialect))
        change = update(accounts).where(accounts.c.id == bindparam("_id"))
        change = change.values(balance=accounts.c.balance + bindparam("_change"))
        self.balances = str(change.compile(dialect=dialect))
        self.rollups = {level: _adding(engine, level.table) for ladder in LADDERS for level in ladder}
        self.repeats = str(upsert(engine, repeats).on_conflict_do_nothing().compile(dialect=dialect))


class Pile:
    """What one transaction adds at one place.

    Attributes:
        settled: lines of settlements: request, attempt, when, amount, how it ended.
        others: other lines: the same with the line's number, its kind, and who made it.
        hours: what is added to the roll-ups of each hour, change by change, each in the order of SUMMED.
        paid: what is paid in all.
        held: what is set aside in all; None where nothing is set aside or released.
    """

    __slots__ = ("held", "hours", "others", "paid", "settled")

    def __init__(self) -> None:
        self.settled: list[tuple[str, int, int, int, str]] = []
        self.others: list[tuple[str, int, int, int, Kind, int, str, str | None]] = []
        self.hours: dict[int, list[Change]] = defaultdict(list)
        self.paid = 0
        self.held: int | None = None

    def move(self, request: str, attempt: int, kind: Kind, at: int, amount: int, reason: str) -> None:
        """Add a line whose number is its kind's."""
        self.others.append((request, attempt, kind.value, at, kind, amount, reason, None))
        if kind is Kind.OVERRUN:
            self.paid += amount
        else:
            self.held = (self.held or 0) + (amount if kind is Kind.HOLD else -amount)

    def settle(self, request: str, attempt: int, hold: int, settlement: Settlement) -> None:
        """Add what an attempt cost: up to its hold, and beyond."""
        reason = str(settlement.status)
        within = min(settlement.cost, hold)
        if settlement.cost > hold:
            self.move(request, attempt, Kind.OVERRUN, settlement.at, settlement.cost - hold, reason)
        self.paid += within
        self.settled.append((request, attempt, settlement.at, within, reason))

    def rows(self, standing: Standing, held: tuple[int, int]) -> list[tuple[Any, ...]]:
        """Return the rows of the lines; `held` are the accounts that take and give what is set aside."""
        taker, giver, price = standing[:3]
        rows: list[tuple[Any, ...]] = [
            (request, attempt, _SETTLE, at, _SETTLE, taker, giver, amount, price, reason, None)
            for request, attempt, at, amount, reason in self.settled
        ]
        for request, attempt, number, at, kind, amount, reason, by in self.others:
            debit, credit = held if kind in {Kind.HOLD, Kind.RELEASE} else (taker, giver)
            if kind is Kind.RELEASE or amount < 0:
                debit, credit = credit, debit
            rows.append((request, attempt, number, at, kind.value, debit, credit, abs(amount), price, reason, by))
        return rows


class Posting:
    """What one transaction adds to the books; `write` puts it there, in an order that all writers share.

    Attributes:
        paid: what was settled, by the leases that it was held in.
        moved: attempts that began or ended, and by how much more each counts since.
    """

    def __init__(self, books: Books) -> None:
        self.paid: dict[tuple[str, ...], int] = defaultdict(int)
        self.moved: list[tuple[Intent | Facts, int]] = []
        self._books = books
        self._naming = Naming(books.names)
        self._piles: dict[Place, Pile] = defaultdict(Pile)
        self._decisions: list[tuple[Decision, int]] = []
        self._repeats: dict[tuple[str, int], tuple[int, Place]] = {}

    def open(self, intent: Intent) -> None:
        """Book an attempt that is not settled yet: its hold."""
        pile = self._piles[place_of(intent)]
        pile.move(intent.request, intent.attempt, Kind.HOLD, intent.at, intent.hold, Status.OPEN.value)
        pile.hours[intent.at // HOUR].append((1, 1, intent.hold, *tokens(intent.bound)))
        self.moved.append((intent, intent.hold))

    def whole(self, intent: Intent, settlement: Settlement) -> None:
        """Book an attempt that begins and ends here: a hold and its release would cancel each other unseen."""
        pile, cost, usage = self._piles[place_of(intent)], settlement.cost, settlement.usage
        pile.settle(intent.request, intent.attempt, intent.hold, settlement)
        estimated = 1 if usage.estimated else 0  # A sum of one is taken as it is, and Postgres takes no boolean.
        pile.hours[intent.at // HOUR].append((
            1, estimated, cost, usage.input, usage.cached, usage.cache_write, usage.output, usage.reasoning
        ))  # fmt: skip
        self.paid[intent.leases] += cost
        self.moved.append((intent, cost))

    def end(self, facts: Facts, settlement: Settlement) -> None:
        """Book the end of an attempt that was open."""
        pile, reason = self._piles[facts.place], settlement.status.value
        pile.move(facts.request, facts.attempt, Kind.RELEASE, settlement.at, facts.hold, reason)
        pile.settle(facts.request, facts.attempt, facts.hold, settlement)
        now, then = tokens(settlement.usage), facts.tokens
        pile.hours[facts.at // HOUR].append((
            0, settlement.usage.estimated - 1, settlement.cost - facts.hold,
            now[0] - then[0], now[1] - then[1], now[2] - then[2], now[3] - then[3], now[4] - then[4],
        ))  # fmt: skip
        self.paid[_parted(facts.leases)] += settlement.cost
        self.moved.append((facts, settlement.cost - facts.hold))

    def lose(self, facts: Facts, at: int) -> None:
        """Book the end of an attempt whose exchange is gone: it costs its hold, as it counted already."""
        pile, reason = self._piles[facts.place], Status.LOST.value
        pile.move(facts.request, facts.attempt, Kind.RELEASE, at, facts.hold, reason)
        pile.settled.append((facts.request, facts.attempt, at, facts.hold, reason))
        pile.paid += facts.hold
        self.paid[_parted(facts.leases)] += facts.hold

    def adjust(self, facts: Facts, number: int, at: int, adjustment: Adjustment) -> None:
        """Book a correction of what a settled attempt costs."""
        pile = self._piles[facts.place]
        why = (adjustment.reason, adjustment.by)
        pile.others.append((facts.request, facts.attempt, number, at, Kind.ADJUST, adjustment.amount, *why))
        pile.paid += adjustment.amount
        pile.hours[facts.at // HOUR].append((0, 0, adjustment.amount, 0, 0, 0, 0, 0))

    def decide(self, decision: Decision, number: int) -> None:
        """Book what somebody decided about a budget."""
        self._decisions.append((decision, number))

    def repeat(self, request: str, attempt: int, at: int, place: Place) -> None:
        """Note an attempt of a call that has several: calls are counted with their help."""
        self._repeats[request, attempt] = (at, place)

    def write(self, connection: Connection) -> None:
        """Write all of it. Rows that several exchanges change are taken in one order, so that none waits in a ring."""
        piles = self._piles
        places = piles.keys() | {place for _, place in self._repeats.values()}
        pledged = {place: holders(place) for place, pile in piles.items() if pile.held is not None}
        others = {account for pair in pledged.values() for account in pair}
        others.update(account for decision, _ in self._decisions for account in _sides(decision))
        standings, account = self._naming.standings(connection, places, others)
        moved: list[tuple[Any, ...]] = []
        balances: dict[int, int] = defaultdict(int)
        by_hour: Changes = defaultdict(list)
        by_key: Changes = defaultdict(list)
        for place, pile in piles.items():
            standing = standings[place]
            balances[standing.taker] += pile.paid
            balances[standing.giver] -= pile.paid
            held = (0, 0)
            if pile.held is not None:
                taker, giver = pledged[place]
                held = (account[taker], account[giver])
                balances[held[0]] += pile.held
                balances[held[1]] -= pile.held
            moved += pile.rows(standing, held)
            for hour, changes in pile.hours.items():
                by_hour[hour, standing.cell] += changes
                by_key[hour // HOURS_OF_DAY, standing.key_cell] += changes
        for decision, number in self._decisions:
            debit, credit = (account[name] for name in _sides(decision))
            balances[debit] += decision.amount
            balances[credit] -= decision.amount
            head = (decision.budget, 0, number, decision.at, Kind.TRANSFER.value)
            price = self._naming.price(connection, "")
            moved.append((*head, debit, credit, decision.amount, price, decision.reason, decision.by))
        noted = [(*which, at, standings[place].key_cell) for which, (at, place) in sorted(self._repeats.items())]
        _many(connection, self._books.lines, moved)
        _many(connection, self._books.repeats, noted)
        _many(connection, self._books.balances, [(change, one) for one, change in sorted(balances.items()) if change])
        self._roll_up(connection, KEYLESS, by_hour)
        self._roll_up(connection, OF_KEYS, by_key)

    def _roll_up(self, connection: Connection, ladder: Ladder, changes: Changes) -> None:
        """Add changes of the finest level to it, and their sums to the levels above it."""
        finer = ladder[-1]
        for level in reversed(ladder):
            if level is not finer:
                number = {one: level.number(finer.begins(one)) for one in {which[0] for which in changes}}
                coarser: Changes = defaultdict(list)
                for (one, cell), summed in changes.items():
                    coarser[number[one], cell] += summed
                changes, finer = coarser, level
            for several in changes.values():
                if len(several) > 1:
                    several[:] = [tuple(map(sum, zip(*several, strict=True)))]
            _many(connection, self._books.rollups[level], [(*which, *one) for which, (one,) in sorted(changes.items())])

    def kept(self) -> None:
        """Take notice that the transaction was kept."""
        self._naming.kept()


def _sides(decision: Decision) -> tuple[Name, Name]:
    name, _, currency = decision.budget.rpartition("/")
    return ((f"{decision.taker}:{name}", currency), (f"{decision.giver}:{name}", currency))


def _parted(leases: str | None) -> tuple[str, ...]:
    return tuple(leases.split()) if leases else ()


def _adding(engine: Engine, table: Table) -> str:
    """The statement that adds rows to those that are there."""
    sums = upsert(engine, table)
    added = {name: table.c[name] + sums.excluded[name] for name in SUMMED}
    which = [column.name for column in table.primary_key]
    return str(sums.on_conflict_do_update(index_elements=which, set_=added).compile(dialect=engine.dialect))


def _many(connection: Connection, statement: str, rows: list[Any]) -> None:
    if rows:
        connection.exec_driver_sql(statement, rows)
