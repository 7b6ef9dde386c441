"""Allowances that a transaction has locked, and leases of theirs: changed in memory by the rules, written together."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, func, select, text, update

from trunkline.ids import JournalId
from trunkline.metering import leases as rules
from trunkline.metering.leases import Allowance, Answer, Ask, Lease, LeaseId
from trunkline.metering.periods import Period
from trunkline.store.schema import allowances, leases, raises

Key = tuple[str, int]

ROOM = leases.c.amount - leases.c.settled
HAS_ROOM = leases.c.amount > leases.c.settled


class Held:
    """Allowances that are locked, and leases of theirs, changed in memory and written together."""

    def __init__(self, connection: Connection, keys: Iterable[Key]) -> None:
        self._connection = connection
        self.allowances: dict[Key, Allowance] = {}
        self.leases: dict[LeaseId, Lease] = {}
        self.keys: dict[LeaseId, Key] = {}
        now = now_of(connection)
        for name, starts in sorted(keys):
            found = select(allowances).where(allowances.c.name == name, allowances.c.starts == starts)
            row = connection.execute(found.with_for_update()).one()
            self.allowances[name, starts] = allowance_of(row, raised_by(connection, name, now))
        self._read = dict(self.allowances)
        self._leases_read: dict[LeaseId, Lease] = {}

    def load(self, ids: Iterable[LeaseId]) -> None:
        """Read leases, once their allowances are locked."""
        named = select(leases).where(leases.c.id.in_(list(ids))).order_by(leases.c.id)
        for row in self._connection.execute(named.with_for_update()):
            lease = self._leases_read[row.id] = self.leases[row.id] = lease_of(row)
            if lease.known:
                self.keys[lease.id] = (row.allowance, row.starts)

    def put(self, lease_id: LeaseId, allowance: Allowance, lease: Lease) -> None:
        """Keep how a lease and its allowance stand now."""
        self.leases[lease_id] = lease
        self.allowances[allowance.name, allowance.period.starts] = allowance

    def apply(self, lease_id: LeaseId, rule: Any, *more: int) -> None:
        """Apply a rule to a lease and its allowance."""
        lease, key = self.leases[lease_id], self.keys.get(lease_id)
        allowance = self.allowances[key] if key is not None else NOWHERE
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
            values = values_of(lease, self.keys.get(lease.id, ("", 0)))
            if before is None:
                self._connection.execute(leases.insert().values(values | {"resolved": ""}))
            elif before != lease:
                self._connection.execute(update(leases).where(leases.c.id == lease.id).values(values))

    def answer(self, ask: Ask, now: int) -> Answer:
        """Return what the worker is told."""
        lease = self.leases[ask.lease]
        key = self.keys[ask.lease]
        others = frozen = 0
        if ask.hard and lease.amount < ask.need:
            alive = case((leases.c.expires > now, ROOM), else_=0)
            there = select(*(func.coalesce(func.sum(one), 0) for one in (alive, ROOM))).where(
                leases.c.allowance == key[0], leases.c.starts == key[1], leases.c.id != ask.lease, HAS_ROOM
            )
            others, every = map(int, self._connection.execute(there).one())
            frozen = every - others
        return rules.answer(self.allowances[key], lease, now, others, frozen)


_CHANGING = ("limit", "hard", "declared_at", "settled", "leased", "short_at")
NOWHERE = Allowance("", Period(0, 0), 0, hard=False, declared_at=0)
"""What a lease is of that nobody has asked for yet."""


def holding(connection: Connection, *which: Any) -> Held:
    """Lock the allowances of some leases, and read these leases then."""
    found = connection.execute(select(leases.c.id, leases.c.allowance, leases.c.starts).where(*which)).all()
    held = Held(connection, {(row.allowance, row.starts) for row in found if row.allowance})
    held.load(row.id for row in found)
    return held


def values_of(lease: Lease, key: Key) -> dict[str, Any]:
    """Return the columns of a lease, but for the reason of its resolution."""
    return msgspec.structs.asdict(lease) | {"allowance": key[0], "starts": key[1]}


def raised_by(connection: Connection, name: str, now: int) -> int:
    """What temporary increases add to an allowance at the moment."""
    wanted = select(func.coalesce(func.sum(raises.c.amount), 0)).where(
        raises.c.allowance == name, raises.c.starts <= now, raises.c.ends > now
    )
    return int(connection.execute(wanted).scalar_one())


def now_of(connection: Connection) -> int:
    """The store's clock: with many machines around one database, that of the database."""
    if connection.dialect.name == "postgresql":
        micros = connection.execute(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"))
        return int(micros.scalar_one()) * 1_000
    return time.time_ns()


def allowance_of(row: Row[Any], raised: int = 0) -> Allowance:
    """Return a row of `allowances` as the rules know it."""
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


def lease_of(row: Row[Any]) -> Lease:
    """Return a row of `leases` as the rules know it."""
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
