"""Turns whose content is encrypted before it reaches the store, and decrypted when it comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from trunkline.conversations.turns import Belonging, Held, TooMuch, Turn, TurnStore
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

    def keep_turn(self, turn: Turn) -> None:
        """Keep a turn."""
        box = self._box
        if box is not None:
            items = SEALED + box.seal(turn.items, _place(turn, "items"))
            answer = SEALED + box.seal(turn.answer, _place(turn, "answer"))
            turn = msgspec.structs.replace(turn, items=items, answer=answer)
        self._store.keep_turn(turn)

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
        items, answer = self._open(turn, "items", turn.items), self._open(turn, "answer", turn.answer)
        return msgspec.structs.replace(turn, items=items, answer=answer)

    def _open(self, turn: Turn, name: str, content: bytes) -> bytes:
        if not content.startswith(SEALED):
            return content
        opened = None if self._box is None else self._box.open(content[len(SEALED) :], _place(turn, name))
        if opened is None:
            inside = f"turn {turn.id} is encrypted, and no key of this exchange opens it: give the one that sealed it"
            raise Unavailable("The conversation cannot be read here.", inside=f"{inside} with --content-key")
        return opened


def _place(turn: Turn, name: str) -> bytes:
    """What content is bound to: it cannot be passed off as another turn's, or another unit's."""
    return msgspec.json.encode((name, turn.id, turn.before, turn.unit, turn.use_case, turn.data_class))
