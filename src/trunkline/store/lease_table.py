from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select, text, update

from trunkline import errors
from trunkline.ids import JournalId
from trunkline.metering import leases as rules
from trunkline.metering.leases import SHORT_FOR, Allowance, Answer, Ask, Lease, LeaseId
from trunkline.metering.periods import Period
from trunkline.metering.ports import LeaseRow, Raise, Standing
from trunkline.store.schema import allowances, leases, raises
from trunkline.store.sessions import Sessions, upsert

Key = tuple[str, int]

_room = leases.c.amount - leases.c.settled
_has_room = leases.c.amount > leases.c.settled


class LeaseTable:
    """The leases' part of the store: implements `metering.ports.LeaseStore`.

    Whoever changes a lease first locks the row of its allowance, of several in the order of their keys; then the rules
    of `metering.leases` are applied to what is there, and written back.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def ask(self, asks: Sequence[Ask]) -> tuple[Answer, ...]:
        """Heed what workers ask for, all of it or none; one answer for each, in order."""
        with self._sessions.writing() as connection:
            _declare(connection, asks)
            held = _Held(connection, {(one.allowance, one.period.starts) for one in asks})
            held.load(one.lease for one in asks)
            now = _now(connection)
            closed = _closed(connection, {one.journal for one in asks})
            for one in asks:
                key = (one.allowance, one.period.starts)
                gone = one.journal in closed
                lease = held.leases.get(one.lease) or Lease(one.lease, one.journal, known=gone, ended=gone)
                held.keys.setdefault(one.lease, key)
                held.put(one.lease, *rules.adjust(held.allowances[key], lease, one, now))
            held.write()
            return tuple(held.answer(one, now) for one in asks)

    def short(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of these allowances of which somebody went without a moment ago. Cheap."""
        with self._sessions.reading() as connection:
            since = _now(connection) - SHORT_FOR
            wanted = select(allowances.c.name).where(allowances.c.name.in_(names), allowances.c.short_at > since)
            return tuple(connection.execute(wanted.distinct()).scalars())

    def close_leases(self, journal: JournalId) -> int:
        """Free what is left in the leases of a journal that is wholly booked; return how much that was."""
        freed = 0
        mark = Lease(_mark(journal), JournalId(""), ended=True, known=False)
        with self._sessions.writing() as connection:
            # What its worker still asked for, on its way while it died, must not come after this.
            marked = upsert(self._sessions.engine, leases).values(_values(mark, ("", 0)) | {"resolved": ""})
            connection.execute(marked.on_conflict_do_nothing())
            held = _holding(connection, leases.c.journal == journal, _has_room | (leases.c.ahead > 0))
            for lease in tuple(held.leases.values()):
                freed += lease.room
                held.apply(lease.id, rules.close)
            held.write()
        return freed

    def allowances(self) -> tuple[Allowance, ...]:
        """Return every allowance in each of its periods, oldest first."""
        order = (allowances.c.starts, allowances.c.name)
        return tuple(map(_allowance, self._sessions.rows(select(allowances).order_by(*order))))

    def standings(self) -> tuple[Standing, ...]:
        """Return how allowances stand whose periods are now, by the store's clock."""
        with self._sessions.reading() as connection:
            now = _now(connection)
            of_now = select(allowances).where(allowances.c.starts <= now, allowances.c.ends > now)
            rows = connection.execute(of_now.order_by(allowances.c.name)).all()
            lapsed = select(leases.c.allowance, leases.c.starts, func.sum(_room)).where(
                _has_room, leases.c.expires <= now
            )
            frozen = {
                (name, starts): int(left)
                for name, starts, left in connection.execute(lapsed.group_by(leases.c.allowance, leases.c.starts))
            }
            more = {row.name: _raised(connection, row.name, now) for row in rows}
        return tuple(
            Standing(_allowance(row, more[row.name]), frozen.get((row.name, row.starts), 0), row.warned) for row in rows
        )

    def warn_once(self, name: str, starts: int, count: int) -> bool:
        """Note that so many thresholds were passed; return whether nobody noted it before."""
        noted = update(allowances).where(
            allowances.c.name == name, allowances.c.starts == starts, allowances.c.warned < count
        )
        with self._sessions.writing() as connection:
            return connection.execute(noted.values(warned=count)).rowcount == 1

    def raise_limit(self, one: Raise) -> None:
        """Keep a temporary increase; it is in force with the next grant."""
        with self._sessions.writing() as connection:
            connection.execute(raises.insert().values(msgspec.structs.asdict(one)))

    def raised(self) -> tuple[Raise, ...]:
        """Return all temporary increases ever made, oldest first."""
        rows = self._sessions.rows(select(raises).order_by(raises.c.made_at, raises.c.id))
        return tuple(Raise(**row._mapping) for row in rows)  # noqa: SLF001 - the documented way to a row's names

    def open_leases(self) -> tuple[LeaseRow, ...]:
        """Return the leases that have something left, frozen ones among them."""
        with self._sessions.reading() as connection:
            rows = connection.execute(select(leases).where(_has_room, leases.c.allowance != "")).all()
            of = {(row.name, row.starts): _allowance(row) for row in connection.execute(select(allowances))}
        return tuple(LeaseRow(_lease(row), of[row.allowance, row.starts]) for row in rows)

    def resolve(self, lease: LeaseId, *, spent: bool, reason: str) -> Lease:
        """Free what a lapsed lease has left, or count it as spent; return the lease as it was."""
        with self._sessions.writing() as connection:
            held = _holding(connection, leases.c.id == lease)
            found = held.leases.get(lease)
            if found is None or not found.frozen(_now(connection)):
                raise errors.Unknown(
                    f"no lapsed lease {lease} has anything left: `trunkline ledger resolve` lists those that have",
                    code="lease_not_found",
                )
            held.apply(lease, rules.write_off if spent else rules.close)
            held.write()
            connection.execute(update(leases).where(leases.c.id == lease).values(resolved=reason))
        return found


def settle_leases(connection: Connection, costs: Mapping[LeaseId, int]) -> None:
    """Move what attempts cost from leased to settled, within the transaction that books them.

    A lease that nobody has asked for yet keeps its costs until somebody does: limits that are only watched are counted
    without asking first.
    """
    if not costs:
        return
    held = _holding(connection, leases.c.id.in_(costs))
    for lease, cost in costs.items():
        if lease not in held.leases:
            held.leases[lease] = Lease(lease, JournalId(""), known=False)
        held.apply(lease, rules.settle, cost)
    held.write()


def add_up(costs: Iterable[tuple[str | None, int]]) -> dict[LeaseId, int]:
    """Sum what attempts cost by the leases that they were held in, which a row holds parted by blanks."""
    sums: dict[LeaseId, int] = defaultdict(int)
    for names, cost in costs:
        for name in names.split() if names else ():
            sums[LeaseId(name)] += cost
    return sums


class _Held:
    """Allowances that are locked, and leases of theirs, changed in memory and written together."""

    def __init__(self, connection: Connection, keys: Iterable[Key]) -> None:
        self._connection = connection
        self.allowances: dict[Key, Allowance] = {}
        self.leases: dict[LeaseId, Lease] = {}
        self.keys: dict[LeaseId, Key] = {}
        now = _now(connection)
        for name, starts in sorted(keys):
            found = select(allowances).where(allowances.c.name == name, allowances.c.starts == starts)
            row = connection.execute(found.with_for_update()).one()
            self.allowances[name, starts] = _allowance(row, _raised(connection, name, now))
        self._read = dict(self.allowances)
        self._leases_read: dict[LeaseId, Lease] = {}

    def load(self, ids: Iterable[LeaseId]) -> None:
        """Read leases, once their allowances are locked."""
        for row in self._connection.execute(select(leases).where(leases.c.id.in_(list(ids)))):
            lease = self._leases_read[row.id] = self.leases[row.id] = _lease(row)
            if lease.known:
                self.keys[lease.id] = (row.allowance, row.starts)

    def put(self, lease_id: LeaseId, allowance: Allowance, lease: Lease) -> None:
        """Keep how a lease and its allowance stand now."""
        self.leases[lease_id] = lease
        self.allowances[allowance.name, allowance.period.starts] = allowance

    def apply(self, lease_id: LeaseId, rule: Any, *more: int) -> None:
        """Apply a rule to a lease and its allowance."""
        lease, key = self.leases[lease_id], self.keys.get(lease_id)
        allowance = self.allowances[key] if key is not None else _NOWHERE
        changed, after = rule(allowance, lease, *more)
        if key is None:
            self.leases[lease_id] = after
        else:
            self.put(lease_id, changed, after)

    def write(self) -> None:
        """Write what has changed."""
        for key, allowance in self.allowances.items():
            if allowance != self._read[key]:
                where = (allowances.c.name == key[0], allowances.c.starts == key[1])
                values = {name: getattr(allowance, name) for name in _CHANGING}
                self._connection.execute(update(allowances).where(*where).values(values))
        for lease in self.leases.values():
            before = self._leases_read.get(lease.id)
            values = _values(lease, self.keys.get(lease.id, ("", 0)))
            if before is None:
                self._connection.execute(leases.insert().values(values | {"resolved": ""}))
            elif before != lease:
                self._connection.execute(update(leases).where(leases.c.id == lease.id).values(values))

    def answer(self, ask: Ask, now: int) -> Answer:
        """Return what the worker is told."""
        lease = self.leases[ask.lease]
        key = self.keys[ask.lease]
        others = 0
        if ask.hard and lease.amount < ask.need:
            there = select(func.coalesce(func.sum(_room), 0)).where(
                leases.c.allowance == key[0],
                leases.c.starts == key[1],
                leases.c.id != ask.lease,
                leases.c.expires > now,
                _has_room,
            )
            others = int(self._connection.execute(there).scalar_one())
        return rules.answer(self.allowances[key], lease, now, others)


_CHANGING = ("limit", "hard", "declared_at", "settled", "leased", "short_at")
_NOWHERE = Allowance("", Period(0, 0), 0, hard=False, declared_at=0)


def _holding(connection: Connection, *which: Any) -> _Held:
    """Lock the allowances of some leases, and read these leases then."""
    found = connection.execute(select(leases.c.id, leases.c.allowance, leases.c.starts).where(*which)).all()
    held = _Held(connection, {(row.allowance, row.starts) for row in found if row.allowance})
    held.load(row.id for row in found)
    return held


def _mark(journal: JournalId) -> LeaseId:
    """The row that says that a journal's leases are closed."""
    return LeaseId(f"closed:{journal}")


def _closed(connection: Connection, journals: Iterable[JournalId]) -> frozenset[JournalId]:
    """Which of these journals were read to their end, and are gone."""
    marks = {_mark(journal): journal for journal in journals}
    found = connection.execute(select(leases.c.id).where(leases.c.id.in_(marks)))
    return frozenset(marks[LeaseId(name)] for name in found.scalars())


def _values(lease: Lease, key: Key) -> dict[str, Any]:
    return msgspec.structs.asdict(lease) | {"allowance": key[0], "starts": key[1]}


def _declare(connection: Connection, asks: Sequence[Ask]) -> None:
    """Make the rows of allowances that nobody asked for before."""
    rows = {
        (one.allowance, one.period.starts): {
            "name": one.allowance,
            "starts": one.period.starts,
            "ends": one.period.ends,
            "limit": one.limit,
            "hard": one.hard,
            "declared_at": one.declared_at,
            "settled": 0,
            "leased": 0,
            "short_at": 0,
            "warned": 0,
        }
        for one in asks
    }
    connection.execute(
        upsert(connection.engine, allowances).on_conflict_do_nothing(), [rows[key] for key in sorted(rows)]
    )


def _raised(connection: Connection, name: str, now: int) -> int:
    """What temporary increases add to an allowance at the moment."""
    wanted = select(func.coalesce(func.sum(raises.c.amount), 0)).where(
        raises.c.allowance == name, raises.c.starts <= now, raises.c.ends > now
    )
    return int(connection.execute(wanted).scalar_one())


def _now(connection: Connection) -> int:
    """The store's clock: with many machines around one database, that of the database."""
    if connection.dialect.name == "postgresql":
        micros = connection.execute(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"))
        return int(micros.scalar_one()) * 1_000
    return time.time_ns()


def _allowance(row: Row[Any], raised: int = 0) -> Allowance:
    return Allowance(
        name=row.name,
        period=Period(row.starts, row.ends),
        limit=row.limit,
        hard=row.hard,
        declared_at=row.declared_at,
        raised=raised,
        settled=row.settled,
        leased=row.leased,
        short_at=row.short_at,
    )


def _lease(row: Row[Any]) -> Lease:
    return Lease(
        id=LeaseId(row.id),
        journal=JournalId(row.journal),
        version=row.version,
        amount=row.amount,
        settled=row.settled,
        ahead=row.ahead,
        expires=row.expires,
        ended=row.ended,
        known=row.known,
    )
