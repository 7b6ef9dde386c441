from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, literal, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from trunkline.conversations.dialogues import Appended, Bounds, Dialogue, Found, Item, Span, Transcript
from trunkline.conversations.turns import Belonging, TooMuch, Turn
from trunkline.store.schema import dialogue_items, dialogues, turn_items, turns
from trunkline.store.sessions import Sessions
from trunkline.store.turn_table import belongs, insert_turn, turn_of


class DialogueTable:
    """The part of the store that has conversations with ids: implements `conversations.dialogues.DialogueStore`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def add_dialogue(self, dialogue: Dialogue, items: Sequence[Item]) -> None:
        """Keep a new one."""
        row = msgspec.structs.asdict(dialogue) | {"last": len(items)}
        with self._sessions.writing() as connection:
            connection.execute(dialogues.insert().values(row))
            _insert(connection, dialogue, items, 0)

    def find_dialogue(self, dialogue_id: str, now: int) -> Dialogue | None:
        """Return one that has not expired."""
        with self._sessions.reading() as connection:
            return _find(connection, dialogue_id, now)

    def read_dialogue(self, dialogue_id: str, now: int, bounds: Bounds) -> Transcript | TooMuch | None:
        """Return one with all its items; how much that is gets counted before any of it is read."""
        with self._sessions.snapshot() as connection:
            dialogue = _find(connection, dialogue_id, now)
            if dialogue is None:
                return None
            counted = _count(connection, dialogue)
            if counted.count > bounds.items or counted.bytes > bounds.bytes:
                return counted
            found = select(dialogue_items).where(dialogue_items.c.dialogue == dialogue_id)
            return dialogue, tuple(map(_item, connection.execute(found.order_by(dialogue_items.c.place))))

    def page_items(self, dialogue: Dialogue, span: Span) -> tuple[Item, ...] | None:
        """Return some of its items; None where there is none that they should come after."""
        place = dialogue_items.c.place
        chosen = select(dialogue_items).where(dialogue_items.c.dialogue == dialogue.id)
        chosen = chosen.order_by(place.desc() if span.newest_first else place).limit(span.most)
        with self._sessions.snapshot() as connection:
            if span.after is not None:
                after = connection.execute(select(func.max(place)).where(*_named(dialogue, span.after))).scalar()
                if after is None:
                    return None
                chosen = chosen.where(place < after if span.newest_first else place > after)
            return tuple(map(_item, connection.execute(chosen)))

    def find_item(self, dialogue: Dialogue, item_id: str) -> Item | None:
        """Return one of its items."""
        chosen = select(dialogue_items).where(*_named(dialogue, item_id)).order_by(dialogue_items.c.place.desc())
        rows = self._sessions.rows(chosen.limit(1))
        return _item(rows[0]) if rows else None

    def find_items(self, unit: str, use_case: str, ids: Sequence[str], now: int) -> Mapping[str, Found]:
        """Return what is kept under these ids in dialogues and turns of a unit and use case."""
        found: dict[str, Found] = {}
        said = select(turn_items.c.id.label("item"), turns).join(turns, turns.c.id == turn_items.c.turn)
        said = said.where(turn_items.c.id.in_(ids), *_alive(turns, unit, use_case, now))
        own = select(dialogue_items).join(dialogues, dialogues.c.id == dialogue_items.c.dialogue)
        own = own.where(dialogue_items.c.id.in_(ids), *_alive(dialogues, unit, use_case, now))
        with self._sessions.snapshot() as connection:
            for row in connection.execute(said.order_by(turns.c.made_at)):
                found[row.item] = Found(turn=turn_of(row))
            for row in connection.execute(own.order_by(dialogue_items.c.made_at)):
                found[row.id] = Found(item=_item(row), dialogue=row.dialogue)
        return found

    def append(
        self, dialogue: Dialogue, items: Sequence[Item], turn: Turn | None, bounds: Bounds | None
    ) -> Appended | TooMuch:
        """Add items at the end, with the turn that said them: all of it and nothing between them, or nothing at all."""
        try:
            return self._append(dialogue, items, turn, bounds)
        except IntegrityError:
            return Appended.TWICE

    def _append(
        self, dialogue: Dialogue, items: Sequence[Item], turn: Turn | None, bounds: Bounds | None
    ) -> Appended | TooMuch:
        with self._sessions.writing() as connection:
            if not append_items(connection, dialogue, items):
                return Appended.GONE
            if bounds is not None:
                counted = _count(connection, dialogue)
                if counted.count > bounds.items or counted.bytes > bounds.bytes:
                    connection.rollback()
                    return counted
            if turn is not None:
                insert_turn(connection, turn, [one.id for one in items])
        return Appended.WELL

    def change_dialogue(self, dialogue: Dialogue) -> bool:
        """Write its metadata and use case anew; return whether it was still there and no other use case's."""
        with self._sessions.writing() as connection:
            written = {"metadata": dialogue.metadata, "data_class": dialogue.data_class}
            return _settle(connection, dialogue, written)

    def forget_dialogue(self, dialogue_id: str) -> bool:
        """Erase one with its items; return whether it was there."""
        with self._sessions.writing() as connection:
            return connection.execute(delete(dialogues).where(dialogues.c.id == dialogue_id)).rowcount > 0

    def forget_item(self, dialogue: Dialogue, item_id: str) -> bool:
        """Erase one of its items; return whether it was there."""
        with self._sessions.writing() as connection:
            return connection.execute(delete(dialogue_items).where(*_named(dialogue, item_id))).rowcount > 0

    def count_dialogues(self, unit: str, use_case: str, most: int) -> int:
        """Count what is kept of one use case for one unit, up to so many."""
        some = select(literal(1)).where(dialogues.c.unit == unit, dialogues.c.use_case == use_case).limit(most)
        with self._sessions.reading() as connection:
            return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()

    def sweep_dialogues(self, now: int, most: int) -> int:
        """Erase those that have expired, so many at most; return how many."""
        expired = select(dialogues.c.id).where(dialogues.c.expires_at <= now).limit(most)
        with self._sessions.reading() as connection:
            found = connection.execute(expired).scalars().all()
        if not found:
            return 0
        with self._sessions.writing() as connection:
            return connection.execute(delete(dialogues).where(dialogues.c.id.in_(found))).rowcount

    def erase_dialogues(self, whose: Belonging, before: int | None = None) -> int:
        """Erase dialogues and items that belong so, all or those made before a time; return how many items."""
        whole = belongs(whose, dialogues, dialogues)
        fits = belongs(whose, dialogue_items, dialogues)
        if before is not None:
            whole.append(dialogues.c.made_at < before)
            fits.append(dialogue_items.c.made_at < before)
        meant = select(dialogues.c.id).where(*whole)
        owned = dialogue_items.join(dialogues, dialogues.c.id == dialogue_items.c.dialogue)
        said = select(dialogue_items.c.dialogue, dialogue_items.c.place).select_from(owned).where(*fits)
        single = or_(
            dialogue_items.c.dialogue.in_(meant),
            tuple_(dialogue_items.c.dialogue, dialogue_items.c.place).in_(said),
        )
        with self._sessions.writing() as connection:
            count = connection.execute(delete(dialogue_items).where(single)).rowcount
            connection.execute(delete(dialogues).where(dialogues.c.id.in_(meant)))
        return count


def append_items(connection: Connection, dialogue: Dialogue, items: Sequence[Item]) -> bool:
    """Add items at the end within a transaction; return whether the dialogue was there, and no other use case's."""
    # First, so that whoever appends at the same time waits here.
    if not _settle(connection, dialogue, {"last": dialogues.c.last + len(items)}):
        return False
    last = connection.execute(select(dialogues.c.last).where(dialogues.c.id == dialogue.id)).scalar_one()
    _insert(connection, dialogue, items, last - len(items))
    return True


def _find(connection: Connection, dialogue_id: str, now: int) -> Dialogue | None:
    row = connection.execute(
        select(dialogues).where(dialogues.c.id == dialogue_id, dialogues.c.expires_at > now)
    ).one_or_none()
    return None if row is None else _dialogue(row)


def _count(connection: Connection, dialogue: Dialogue) -> TooMuch:
    sums = select(func.count(), func.coalesce(func.sum(dialogue_items.c.size), 0))
    count, size = connection.execute(sums.where(dialogue_items.c.dialogue == dialogue.id)).one()
    return TooMuch(int(count), int(size))


def _settle(connection: Connection, dialogue: Dialogue, written: dict[str, Any]) -> bool:
    """Write something of a dialogue that is still there, and whose it is by now; return whether it was there."""
    free = or_(dialogues.c.use_case == "", dialogues.c.use_case == dialogue.use_case)
    which = update(dialogues).where(dialogues.c.id == dialogue.id, free)
    settled = {"use_case": dialogue.use_case, "expires_at": dialogue.expires_at}
    return connection.execute(which.values(written | settled)).rowcount > 0


def _insert(connection: Connection, dialogue: Dialogue, items: Sequence[Item], last: int) -> None:
    rows = [
        msgspec.structs.asdict(one) | {"dialogue": dialogue.id, "place": place, "size": len(one.content)}
        for place, one in enumerate(items, last + 1)
    ]
    if rows:
        connection.execute(dialogue_items.insert(), rows)


def _named(dialogue: Dialogue, item_id: str) -> tuple[Any, ...]:
    return dialogue_items.c.dialogue == dialogue.id, dialogue_items.c.id == item_id


def _alive(owned: Any, unit: str, use_case: str, now: int) -> tuple[Any, ...]:
    return owned.c.unit == unit, owned.c.use_case == use_case, owned.c.expires_at > now


def _dialogue(row: Row[Any]) -> Dialogue:
    return Dialogue(
        id=row.id,
        unit=row.unit,
        use_case=row.use_case,
        key=row.key,
        end_customer=row.end_customer,
        data_class=row.data_class,
        made_at=row.made_at,
        expires_at=row.expires_at,
        metadata=bytes(row.metadata),
    )


def _item(row: Row[Any]) -> Item:
    return Item(
        id=row.id,
        key=row.key,
        end_customer=row.end_customer,
        data_class=row.data_class,
        deployment=row.deployment,
        made_at=row.made_at,
        content=bytes(row.content),
    )
