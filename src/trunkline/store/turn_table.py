from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, delete, func, literal, select

from trunkline.conversations.turns import Belonging, Held, TooMuch, Turn
from trunkline.store.schema import turns
from trunkline.store.sessions import Sessions


class TurnTable:
    """The conversations' part of the store: implements `conversations.turns.TurnStore`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def keep_turn(self, turn: Turn) -> None:
        """Keep a turn."""
        row = msgspec.structs.asdict(turn) | {"size": len(turn.items) + len(turn.answer)}
        with self._sessions.writing() as connection:
            connection.execute(turns.insert().values(row))

    def turns_up_to(self, turn_id: str, now: int, most_turns: int, most_bytes: int) -> tuple[Turn, ...] | TooMuch:
        """Return a turn with all before it, oldest first, as far back as they are kept and have not expired.

        How long it is gets counted before any of it is read.
        """
        kept = turns.c.expires_at > now
        columns = (turns.c.id, turns.c.before, turns.c.size)
        first = select(*columns, literal(1).label("depth")).where(turns.c.id == turn_id, kept)
        way = first.cte("way", recursive=True)
        further = select(*columns, way.c.depth + 1).join(way, turns.c.id == way.c.before)
        way = way.union_all(further.where(kept, way.c.depth <= most_turns))
        with self._sessions.reading() as connection:
            count, size = connection.execute(select(func.count(), func.coalesce(func.sum(way.c.size), 0))).one()
            if count > most_turns or size > most_bytes:
                return TooMuch(int(count), int(size))
            found = select(turns).join(way, turns.c.id == way.c.id).order_by(way.c.depth.desc())
            return tuple(_turn(row) for row in connection.execute(found))

    def forget_turn(self, turn_id: str) -> bool:
        """Erase one turn; return whether it was there."""
        return self._delete(turns.c.id == turn_id) > 0

    def sweep_turns(self, now: int, most: int) -> int:
        """Erase turns that have expired, so many at most; return how many."""
        expired = select(turns.c.id).where(turns.c.expires_at <= now).limit(most)
        with self._sessions.reading() as connection:
            found = connection.execute(expired).scalars().all()
        return self._delete(turns.c.id.in_(found)) if found else 0

    def erase_turns(self, whose: Belonging, before: int | None = None) -> int:
        """Erase turns that belong so, all or those made before a time; return how many."""
        older = [] if before is None else [turns.c.made_at < before]
        return self._delete(*_of(whose), *older)

    def held_turns(self, whose: Belonging) -> Sequence[Held]:
        """Say what is kept, by unit and use case."""
        by = (turns.c.unit, turns.c.use_case)
        sums = (func.count(), func.sum(turns.c.size), func.min(turns.c.made_at), func.max(turns.c.made_at))
        found = self._sessions.rows(select(*by, *sums).where(*_of(whose)).group_by(*by).order_by(*by))
        return tuple(Held(row[0], row[1], *map(int, row[2:])) for row in found)

    def _delete(self, *which: ColumnElement[bool]) -> int:
        with self._sessions.writing() as connection:
            return connection.execute(delete(turns).where(*which)).rowcount


def _of(whose: Belonging) -> list[ColumnElement[bool]]:
    return [turns.c[name] == value for name, value in msgspec.structs.asdict(whose).items() if value is not None]


def _turn(row: Row[Any]) -> Turn:
    return Turn(
        id=row.id,
        before=row.before,
        root=row.root,
        unit=row.unit,
        use_case=row.use_case,
        key=row.key,
        end_customer=row.end_customer,
        data_class=row.data_class,
        deployment=row.deployment,
        made_at=row.made_at,
        expires_at=row.expires_at,
        items=bytes(row.items),
        answer=bytes(row.answer),
    )
