"""Takes out leases that nothing can come to any more, so that their table does not grow with time.

What was settled in them is kept in one row for each allowance and period: an allowance stays what its leases add up to.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, delete, exists, literal, or_, select, true, update

from trunkline.ids import JournalId
from trunkline.metering.leases import Lease, LeaseId
from trunkline.store.held_leases import HAS_ROOM, Held, Key, now_of
from trunkline.store.schema import allowances, leases

DAY = 86_400_000_000_000
CLOSED_FOR = DAY
"""Nanoseconds after which nothing is on its way any more from the worker of a journal that was read whole."""

OVER_FOR = 30 * DAY
"""Nanoseconds after the end of its period for which a lease waits for what its journal may still tell."""

CLOSED = "closed:"
"""Before the name of a journal: the row that says that its leases are closed."""

PAST = "past:"
"""Before the name of an allowance and its period: the row of what was settled in leases that are gone."""

_is_mark = leases.c.id.startswith(CLOSED)


def sweep(connection: Connection, most: int) -> int:
    """Take out so many leases and marks at most, within a transaction; return how many it was."""
    now = now_of(connection)
    # Written by a version that kept no time: from now on it counts.
    connection.execute(update(leases).where(_is_mark, leases.c.expires == 0).values(expires=now))
    found = connection.execute(_gone(now).limit(most)).all()
    held = Held(connection, {(row.allowance, row.starts) for row in found})
    held.load(row.id for row in found)
    settled: dict[Key, int] = defaultdict(int)
    gone = [lease for lease in tuple(held.leases) if held.leases[lease].room == 0]
    for lease in gone:
        settled[held.keys[lease]] += held.leases.pop(lease).settled
    for key, amount in settled.items():
        _fold(held, key, amount)
    held.write()
    if gone:
        connection.execute(delete(leases).where(leases.c.id.in_(gone)))
    marks = connection.execute(_idle_marks(now).limit(most - len(gone))).scalars().all()
    if marks:
        connection.execute(delete(leases).where(leases.c.id.in_(marks)))
    return len(gone) + len(marks)


def _gone(now: int) -> Select[Any]:
    mark = leases.alias("mark")
    closed = exists(
        select(true()).where(mark.c.id == literal(CLOSED) + leases.c.journal, mark.c.expires < now - CLOSED_FOR)
    )
    over = exists(
        select(true()).where(
            allowances.c.name == leases.c.allowance,
            allowances.c.starts == leases.c.starts,
            allowances.c.ends < now - OVER_FOR,
        )
    )
    return select(leases.c.id, leases.c.allowance, leases.c.starts).where(
        leases.c.allowance != "",
        leases.c.known,
        leases.c.journal != "",
        ~HAS_ROOM,
        leases.c.ahead == 0,
        leases.c.resolved == "",  # What somebody decided stays to be read.
        leases.c.expires < now - CLOSED_FOR,
        or_(closed, and_(leases.c.ended, over)),
    )


def _idle_marks(now: int) -> Select[Any]:
    of = leases.alias("of")
    has_leases = exists(select(true()).where(literal(CLOSED) + of.c.journal == leases.c.id, of.c.journal != ""))
    return select(leases.c.id).where(_is_mark, leases.c.expires < now - CLOSED_FOR, ~has_leases)


def _fold(held: Held, key: Key, amount: int) -> None:
    past = LeaseId(f"{PAST}{key[0]}@{key[1]}")
    held.load([past])
    before = held.leases.get(past) or Lease(past, JournalId(""), ended=True)
    total = before.settled + amount
    held.keys[past] = key
    held.leases[past] = msgspec.structs.replace(before, settled=total, amount=total)
