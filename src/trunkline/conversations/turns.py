"""One turn of a conversation as it is kept, and what a store of them does."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class Progress(StrEnum):
    """How far an answer is. Only a whole one can be gone on from."""

    WHOLE = ""
    RUNNING = "in_progress"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # its worker is gone


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asked in one call, and the answer; times in nanoseconds since 1970.

    Attributes:
        id: of the answer, as callers know it.
        before: the answer that this one goes on from.
        root: the first answer of the conversation.
        unit: whose it is: no other unit ever sees it.
        data_class: the strictest of the conversation up to here.
        deployment: which one answered.
        expires_at: when it is erased.
        items: what was asked, in the dialect of the call, without what was said before.
        answer: as it was told to the caller.
        dialogue: the conversation with an id of its own that it was said in; then it has nothing before it by itself.
        status: how far it is, where it is an errand: worked on without its caller.
        worker: which process works on it, or did.
        alive_until: when it counts as lost, unless its worker says before that it is at it still.
        streams: whether the events of its stream are kept, too.
    """

    id: str
    before: str | None
    root: str
    unit: str
    use_case: str
    key: str
    end_customer: str | None
    data_class: str
    deployment: str
    made_at: int
    expires_at: int
    items: bytes
    answer: bytes
    dialogue: str | None = None
    status: Progress = Progress.WHOLE
    worker: str = ""
    alive_until: int = 0
    streams: bool = False


class Belonging(msgspec.Struct, frozen=True):
    """Which turns are meant: those that all that is given fits."""

    unit: str | None = None
    use_case: str | None = None
    key: str | None = None
    end_customer: str | None = None


class Held(msgspec.Struct, frozen=True):
    """What is kept of one use case for one unit.

    Attributes:
        turns: how many answers can be gone on from.
        dialogues: how many conversations with ids of their own.
        items: how many items these have.
        bytes: of turns, items and metadata.
    """

    unit: str
    use_case: str
    turns: int
    dialogues: int
    items: int
    bytes: int
    first_at: int
    last_at: int


class TooMuch(msgspec.Struct, frozen=True):
    """In place of a conversation longer than was asked for: how many turns or items, and bytes, were counted."""

    count: int
    bytes: int


class TurnStore(Protocol):
    """Where turns are kept. All methods may raise `errors.Unavailable`; each is one transaction."""

    def keep_turn(self, turn: Turn, item_ids: Sequence[str] = ()) -> None:
        """Keep a turn, which can be found by the ids of its items, too."""
        ...

    def turns_up_to(self, turn_id: str, now: int, most_turns: int, most_bytes: int) -> tuple[Turn, ...] | TooMuch:
        """Return a turn with all before it, oldest first, as far back as they are kept and have not expired."""
        ...

    def forget_turn(self, turn_id: str) -> bool:
        """Erase one turn; return whether it was there."""
        ...

    def count_turns(self, unit: str, use_case: str, most: int) -> int:
        """Count what is kept of one use case for one unit, up to so many."""
        ...

    def sweep_turns(self, now: int, most: int) -> int:
        """Erase turns that have expired, so many at most; return how many."""
        ...

    def erase_turns(self, whose: Belonging, before: int | None = None) -> int:
        """Erase turns that belong so, all or those made before a time; return how many."""
        ...

    def held_turns(self, whose: Belonging) -> Sequence[Held]:
        """Say what is kept, by unit and use case."""
        ...
