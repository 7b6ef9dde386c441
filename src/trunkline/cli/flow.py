"""Text that comes in pieces, written word by word so that no line of the terminal breaks within one."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_WORDS = re.compile(r"\s+|\S+")


class Flow:
    """Writes pieces to a console. Off a terminal they go out as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._held = ""
        self._column = 0

    def write(self, piece: str) -> None:
        """Write a piece, holding back a word that may go on in the next one."""
        if not self._console.is_terminal:
            self._put(piece)
            return
        parts = _WORDS.findall(self._held + piece)
        self._held = parts.pop() if parts and not parts[-1].isspace() else ""
        if cell_len(self._held) >= self._console.width:
            parts.append(self._held)
            self._held = ""
        for part in parts:
            self._lay(part)

    def end(self) -> None:
        """Write what was held back, and end the line."""
        self._lay(self._held)
        self._held = ""
        self._column = 0
        self._console.print()

    def _lay(self, part: str) -> None:
        width = cell_len(part.rpartition("\n")[2])
        if part.isspace():
            # A blank that would begin a line is the break itself.
            if "\n" not in part and self._column + width >= self._console.width:
                return self._break()
            self._column = width if "\n" in part else self._column + width
        else:
            if self._column and self._column + width > self._console.width:
                self._break()
            self._column += width
        return self._put(part)

    def _break(self) -> None:
        self._column = 0
        self._put("\n")

    def _put(self, text: str) -> None:
        if text:
            self._console.print(Text(text), end="", soft_wrap=True)
