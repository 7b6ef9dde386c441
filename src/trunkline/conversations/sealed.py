"""Turns and dialogues whose content is encrypted before it reaches the store, and decrypted when it comes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from trunkline.conversations.dialogues import (
    Appended,
    Bounds,
    Dialogue,
    DialogueStore,
    Found,
    Item,
    Span,
    Transcript,
)
from trunkline.conversations.errands import Ending, ErrandStore, Events, Followed
from trunkline.conversations.turns import Belonging, Held, Progress, TooMuch, Turn, TurnStore
from trunkline.errors import Unavailable

SEALED: Final = b"\x01TLS"
"""How encrypted content begins; other content is JSON, which never does."""


class Box(Protocol):
    """Encrypts content, and decrypts what it, or one with a key of its, encrypted."""

    def seal(self, content: bytes, place: bytes) -> bytes:
        """Return it encrypted, bound to its place."""
        ...

    def open(self, sealed: bytes, place: bytes) -> bytes | None:
        """Return what was encrypted for that place; None where no key fits, or it is not what was encrypted."""
        ...


class SealedTurns:
    """A store of turns in which what was asked and answered is encrypted, if there is a key; implements `TurnStore`.

    Whose a turn is, its class and its times stay readable: by them it is found and erased.
    """

    def __init__(self, store: TurnStore, box: Box | None) -> None:
        self._store = store
        self._box = box

    def keep_turn(self, turn: Turn, item_ids: Sequence[str] = ()) -> None:
        """Keep a turn, which can be found by the ids of its items, too."""
        self._store.keep_turn(_seal_turn(self._box, turn), item_ids)

    def turns_up_to(self, turn_id: str, now: int, most_turns: int, most_bytes: int) -> tuple[Turn, ...] | TooMuch:
        """Return a turn with all before it, oldest first.

        Raises:
            Unavailable: no key of this exchange fits.
        """
        found = self._store.turns_up_to(turn_id, now, most_turns, most_bytes)
        return found if isinstance(found, TooMuch) else tuple(map(self._opened, found))

    def forget_turn(self, turn_id: str) -> bool:
        """Erase one turn; return whether it was there."""
        return self._store.forget_turn(turn_id)

    def count_turns(self, unit: str, use_case: str, most: int) -> int:
        """Count what is kept of one use case for one unit, up to so many."""
        return self._store.count_turns(unit, use_case, most)

    def sweep_turns(self, now: int, most: int) -> int:
        """Erase turns that have expired, so many at most; return how many."""
        return self._store.sweep_turns(now, most)

    def erase_turns(self, whose: Belonging, before: int | None = None) -> int:
        """Erase turns that belong so, all or those made before a time; return how many."""
        return self._store.erase_turns(whose, before)

    def held_turns(self, whose: Belonging) -> Sequence[Held]:
        """Say what is kept, by unit and use case."""
        return self._store.held_turns(whose)

    def _opened(self, turn: Turn) -> Turn:
        return _open_turn(self._box, turn)


class SealedDialogues:
    """A store of dialogues in which items and metadata are encrypted, if there is a key; implements `DialogueStore`.

    Whose they are, their classes and times and the ids of items stay readable: by them they are found and erased.
    """

    def __init__(self, store: DialogueStore, box: Box | None) -> None:
        self._store = store
        self._box = box

    def add_dialogue(self, dialogue: Dialogue, items: Sequence[Item]) -> None:
        """Keep a new one."""
        self._store.add_dialogue(self._seal(dialogue), self._seal_items(dialogue, items))

    def find_dialogue(self, dialogue_id: str, now: int) -> Dialogue | None:
        """Return one that has not expired.

        Raises:
            Unavailable: no key of this exchange fits.
        """
        found = self._store.find_dialogue(dialogue_id, now)
        return None if found is None else self._open(found)

    def read_dialogue(self, dialogue_id: str, now: int, bounds: Bounds) -> Transcript | TooMuch | None:
        """Return one with all its items.

        Raises:
            Unavailable: no key of this exchange fits.
        """
        found = self._store.read_dialogue(dialogue_id, now, bounds)
        if found is None or isinstance(found, TooMuch):
            return found
        dialogue, items = found
        return self._open(dialogue), self._open_items(dialogue, items)

    def page_items(self, dialogue: Dialogue, span: Span) -> tuple[Item, ...] | None:
        """Return some of its items; None where there is none that they should come after.

        Raises:
            Unavailable: no key of this exchange fits.
        """
        found = self._store.page_items(dialogue, span)
        return None if found is None else self._open_items(dialogue, found)

    def find_item(self, dialogue: Dialogue, item_id: str) -> Item | None:
        """Return one of its items.

        Raises:
            Unavailable: no key of this exchange fits.
        """
        found = self._store.find_item(dialogue, item_id)
        return None if found is None else self._open_items(dialogue, (found,))[0]

    def find_items(self, unit: str, use_case: str, ids: Sequence[str], now: int) -> Mapping[str, Found]:
        """Return what is kept under these ids in dialogues and turns of a unit and use case.

        Raises:
            Unavailable: no key of this exchange fits.
        """
        opened: dict[str, Found] = {}
        for name, found in self._store.find_items(unit, use_case, ids, now).items():
            if found.turn is not None:
                opened[name] = Found(turn=_open_turn(self._box, found.turn))
            elif found.item is not None:
                place = _item_place(found.dialogue, unit, use_case, found.item)
                content = _open(self._box, found.item.content, place, found.dialogue)
                item = msgspec.structs.replace(found.item, content=content)
                opened[name] = Found(item=item, dialogue=found.dialogue)
        return opened

    def append(
        self, dialogue: Dialogue, items: Sequence[Item], turn: Turn | None, bounds: Bounds | None
    ) -> Appended | TooMuch:
        """Add items at the end, with the turn that said them: all of it and nothing between them, or nothing at all."""
        sealed = None if turn is None else _seal_turn(self._box, turn)
        return self._store.append(dialogue, self._seal_items(dialogue, items), sealed, bounds)

    def change_dialogue(self, dialogue: Dialogue) -> bool:
        """Write its metadata and use case anew; return whether it was still there and no other use case's."""
        return self._store.change_dialogue(self._seal(dialogue))

    def forget_dialogue(self, dialogue_id: str) -> bool:
        """Erase one with its items; return whether it was there."""
        return self._store.forget_dialogue(dialogue_id)

    def forget_item(self, dialogue: Dialogue, item_id: str) -> bool:
        """Erase one of its items; return whether it was there."""
        return self._store.forget_item(dialogue, item_id)

    def count_dialogues(self, unit: str, use_case: str, most: int) -> int:
        """Count what is kept of one use case for one unit, up to so many."""
        return self._store.count_dialogues(unit, use_case, most)

    def sweep_dialogues(self, now: int, most: int) -> int:
        """Erase those that have expired, so many at most; return how many."""
        return self._store.sweep_dialogues(now, most)

    def erase_dialogues(self, whose: Belonging, before: int | None = None) -> int:
        """Erase dialogues and items that belong so, all or those made before a time; return how many items."""
        return self._store.erase_dialogues(whose, before)

    def _seal(self, dialogue: Dialogue) -> Dialogue:
        if not dialogue.metadata:
            return dialogue
        sealed = _seal(self._box, dialogue.metadata, _dialogue_place(dialogue))
        return msgspec.structs.replace(dialogue, metadata=sealed)

    def _open(self, dialogue: Dialogue) -> Dialogue:
        opened = _open(self._box, dialogue.metadata, _dialogue_place(dialogue), dialogue.id)
        return msgspec.structs.replace(dialogue, metadata=opened)

    def _seal_items(self, dialogue: Dialogue, items: Sequence[Item]) -> Sequence[Item]:
        return seal_items(self._box, dialogue, items)

    def _open_items(self, dialogue: Dialogue, items: Sequence[Item]) -> tuple[Item, ...]:
        return tuple(
            msgspec.structs.replace(
                one,
                content=_open(
                    self._box, one.content, _item_place(dialogue.id, dialogue.unit, dialogue.use_case, one), dialogue.id
                ),
            )
            for one in items
        )


class SealedErrands:
    """A store of errands in which what was asked, answered and streamed is encrypted, if there is a key.

    Implements `ErrandStore`.
    """

    def __init__(self, store: ErrandStore, box: Box | None) -> None:
        self._store = store
        self._box = box

    def renew_errands(self, worker: str, ids: Collection[str], until: int) -> Collection[str]:
        """Say that a worker is at its errands; return which are its own still."""
        return self._store.renew_errands(worker, ids, until)

    def add_events(self, turn: Turn, events: Events) -> None:
        """Keep events of an errand that is under way."""
        self._store.add_events(turn, self._seal(turn, events))

    def end_errand(self, ending: Ending) -> Appended:
        """End an errand that is its worker's still: all of it or nothing. The same end told again changes nothing."""
        turn, items = ending.turn, ending.items
        if ending.dialogue is not None:
            items = seal_items(self._box, ending.dialogue, items)
        events = None if ending.events is None else self._seal(turn, ending.events)
        sealed = msgspec.structs.replace(ending, turn=_seal_turn(self._box, turn), events=events, items=items)
        return self._store.end_errand(sealed)

    def stop_errand(self, turn_id: str, status: Progress) -> bool:
        """Have an errand that is under way be no more its worker's; return whether it was under way."""
        return self._store.stop_errand(turn_id, status)

    def lose_errands(self, now: int) -> int:
        """Tell those as lost whose workers are gone; return how many."""
        return self._store.lose_errands(now)

    def follow_errand(self, turn_id: str, after: int, now: int, most: int) -> Followed | None:
        """Return an errand with so many pieces of its stream, those with events after a number.

        Raises:
            Unavailable: no key of this exchange fits.
        """
        found = self._store.follow_errand(turn_id, after, now, most)
        if found is None:
            return None
        turn, events = found.turn, []
        for one in found.events:
            content = _open(self._box, one.content, _events_place(turn, one), turn.id)
            events.append(msgspec.structs.replace(one, content=content))
        return Followed(_open_turn(self._box, turn), tuple(events))

    def _seal(self, turn: Turn, events: Events) -> Events:
        return msgspec.structs.replace(events, content=_seal(self._box, events.content, _events_place(turn, events)))


def seal_items(box: Box | None, dialogue: Dialogue, items: Sequence[Item]) -> Sequence[Item]:
    """Return items of a dialogue as they reach the store."""
    places = [_item_place(dialogue.id, dialogue.unit, dialogue.use_case, one) for one in items]
    return [
        msgspec.structs.replace(one, content=_seal(box, one.content, place))
        for one, place in zip(items, places, strict=True)
    ]


def _seal_turn(box: Box | None, turn: Turn) -> Turn:
    items, answer = _seal(box, turn.items, _place(turn, "items")), _seal(box, turn.answer, _place(turn, "answer"))
    return msgspec.structs.replace(turn, items=items, answer=answer)


def _open_turn(box: Box | None, turn: Turn) -> Turn:
    items = _open(box, turn.items, _place(turn, "items"), turn.id)
    return msgspec.structs.replace(turn, items=items, answer=_open(box, turn.answer, _place(turn, "answer"), turn.id))


def _seal(box: Box | None, content: bytes, place: bytes) -> bytes:
    return content if box is None else SEALED + box.seal(content, place)


def _open(box: Box | None, content: bytes, place: bytes, whose: str) -> bytes:
    if not content.startswith(SEALED):
        return content
    opened = None if box is None else box.open(content[len(SEALED) :], place)
    if opened is None:
        inside = f"{whose} is encrypted, and no key of this exchange opens it: give the one that sealed it"
        raise Unavailable("The conversation cannot be read here.", inside=f"{inside} with --content-key")
    return opened


def _place(turn: Turn, name: str) -> bytes:
    """What content is bound to: it cannot be passed off as another turn's, or another unit's."""
    return msgspec.json.encode((name, turn.id, turn.before, turn.unit, turn.use_case, turn.data_class))


def _events_place(turn: Turn, events: Events) -> bytes:
    return msgspec.json.encode(("events", turn.id, events.first, turn.unit, turn.use_case, turn.data_class))


def _dialogue_place(dialogue: Dialogue) -> bytes:
    return msgspec.json.encode(("metadata", dialogue.id, dialogue.unit, dialogue.use_case, dialogue.data_class))


def _item_place(dialogue_id: str, unit: str, use_case: str, item: Item) -> bytes:
    return msgspec.json.encode(("item", dialogue_id, item.id, unit, use_case, item.data_class, item.deployment))
