"""How attempts become lines: which account gives, which takes, and what that does to balances and roll-ups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, Table, bindparam, update

from trunkline.messages import Usage
from trunkline.metering.lines import Adjustment, Decision, Kind
from trunkline.metering.records import Intent, Settlement, Status
from trunkline.store.names import Name, Names, Numbers
from trunkline.store.schema import SUMMED, accounts, attempts, days, lines, repeats, rollups
from trunkline.store.sessions import upsert

HOUR = 3_600_000_000_000
HOURS_OF_DAY = 24
DAY = HOURS_OF_DAY * HOUR
FIRST_ADJUSTMENT = 100
"""Lines of one attempt are numbered by their kind, of which each has at most one; adjustments go on from here."""


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
    tokens: tuple[int, int, int, int, int]

    @property
    def cell(self) -> tuple[str, ...]:
        """The cell of the roll-ups that it counts in."""
        return self[3:12]


FACTS = tuple(
    attempts.c[name]
    for name in (
        "request", "attempt", "at", "unit", "cost_centre", "use_case", "deployment", "boundary", "pattern",
        "model_sent", "key", "currency", "price_version", "hold", "leases",
        "tokens_input", "tokens_cached", "tokens_cache_write", "tokens_output", "tokens_reasoning",
    )
)  # fmt: skip
"""The columns of `attempts` that make facts, in their order."""


def facts_of_row(row: Sequence[Any] | Row[Any]) -> Facts:
    """Return the facts in a row of FACTS."""
    count = len(FACTS) - 5
    return Facts._make((*row[:count], tuple(row[count : count + 5])))


def facts_of(intent: Intent) -> Facts:
    """Return the facts of an attempt that begins."""
    return Facts(
        intent.request,
        intent.attempt,
        intent.at,
        intent.unit,
        intent.cost_centre,
        intent.use_case,
        intent.deployment,
        intent.boundary,
        intent.pattern.value,
        intent.model_sent,
        intent.key,
        intent.currency,
        intent.price_version,
        intent.hold,
        " ".join(intent.leases) or None,
        tokens(intent.bound),
    )


def tokens(usage: Usage) -> tuple[int, int, int, int, int]:
    """Return usage in the order of the columns."""
    return (usage.input, usage.cached, usage.cache_write, usage.output, usage.reasoning)


_KEY = Facts._fields.index("key") - Facts._fields.index("unit")
_TAKERS = {Kind.HOLD: ("held", "reserved"), Kind.RELEASE: ("held", "reserved")}


class Books:
    """What postings into one store share: its names, and statements in its dialect."""

    def __init__(self, engine: Engine) -> None:
        dialect = engine.dialect
        self.names = Names(engine)
        self.lines = str(lines.insert().compile(dialect=dialect))
        change = update(accounts).where(accounts.c.id == bindparam("_id"))
        change = change.values(balance=accounts.c.balance + bindparam("_change"))
        self.balances = str(change.compile(dialect=dialect))
        self.rollups, self.days = (_adding(engine, table) for table in (rollups, days))
        self.repeats = str(upsert(engine, repeats).on_conflict_do_nothing().compile(dialect=dialect))


class Posting:
    """What one transaction adds to the books; `write` puts it there, in an order that all writers share.

    Attributes:
        paid: what was settled, by the leases that it was held in.
    """

    def __init__(self, books: Books) -> None:
        self.paid: list[tuple[str | None, int]] = []
        self._books = books
        self._lines: list[tuple[Any, ...]] = []
        self._balances: dict[Name, int] = defaultdict(int)
        self._sums: dict[tuple[int, Name], list[int]] = {}
        self._repeats: dict[tuple[str, int], Facts] = {}
        self._fresh: list[tuple[Numbers, dict[Name, int]]] = []

    def open(self, facts: Facts) -> None:
        """Book an attempt that is not settled yet: its hold."""
        self._move(facts, Kind.HOLD, facts.hold, facts.at, "open")
        self._count(facts, (1, 1, facts.hold, *facts.tokens))

    def whole(self, facts: Facts, settlement: Settlement) -> None:
        """Book an attempt that begins and ends here: a hold and its release would cancel each other unseen."""
        self._settle(facts, settlement)
        self._count(facts, (1, int(settlement.usage.estimated), settlement.cost, *tokens(settlement.usage)))

    def end(self, facts: Facts, settlement: Settlement) -> None:
        """Book the end of an attempt that was open."""
        self._move(facts, Kind.RELEASE, facts.hold, settlement.at, settlement.status.value)
        self._settle(facts, settlement)
        change = [after - before for after, before in zip(tokens(settlement.usage), facts.tokens, strict=True)]
        self._count(facts, (0, int(settlement.usage.estimated) - 1, settlement.cost - facts.hold, *change))

    def lose(self, facts: Facts, at: int) -> None:
        """Book the end of an attempt whose exchange is gone: it costs its hold, as it counted already."""
        self._move(facts, Kind.RELEASE, facts.hold, at, Status.LOST.value)
        self._move(facts, Kind.SETTLE, facts.hold, at, Status.LOST.value)
        self.paid.append((facts.leases, facts.hold))

    def adjust(self, facts: Facts, number: int, at: int, adjustment: Adjustment) -> None:
        """Book a correction of what a settled attempt costs."""
        why = (adjustment.reason, adjustment.by)
        self._move(facts, Kind.ADJUST, adjustment.amount, at, *why, number=number)
        self._count(facts, (0, 0, adjustment.amount, 0, 0, 0, 0, 0))

    def decide(self, decision: Decision, number: int) -> None:
        """Book what somebody decided about a budget."""
        name, _, currency = decision.budget.rpartition("/")
        debit, credit = ((f"{account}:{name}", currency) for account in (decision.taker, decision.giver))
        self._balances[debit] += decision.amount
        self._balances[credit] -= decision.amount
        why = (decision.reason, decision.by)
        head = (decision.budget, 0, number, decision.at, Kind.TRANSFER.value)
        self._lines.append((*head, debit, credit, decision.amount, "", why))

    def repeat(self, facts: Facts) -> None:
        """Note an attempt of a call that has several: calls are counted with their help."""
        self._repeats[facts.request, facts.attempt] = facts

    def write(self, connection: Connection) -> None:
        """Write all of it. Rows that several exchanges change are taken in one order, so that none waits in a ring."""
        names = self._books.names
        account, cell, price = (self._number(kind, connection) for kind in (names.accounts, names.cells, names.prices))
        day_cell = self._number(names.day_cells, connection)
        balances = sorted((account(name), change) for name, change in sorted(self._balances.items()))
        sums = sorted((hour, cell(name), *sums) for (hour, name), sums in _by_name(self._sums))
        by_day = sorted((day, day_cell(name), *sums) for (day, name), sums in _by_name(self._by_day()))
        moved = [
            (*head, account(debit), account(credit), amount, price((version,)), *why)
            for *head, debit, credit, amount, version, why in self._lines
        ]
        noted = [(*which, facts.at, cell(facts.cell)) for which, facts in sorted(self._repeats.items())]
        _many(connection, self._books.lines, moved)
        _many(connection, self._books.repeats, noted)
        _many(connection, self._books.balances, [(change, number) for number, change in balances if change])
        _many(connection, self._books.rollups, sums)
        _many(connection, self._books.days, by_day)

    def kept(self) -> None:
        """Take notice that the transaction was kept."""
        for numbers, fresh in self._fresh:
            numbers.keep(fresh)

    def _number(self, numbers: Numbers, connection: Connection) -> Callable[[Name], int]:
        fresh: dict[Name, int] = {}
        self._fresh.append((numbers, fresh))
        return lambda name: numbers.of(connection, name, fresh)

    def _settle(self, facts: Facts, settlement: Settlement) -> None:
        reason = settlement.status.value
        beyond = max(settlement.cost - facts.hold, 0)
        self._move(facts, Kind.SETTLE, settlement.cost - beyond, settlement.at, reason)
        self.paid.append((facts.leases, settlement.cost))
        if beyond:
            self._move(facts, Kind.OVERRUN, beyond, settlement.at, reason)

    def _move(self, facts: Facts, kind: Kind, amount: int, at: int, *why: str, number: int | None = None) -> None:
        taker, giver = _TAKERS.get(kind, ("cost", "owed"))
        debit = (f"{taker}:{facts.cost_centre}/{facts.unit}", facts.currency)
        credit = (f"{giver}:{facts.boundary}", facts.currency)
        if kind is Kind.RELEASE:
            debit, credit = credit, debit
        elif amount < 0:
            debit, credit, amount = credit, debit, -amount
        self._balances[debit] += amount
        self._balances[credit] -= amount
        which = (facts.request, facts.attempt, kind.value if number is None else number)
        reason_and_name = (*why, None)[:2]
        self._lines.append((*which, at, kind.value, debit, credit, amount, facts.price_version, reason_and_name))

    def _count(self, facts: Facts, change: tuple[int, ...]) -> None:
        _add(self._sums, (facts.at // HOUR, facts.cell), change)

    def _by_day(self) -> dict[tuple[int, Name], list[int]]:
        sums: dict[tuple[int, Name], list[int]] = {}
        for (hour, name), change in self._sums.items():
            _add(sums, (hour // HOURS_OF_DAY, name[:_KEY] + name[_KEY + 1 :]), change)
        return sums


def _add(sums: dict[tuple[int, Name], list[int]], cell: tuple[int, Name], change: Sequence[int]) -> None:
    there = sums.get(cell)
    if there is None:
        sums[cell] = list(change)
    else:
        for place, number in enumerate(change):
            there[place] += number


def _by_name(sums: dict[tuple[int, Name], list[int]]) -> list[tuple[tuple[int, Name], list[int]]]:
    return sorted(sums.items(), key=lambda one: (one[0][1], one[0][0]))


def _adding(engine: Engine, table: Table) -> str:
    """The statement that adds rows to those that are there."""
    sums = upsert(engine, table)
    added = {name: table.c[name] + sums.excluded[name] for name in SUMMED}
    which = [column.name for column in table.primary_key]
    return str(sums.on_conflict_do_update(index_elements=which, set_=added).compile(dialect=engine.dialect))


def _many(connection: Connection, statement: str, rows: list[Any]) -> None:
    if rows:
        connection.exec_driver_sql(statement, rows)
