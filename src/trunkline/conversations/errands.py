"""Errands: answers that are worked on without their callers, and what a store of them does.

An errand is kept from its beginning, as a turn that is not whole yet. Its worker says again and again that it is at it;
one that nobody says so of is lost. Whoever wants it ended changes its row, and its worker sees that it is no more
its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from trunkline.conversations.dialogues import Appended, Dialogue, Item
from trunkline.conversations.turns import Progress, Turn


class Events(msgspec.Struct, frozen=True):
    """Some events of an errand's stream that follow each other, by their numbers, as they are sent."""

    first: int
    last: int
    content: bytes


class Ending(msgspec.Struct, frozen=True):
    """How an errand ends.

    Attributes:
        turn: as it is from now on.
        item_ids: by which it can be referred to, too.
        events: the last ones of its stream.
        dialogue: the conversation that it is put into with its items.
    """

    turn: Turn
    item_ids: Sequence[str] = ()
    events: Events | None = None
    dialogue: Dialogue | None = None
    items: Sequence[Item] = ()


class Followed(msgspec.Struct, frozen=True):
    """How far an errand is, and the events of its stream that were asked for."""

    turn: Turn
    events: tuple[Events, ...]


class ErrandStore(Protocol):
    """Where errands are kept. All methods may raise `errors.Unavailable`; each is one transaction."""

    def renew_errands(self, worker: str, ids: Collection[str], until: int) -> Collection[str]:
        """Say that a worker is at these errands; return which are its own still."""
        ...

    def add_events(self, turn: Turn, events: Events) -> None:
        """Keep events of an errand that is under way, in place of what is kept from the first of them on."""
        ...

    def end_errand(self, ending: Ending) -> Appended:
        """End an errand that is its worker's still: all of it or nothing. The same end told again changes nothing."""
        ...

    def stop_errand(self, turn_id: str, status: Progress) -> bool:
        """Have an errand that is under way be no more its worker's; return whether it was under way."""
        ...

    def lose_errands(self, now: int) -> int:
        """Tell those as lost whose workers are gone; return how many."""
        ...

    def follow_errand(self, turn_id: str, after: int, now: int, most: int) -> Followed | None:
        """Return an errand with so many pieces of its stream, those with events after a number."""
        ...
