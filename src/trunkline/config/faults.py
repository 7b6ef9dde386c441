"""What is wrong with a declared file: all of it at once, each fault where it stands, with the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec

LISTED_NAMES = 12
LONGEST_MESSAGE = 500


class Place(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where something stands: the file as it was named, line and column counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Faults:
    """Collects faults. The same fault at the same place counts once, so an alias read twice is reported once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Place, str], None] = {}
        self._files: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: Place, message: str) -> None:
        """Note that `message` is wrong at `place`. What it repeats of the file is shortened and kept to one line."""
        self._files.setdefault(place.file, len(self._files))
        self._found[place, _printable(message[:LONGEST_MESSAGE])] = None

    def lines(self) -> tuple[str, ...]:
        """One line per fault, `file:line:column: message`, by file (in the order read), line and column."""
        ordered = sorted(
            self._found, key=lambda found: (self._files[found[0].file], found[0].line, found[0].column, found[1])
        )
        return tuple(f"{place}: {message}" for place, message in ordered)


def nearest(wrong: str, names: Iterable[str]) -> str | None:
    """Return the name most like `wrong`, or None when none is near. Case and `-`/`_` count for little."""
    plain = {_plain(name): name for name in names}
    found = difflib.get_close_matches(_plain(wrong)[:100], plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def suggestion(wrong: str, names: Iterable[str]) -> str:
    """Return the end of a fault's sentence: the nearest name, or else the names there are (none for many)."""
    known = list(names)
    near = nearest(wrong, known)
    if near is not None:
        return f'; did you mean "{near}"?'
    if not known or len(known) > LISTED_NAMES:
        return ""
    return f"; known: {', '.join(known)}"


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
