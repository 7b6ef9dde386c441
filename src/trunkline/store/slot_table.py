from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import case, delete, func, select, update

from trunkline.metering.slots import LASTS, SHORT_FOR, SlotAnswer, SlotAsk, grant
from trunkline.store.held_leases import now_of
from trunkline.store.schema import slots
from trunkline.store.sessions import Sessions, upsert

NOBODY = ""
"""The holder of a limit's first row, which is locked by who changes its others; its `expires` says who went without."""

KEPT_FOR = 600_000_000_000
"""Nanoseconds for which what has lapsed is kept: a message that is late must not begin it anew."""


class SlotTable:
    """What workers hold of limits on calls at once: implements `metering.slots.SlotStore`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def hold_slots(self, asks: Sequence[SlotAsk]) -> tuple[SlotAnswer, ...]:
        """Heed what a worker wants to hold, for `LASTS`; one answer for each, in order."""
        insert = upsert(self._sessions.engine, slots)
        answers: dict[int, SlotAnswer] = {}
        with self._sessions.writing() as connection:
            # In one order, whoever asks: nobody waits for somebody who waits for him.
            for place in sorted(range(len(asks)), key=lambda place: asks[place].name):
                ask = asks[place]
                of = slots.c.name == ask.name
                first = {"name": ask.name, "holder": NOBODY, "version": 0, "amount": 0, "used": 0, "expires": 0}
                connection.execute(insert.values(first).on_conflict_do_nothing())
                lock = select(slots.c.expires).where(of, slots.c.holder == NOBODY).with_for_update()
                short_at = connection.execute(lock).scalar_one()
                now = now_of(connection)
                alive = (of, slots.c.holder.not_in((NOBODY, ask.holder)), slots.c.expires > now)
                idle_of = case((slots.c.amount > slots.c.used, slots.c.amount - slots.c.used), else_=0)
                sums = select(func.coalesce(func.sum(slots.c.amount), 0), func.coalesce(func.sum(idle_of), 0))
                others, idle = map(int, connection.execute(sums.where(*alive)).one())
                mine = connection.execute(
                    select(slots.c.version, slots.c.amount).where(of, slots.c.holder == ask.holder)
                ).one_or_none()
                if mine is not None and mine.version >= ask.version:
                    answers[place] = SlotAnswer(min(mine.amount, ask.amount), idle=False, short=False)
                    continue
                amount = grant(ask, others)
                row = {"version": ask.version, "amount": amount, "used": ask.used, "expires": now + LASTS}
                if mine is None:
                    connection.execute(delete(slots).where(*alive[:2], slots.c.expires < now - KEPT_FOR))
                    connection.execute(slots.insert().values({"name": ask.name, "holder": ask.holder, **row}))
                else:
                    connection.execute(update(slots).where(of, slots.c.holder == ask.holder).values(row))
                if amount < ask.need:
                    short_at = now
                    connection.execute(update(slots).where(of, slots.c.holder == NOBODY).values(expires=now))
                answers[place] = SlotAnswer(amount, idle=idle > 0, short=now - short_at < SHORT_FOR)
        return tuple(answers[place] for place in range(len(asks)))
