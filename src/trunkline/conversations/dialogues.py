"""Conversations that callers name by an id of their own, the items in them, and what a store of them does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from trunkline.conversations.turns import Belonging, TooMuch, Turn


class Dialogue(msgspec.Struct, frozen=True, kw_only=True):
    """One of them, without its items; times in nanoseconds since 1970.

    Attributes:
        unit: whose it is: no other unit ever sees it.
        use_case: whose it is within the unit; empty until a first call says so, and as long it holds nothing.
        data_class: under which its metadata were given; empty where it has none.
        expires_at: when it is erased with all that is in it.
        metadata: as JSON; empty for none.
    """

    id: str
    unit: str
    use_case: str
    key: str
    end_customer: str | None
    data_class: str
    made_at: int
    expires_at: int
    metadata: bytes = b""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What was said in a dialogue, or done.

    Attributes:
        id: as callers know it.
        data_class: the strictest of all that it may have come from.
        deployment: which one said it, or answered it; empty for what was put in without a call.
        content: the item, in its dialect.
    """

    id: str
    key: str
    end_customer: str | None
    data_class: str
    deployment: str
    made_at: int
    content: bytes


Transcript = tuple[Dialogue, tuple[Item, ...]]
"""A dialogue with its items, oldest first."""


class Span(msgspec.Struct, frozen=True):
    """Which items of a dialogue are wanted: so many, after one of them, in which order."""

    most: int
    after: str | None = None
    newest_first: bool = True


class Bounds(msgspec.Struct, frozen=True):
    """How many items a dialogue may have, and how many bytes they."""

    items: int
    bytes: int


class Appended(StrEnum):
    """What became of items that were to be added."""

    WELL = "well"
    GONE = "gone"  # the dialogue is not there any more, or another use case's by now
    TWICE = "twice"  # it has an item of the same id already


class Found(msgspec.Struct, frozen=True):
    """Where an item was found: in a dialogue, by itself, or in a turn, with all that was said in it."""

    item: Item | None = None
    dialogue: str = ""
    turn: Turn | None = None

    @property
    def data_class(self) -> str:
        """Under which it was kept."""
        return self.item.data_class if self.item is not None else self.turn.data_class if self.turn is not None else ""


class DialogueStore(Protocol):
    """Where dialogues are kept. All methods may raise `errors.Unavailable`; each is one transaction."""

    def add_dialogue(self, dialogue: Dialogue, items: Sequence[Item]) -> None:
        """Keep a new one."""
        ...

    def find_dialogue(self, dialogue_id: str, now: int) -> Dialogue | None:
        """Return one that has not expired."""
        ...

    def read_dialogue(self, dialogue_id: str, now: int, bounds: Bounds) -> Transcript | TooMuch | None:
        """Return one with all its items."""
        ...

    def page_items(self, dialogue: Dialogue, span: Span) -> tuple[Item, ...] | None:
        """Return some of its items; None where there is none that they should come after."""
        ...

    def find_item(self, dialogue: Dialogue, item_id: str) -> Item | None:
        """Return one of its items."""
        ...

    def find_items(self, unit: str, use_case: str, ids: Sequence[str], now: int) -> Mapping[str, Found]:
        """Return what is kept under these ids in dialogues and turns of a unit and use case."""
        ...

    def append(
        self, dialogue: Dialogue, items: Sequence[Item], turn: Turn | None, bounds: Bounds | None
    ) -> Appended | TooMuch:
        """Add items at the end, with the turn that said them: all of it and nothing between them, or nothing at all."""
        ...

    def change_dialogue(self, dialogue: Dialogue) -> bool:
        """Write its metadata and use case anew; return whether it was still there and no other use case's."""
        ...

    def forget_dialogue(self, dialogue_id: str) -> bool:
        """Erase one with its items; return whether it was there."""
        ...

    def forget_item(self, dialogue: Dialogue, item_id: str) -> bool:
        """Erase one of its items; return whether it was there."""
        ...

    def count_dialogues(self, unit: str, use_case: str, most: int) -> int:
        """Count those of one use case for one unit, up to so many."""
        ...

    def sweep_dialogues(self, now: int, most: int) -> int:
        """Erase those that have expired, so many at most; return how many."""
        ...

    def erase_dialogues(self, whose: Belonging, before: int | None = None) -> int:
        """Erase dialogues and items that belong so, all or those made before a time; return how many items."""
        ...
