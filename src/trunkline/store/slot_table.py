from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import delete, select, update

from trunkline.metering.portions import Holding, Queue
from trunkline.metering.slots import LASTS, SlotAnswer, SlotAsk, share
from trunkline.store.held_leases import now_of
from trunkline.store.schema import slots
from trunkline.store.sessions import Sessions, upsert

NOBODY = ""
"""The holder of a limit's first row, which is locked by who changes its others; its `expires` says who went without."""

KEPT_FOR = 600_000_000_000
"""Nanoseconds for which what has lapsed is kept: a message that is late must not begin it anew."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Queue]).decode


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
                rows = connection.execute(select(slots).where(*alive)).all()
                others = [Holding(row.holder, row.used, _queues(row.waiting), row.amount) for row in rows]
                mine = connection.execute(
                    select(slots.c.version, slots.c.amount).where(of, slots.c.holder == ask.holder)
                ).one_or_none()
                if mine is not None and mine.version >= ask.version:
                    answers[place] = SlotAnswer(min(mine.amount, ask.amount), idle=False, short=False)
                    continue
                answer = share(ask, others, now, short_at)
                row = {
                    "version": ask.version,
                    "amount": answer.amount,
                    "used": ask.used,
                    "expires": now + LASTS,
                    "waiting": _encode(ask.waiting).decode() if ask.waiting else None,
                }
                if mine is None:
                    connection.execute(delete(slots).where(*alive[:2], slots.c.expires < now - KEPT_FOR))
                    connection.execute(slots.insert().values({"name": ask.name, "holder": ask.holder, **row}))
                else:
                    connection.execute(update(slots).where(of, slots.c.holder == ask.holder).values(row))
                if answer.amount < ask.need:
                    connection.execute(update(slots).where(of, slots.c.holder == NOBODY).values(expires=now))
                answers[place] = answer
        return tuple(answers[place] for place in range(len(asks)))


def _queues(waiting: str | None) -> dict[str, Queue]:
    return _decode(waiting) if waiting else {}
