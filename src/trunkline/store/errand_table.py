from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from trunkline.conversations.dialogues import Appended
from trunkline.conversations.errands import Ending, Events, Followed
from trunkline.conversations.turns import Progress, Turn
from trunkline.store.dialogue_table import append_items
from trunkline.store.schema import errand_events, turns
from trunkline.store.sessions import Sessions
from trunkline.store.turn_table import insert_ids, turn_of

UNDER_WAY = turns.c.status == Progress.RUNNING.value


class ErrandTable:
    """The part of the store that has errands: implements `conversations.errands.ErrandStore`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def renew_errands(self, worker: str, ids: Collection[str], until: int) -> Collection[str]:
        """Say that a worker is at these errands; return which are its own still."""
        own = update(turns).where(UNDER_WAY, turns.c.worker == worker, turns.c.id.in_(ids))
        with self._sessions.writing() as connection:
            found = connection.execute(own.values(alive_until=until).returning(turns.c.id))
            return frozenset(found.scalars())

    def add_events(self, turn: Turn, events: Events) -> None:
        """Keep events of an errand that is under way, in place of what is kept from the first of them on."""
        with self._sessions.writing() as connection:
            if _change(connection, turn, UNDER_WAY, {"worker": turn.worker}):  # Locked: nobody ends it.
                _put(connection, turn, events)

    def end_errand(self, ending: Ending) -> Appended:
        """End an errand that is its worker's still: all of it or nothing. The same end told again changes nothing."""
        try:
            return self._end_errand(ending)
        except IntegrityError:
            return Appended.TWICE

    def _end_errand(self, ending: Ending) -> Appended:
        turn = ending.turn
        written = {name: getattr(turn, name) for name in ("deployment", "answer", "status", "items", "expires_at")}
        size = turns.c.size - func.length(turns.c["items"]) - func.length(turns.c.answer)
        size += len(turn.items) + len(turn.answer)
        with self._sessions.writing() as connection:
            if not _change(connection, turn, UNDER_WAY, written | {"size": size}):
                same = select(turns.c.id).where(
                    turns.c.id == turn.id, turns.c.worker == turn.worker, turns.c.status == turn.status.value
                )
                return Appended.GONE if connection.execute(same).scalar() is None else Appended.WELL
            if ending.dialogue is not None and not append_items(connection, ending.dialogue, ending.items):
                connection.rollback()
                return Appended.GONE
            insert_ids(connection, turn.id, ending.item_ids)
            if ending.events is not None:
                _put(connection, turn, ending.events)
        return Appended.WELL

    def stop_errand(self, turn_id: str, status: Progress) -> bool:
        """Have an errand that is under way be no more its worker's; return whether it was under way."""
        stopped = update(turns).where(turns.c.id == turn_id, UNDER_WAY).values(status=status.value)
        with self._sessions.writing() as connection:
            return connection.execute(stopped).rowcount > 0

    def lose_errands(self, now: int) -> int:
        """Tell those as lost whose workers are gone; return how many."""
        lost = (UNDER_WAY, turns.c.alive_until <= now)
        with self._sessions.reading() as connection:
            if connection.execute(select(turns.c.id).where(*lost).limit(1)).scalar() is None:
                return 0
        with self._sessions.writing() as connection:
            return connection.execute(update(turns).where(*lost).values(status=Progress.LOST.value)).rowcount

    def follow_errand(self, turn_id: str, after: int, now: int, most: int) -> Followed | None:
        """Return an errand with so many pieces of its stream, those with events after a number."""
        piece = errand_events.c
        chosen = select(piece.first, piece.last, piece.content).where(piece.turn == turn_id, piece.last > after)
        with self._sessions.snapshot() as connection:
            row = connection.execute(select(turns).where(turns.c.id == turn_id, turns.c.expires_at > now)).one_or_none()
            if row is None:
                return None
            found = connection.execute(chosen.order_by(piece.first).limit(most))
            return Followed(turn_of(row), tuple(Events(one.first, one.last, bytes(one.content)) for one in found))


def _change(connection: Connection, turn: Turn, which: ColumnElement[bool], written: dict[str, Any]) -> bool:
    own = update(turns).where(turns.c.id == turn.id, turns.c.worker == turn.worker, which)
    return connection.execute(own.values(written)).rowcount > 0


def _put(connection: Connection, turn: Turn, events: Events) -> None:
    """Keep events; those told before, whose keeping nobody has confirmed, come again among them."""
    again = (errand_events.c.turn == turn.id, errand_events.c.first >= events.first)
    lengths = func.coalesce(func.sum(func.length(errand_events.c.content)), 0)
    more = len(events.content) - int(connection.execute(select(lengths).where(*again)).scalar_one())
    connection.execute(delete(errand_events).where(*again))
    connection.execute(errand_events.insert().values(msgspec.structs.asdict(events) | {"turn": turn.id}))
    connection.execute(update(turns).where(turns.c.id == turn.id).values(size=turns.c.size + more))
