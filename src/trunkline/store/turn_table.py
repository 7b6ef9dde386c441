from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, delete, func, literal, select

from trunkline.conversations.turns import Belonging, Held, Progress, TooMuch, Turn
from trunkline.store.schema import dialogue_items, dialogues, turn_items, turns
from trunkline.store.sessions import Sessions

KINDS: Final = ("turns", "dialogues", "items")
SIZES: Final[tuple[tuple[Table, ColumnElement[int]], ...]] = (
    (turns, turns.c.size),
    (dialogues, func.length(dialogues.c.metadata)),
    (dialogue_items, dialogue_items.c.size),
)


class TurnTable:
    """The conversations' part of the store: implements `conversations.turns.TurnStore`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def keep_turn(self, turn: Turn, item_ids: Sequence[str] = ()) -> None:
        """Keep a turn, which can be found by the ids of its items, too."""
        with self._sessions.writing() as connection:
            insert_turn(connection, turn, item_ids)

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
            return tuple(turn_of(row) for row in connection.execute(found))

    def forget_turn(self, turn_id: str) -> bool:
        """Erase one turn; return whether it was there."""
        return self._delete(turns.c.id == turn_id) > 0

    def count_turns(self, unit: str, use_case: str, most: int) -> int:
        """Count what is kept of one use case for one unit, up to so many."""
        some = select(literal(1)).where(turns.c.unit == unit, turns.c.use_case == use_case).limit(most)
        with self._sessions.reading() as connection:
            return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()

    def sweep_turns(self, now: int, most: int) -> int:
        """Erase turns that have expired, so many at most; return how many."""
        expired = select(turns.c.id).where(turns.c.expires_at <= now).limit(most)
        with self._sessions.reading() as connection:
            found = connection.execute(expired).scalars().all()
        return self._delete(turns.c.id.in_(found)) if found else 0

    def erase_turns(self, whose: Belonging, before: int | None = None) -> int:
        """Erase turns that belong so, all or those made before a time; return how many."""
        older = [] if before is None else [turns.c.made_at < before]
        return self._delete(*belongs(whose, turns, turns), *older)

    def held_turns(self, whose: Belonging) -> Sequence[Held]:
        """Say what is kept, by unit and use case."""
        with self._sessions.snapshot() as connection:
            held: list[Row[Any]] = []
            for kind, (table, size) in enumerate(SIZES):
                held += connection.execute(_held(kind, table, size, whose)).all()
        return _summed(held)

    def _delete(self, *which: ColumnElement[bool]) -> int:
        with self._sessions.writing() as connection:
            return connection.execute(delete(turns).where(*which)).rowcount


def insert_turn(connection: Connection, turn: Turn, item_ids: Sequence[str]) -> None:
    """Keep a turn within a transaction."""
    row = msgspec.structs.asdict(turn) | {"size": len(turn.items) + len(turn.answer)}
    connection.execute(turns.insert().values(row))
    insert_ids(connection, turn.id, item_ids)


def insert_ids(connection: Connection, turn_id: str, item_ids: Sequence[str]) -> None:
    """Have a turn found by the ids of its items, within a transaction."""
    if item_ids:
        connection.execute(turn_items.insert(), [{"turn": turn_id, "id": one} for one in dict.fromkeys(item_ids)])


def belongs(whose: Belonging, made: Table, owned: Table) -> list[ColumnElement[bool]]:
    """Return what rows must fit: `made` says with which key and for whom, `owned` which unit and use case they are."""
    tables = {"unit": owned, "use_case": owned, "key": made, "end_customer": made}
    return [tables[name].c[name] == value for name, value in msgspec.structs.asdict(whose).items() if value is not None]


def _held(kind: int, made: Table, size: ColumnElement[int], whose: Belonging) -> Select[Any]:
    """Sums of one table, the kind of which is the first column."""
    owned = dialogues if made is dialogue_items else made
    by = (owned.c.unit, owned.c.use_case)
    sums = (func.count(), func.sum(size), func.min(made.c.made_at), func.max(made.c.made_at))
    rows = made if owned is made else made.join(owned, owned.c.id == made.c.dialogue)
    chosen = select(literal(kind), *by, *sums).select_from(rows)
    return chosen.where(*belongs(whose, made, owned)).group_by(*by)


def _summed(rows: Sequence[Any]) -> Sequence[Held]:
    found: dict[tuple[str, str], Held] = {}
    for kind, unit, use_case, count, size, first, last in rows:
        before = found.get((unit, use_case), Held(unit, use_case, 0, 0, 0, 0, int(first), int(last)))
        counted = KINDS[kind]
        found[unit, use_case] = msgspec.structs.replace(
            before,
            **{counted: getattr(before, counted) + int(count)},
            bytes=before.bytes + int(size),
            first_at=min(before.first_at, int(first)),
            last_at=max(before.last_at, int(last)),
        )
    return tuple(found[key] for key in sorted(found))


def turn_of(row: Row[Any]) -> Turn:
    """Read a turn from its row."""
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
        dialogue=row.dialogue,
        status=Progress(row.status),
        worker=row.worker,
        alive_until=row.alive_until,
        streams=row.streams,
    )
