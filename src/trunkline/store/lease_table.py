from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, tuple_, update

from trunkline import errors
from trunkline.clock import iso
from trunkline.ids import JournalId
from trunkline.metering import leases as rules
from trunkline.metering.leases import SHORT_FOR, Allowance, Answer, Ask, Lease, LeaseId
from trunkline.metering.lines import Decision
from trunkline.metering.periods import FOREVER
from trunkline.metering.ports import LeaseRow, Raise, Standing
from trunkline.money import MOST_UNITS, NANOS_PER_UNIT, bare
from trunkline.store.held_leases import (
    HAS_ROOM,
    ROOM,
    Held,
    Key,
    allowance_of,
    holding,
    lease_of,
    now_of,
    raised_by,
    values_of,
)
from trunkline.store.posting import Books, Posting
from trunkline.store.schema import allowances, counters, leases, lines, raises
from trunkline.store.sessions import Sessions, alone, upsert
from trunkline.store.spent_outside import AFTER, SPENDING, row_of, spent_outside
from trunkline.store.sweep_leases import CLOSED, OVER_FOR, sweep

_encode = msgspec.json.Encoder().encode

DECLARED = "declared"
"""The counter of declarations."""


class LeaseTable:
    """The leases' part of the store: implements `metering.ports.LeaseStore`.

    Whoever changes a lease first locks the row of its allowance, of several in the order of their keys; then the rules
    of `metering.leases` are applied to what is there, and written back.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._decisions = Books(sessions.engine)

    def ask(self, asks: Sequence[Ask]) -> tuple[Answer, ...]:
        """Heed what workers ask for, all of it or none; one answer for each, in order."""
        # What is settled in a lease may be read in the same moment, before it is asked for.
        return self._sessions.write(lambda connection: _ask(connection, asks))

    def short(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of these allowances of which somebody went without a moment ago. Cheap."""
        with self._sessions.reading() as connection:
            since = now_of(connection) - SHORT_FOR
            wanted = select(allowances.c.name).where(allowances.c.name.in_(names), allowances.c.short_at > since)
            return tuple(connection.execute(wanted.distinct()).scalars())

    def close_leases(self, journal: JournalId) -> int:
        """Free what is left in the leases of a journal that is wholly booked; return how much that was."""
        freed = 0
        with self._sessions.writing() as connection:
            # What its worker still asked for, on its way while it died, must not come after this.
            mark = Lease(_mark(journal), JournalId(""), expires=now_of(connection), ended=True, known=False)
            marked = upsert(self._sessions.engine, leases).values(values_of(mark, ("", 0)) | {"resolved": ""})
            connection.execute(marked.on_conflict_do_nothing())
            held = holding(connection, leases.c.journal == journal, HAS_ROOM | (leases.c.ahead > 0))
            for lease in tuple(held.leases.values()):
                freed += lease.room
                held.apply(lease.id, rules.close)
            held.write()
        return freed

    def allowances(self) -> tuple[Allowance, ...]:
        """Return every allowance in each of its periods, oldest first."""
        order = (allowances.c.starts, allowances.c.name)
        return tuple(map(allowance_of, self._sessions.rows(select(allowances).order_by(*order))))

    def standings(self) -> tuple[Standing, ...]:
        """Return how allowances stand whose periods are now, by the store's clock."""
        with self._sessions.reading() as connection:
            now = now_of(connection)
            before = allowances.alias("before")
            same = (before.c.name == allowances.c.name) & (before.c.ends == allowances.c.starts)
            of_now = select(allowances, before.c.warned.label("warned_before")).select_from(
                allowances.outerjoin(before, same)
            )
            of_now = of_now.where(allowances.c.starts <= now, allowances.c.ends > now)
            rows = connection.execute(of_now.order_by(allowances.c.name)).all()
            lapsed = select(leases.c.allowance, leases.c.starts, func.sum(ROOM)).where(
                HAS_ROOM, leases.c.expires <= now
            )
            frozen = {
                (name, starts): int(left)
                for name, starts, left in connection.execute(lapsed.group_by(leases.c.allowance, leases.c.starts))
            }
            more = {row.name: raised_by(connection, row.name, now) for row in rows}
        return tuple(
            Standing(
                allowance_of(row, more[row.name]),
                frozen.get((row.name, row.starts), 0),
                row.warned,
                row.warned_before or 0,
            )
            for row in rows
        )

    def late_standings(self) -> tuple[Standing, ...]:
        """Return how allowances stand that changed since somebody looked, of periods over for 30 days at most."""
        with self._sessions.reading() as connection:
            now = now_of(connection)
            over = select(allowances).where(
                allowances.c.ends <= now,
                allowances.c.ends > now - OVER_FOR,
                allowances.c.seen.is_(None) | (allowances.c.settled != allowances.c.seen),
            )
            rows = connection.execute(over.order_by(allowances.c.starts, allowances.c.name)).all()
            more = [raised_by(connection, row.name, row.ends - 1) for row in rows]
        return tuple(
            Standing(allowance_of(row, raised), 0, row.warned, seen=row.seen)
            for row, raised in zip(rows, more, strict=True)
        )

    def note_seen(self, standing: Standing) -> None:
        """Note that somebody has looked at an allowance whose period is over, as it stands."""
        of = standing.allowance
        seen = update(allowances).where(allowances.c.name == of.name, allowances.c.starts == of.period.starts)
        with self._sessions.writing() as connection:
            connection.execute(seen.values(seen=of.settled))

    def warn_once(self, name: str, starts: int, before: int, count: int) -> bool:
        """Note that so many thresholds are passed in place of so many before; return whether nobody else did."""
        noted = update(allowances).where(
            allowances.c.name == name, allowances.c.starts == starts, allowances.c.warned == before
        )
        with self._sessions.writing() as connection:
            return connection.execute(noted.values(warned=count)).rowcount == 1

    def next_declaration(self) -> int:
        """Return when a declaration comes into force: the store's time, and always later than any before."""
        counter = counters.c.name == DECLARED
        fresh = {"name": DECLARED, "value": 0}
        with self._sessions.writing() as connection:
            connection.execute(upsert(self._sessions.engine, counters).values(fresh).on_conflict_do_nothing())
            last = connection.execute(select(counters.c.value).where(counter).with_for_update()).scalar_one()
            if not last:  # Written by a version that took each machine's clock.
                last = connection.execute(select(func.coalesce(func.max(allowances.c.declared_at), 0))).scalar_one()
            declared_at = max(now_of(connection), int(last) + 1)
            connection.execute(update(counters).where(counter).values(value=declared_at))
        return declared_at

    def raise_limit(self, one: Raise) -> None:
        """Keep a temporary increase, with a line; it is in force with the next grant.

        Raises:
            errors.Malformed: with those before it would be more than can be kept.
        """
        reason = f"raised until {iso(one.ends)}: {one.reason}"
        decision = Decision(one.allowance, "budget", "raised", one.amount, one.made_at, reason, one.approver)
        with self._deciding() as (connection, decide):
            alone(connection, _deciding_on(one.allowance))
            _check_sum(connection, one)
            connection.execute(raises.insert().values(msgspec.structs.asdict(one)))
            decide(decision)

    def raised(self) -> tuple[Raise, ...]:
        """Return all temporary increases ever made, oldest first."""
        rows = self._sessions.rows(select(raises).order_by(raises.c.made_at, raises.c.id))
        return tuple(Raise(**row._mapping) for row in rows)  # noqa: SLF001 - the documented way to a row's names

    def open_leases(self) -> tuple[LeaseRow, ...]:
        """Return the leases that have something left, frozen ones among them."""
        with self._sessions.reading() as connection:
            rows = connection.execute(select(leases).where(HAS_ROOM, leases.c.allowance != "")).all()
            of = {(row.name, row.starts): allowance_of(row) for row in connection.execute(select(allowances))}
        return tuple(LeaseRow(lease_of(row), of[row.allowance, row.starts]) for row in rows)

    def sweep(self, most: int) -> int:
        """Take out so many leases at most to which nothing can come any more; return how many it was."""
        with self._sessions.writing() as connection:
            return sweep(connection, most)

    def resolve(self, lease: LeaseId, *, spent: bool, reason: str, by: str) -> Lease:
        """Free what a lapsed lease has left, or count it as spent; return the lease as it was."""
        with self._deciding() as (connection, decide):
            held = holding(connection, leases.c.id == lease)
            found, now = held.leases.get(lease), now_of(connection)
            if found is None or not found.frozen(now):
                raise errors.Unknown(
                    f"no lapsed lease {lease} has anything left: `trunkline ledger resolve` lists those that have",
                    code="lease_not_found",
                )
            held.apply(lease, rules.write_off if spent else rules.close)
            held.write()
            connection.execute(update(leases).where(leases.c.id == lease).values(resolved=reason))
            said = f"lease {lease} {'counted as spent' if spent else 'freed'}: {reason}"
            taker = "lost" if spent else "budget"
            decide(Decision(held.keys[lease][0], taker, "frozen", found.room, now, said, by))
        return found

    @contextmanager
    def _deciding(self) -> Iterator[tuple[Connection, Callable[[Decision], None]]]:
        """A writing transaction, and what books a decision in it."""
        posting = Posting(self._decisions)
        with self._sessions.writing() as connection:

            def decide(decision: Decision) -> None:
                alone(connection, _deciding_on(decision.budget))
                last = select(func.coalesce(func.max(lines.c.number), 0)).where(lines.c.request == decision.budget)
                posting.decide(decision, connection.execute(last).scalar_one() + 1)

            yield connection, decide
            posting.write(connection)
        posting.kept()


def _ask(connection: Connection, asks: Sequence[Ask]) -> tuple[Answer, ...]:
    _declare(connection, asks)
    held = Held(connection, {(one.allowance, one.period.starts) for one in asks})
    held.load(one.lease for one in asks)
    now = now_of(connection)
    closed = _closed(connection, {one.journal for one in asks})
    for one in asks:
        key = (one.allowance, one.period.starts)
        gone = one.journal in closed
        lease = held.leases.get(one.lease) or Lease(one.lease, one.journal, known=gone, ended=gone)
        held.keys.setdefault(one.lease, key)
        held.put(one.lease, *rules.adjust(held.allowances[key], lease, one, now))
    held.write()
    return tuple(held.answer(one, now) for one in asks)


def _deciding_on(allowance: str) -> str:
    """What one does at a time: the lines of decisions about an allowance are numbered in their order."""
    return f"deciding on {allowance}"


def _check_sum(connection: Connection, one: Raise) -> None:
    """Hold that what an allowance is raised by still fits where it is added up: in its grants, and in its account."""
    ever = select(func.coalesce(func.sum(raises.c.amount), 0)).where(raises.c.allowance == one.allowance)
    there, all_told = (
        int(connection.execute(sums).scalar_one()) for sums in (ever.where(raises.c.ends > one.made_at), ever)
    )
    if there + one.amount > MOST_UNITS * NANOS_PER_UNIT or all_told + one.amount > FOREVER:
        message = f"{one.allowance} is raised by {bare(there)} already: it cannot be raised by {bare(one.amount)} more"
        raise errors.Malformed(message, param="by")


def _mark(journal: JournalId) -> LeaseId:
    """The row that says that a journal's leases are closed."""
    return LeaseId(f"{CLOSED}{journal}")


def _closed(connection: Connection, journals: Iterable[JournalId]) -> frozenset[JournalId]:
    """Which of these journals were read to their end, and are gone."""
    marks = {_mark(journal): journal for journal in journals}
    found = connection.execute(select(leases.c.id).where(leases.c.id.in_(marks)))
    return frozenset(marks[LeaseId(name)] for name in found.scalars())


def _declare(connection: Connection, asks: Sequence[Ask]) -> None:
    """Make the rows of allowances that nobody asked for before, with what was spent in their periods so far."""
    firsts = {(one.allowance, one.period.starts): one for one in asks}
    late = [
        key for key, one in firsts.items() if one.covers is not None and one.declared_at + AFTER > one.period.starts
    ]
    which = tuple_(allowances.c.name, allowances.c.starts)
    there = set(map(tuple, connection.execute(select(*which.clauses).where(which.in_(late))))) if late else set()
    insert = upsert(connection.engine, allowances).on_conflict_do_nothing()
    if not (missing := set(late) - there):
        connection.execute(insert, [_fresh(firsts[key]) for key in sorted(firsts)])
        return
    alone(connection, SPENDING)  # Whatever is booked is either there by now, or finds the new row.
    now = now_of(connection)
    for key in sorted(firsts):
        one = firsts[key]
        if key not in missing:
            connection.execute(insert.values(_fresh(one)))
            continue
        until = min(now + AFTER, one.period.ends)
        amount = spent_outside(connection, one, until)
        if connection.execute(insert.values(_fresh(one, amount, until))).rowcount:  # Else somebody made it meanwhile.
            connection.execute(leases.insert().values(_before(key, amount)))


def _before(key: Key, amount: int) -> dict[str, Any]:
    """The row that accounts for what was spent outside."""
    return values_of(Lease(row_of(*key), JournalId(""), settled=amount, ended=True), key) | {"resolved": ""}


def _fresh(one: Ask, settled: int = 0, counts_until: int | None = None) -> dict[str, Any]:
    return {
        "name": one.allowance,
        "starts": one.period.starts,
        "ends": one.period.ends,
        "limit": one.limit,
        "hard": one.hard,
        "declared_at": one.declared_at,
        "settled": settled,
        "leased": 0,
        "short_at": 0,
        "warned": 0,
        "counts_until": counts_until,
        "covers": None if counts_until is None else _encode(one.covers).decode(),
    }
