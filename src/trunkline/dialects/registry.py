"""Which path is which dialect's front door. A new dialect is one folder and its line here."""

from __future__ import annotations

from typing import Final

from trunkline.dialects.dialect import Dialect, Door
from trunkline.dialects.openai.dialect import OPENAI
from trunkline.messages import Operation

ALL: Final[tuple[Dialect, ...]] = (
    OPENAI,
)  # fmt: skip

DIALECTS: Final = {dialect.name: dialect for dialect in ALL}
DOORS: Final = {path: Door(dialect, operation) for dialect in ALL for path, operation in dialect.doors.items()}

_MADE: Final = {(dialect.name, operation): Door(dialect, operation) for dialect in ALL for operation in Operation}


def find_door(path: str) -> Door | None:
    """Return the door at a path; None where there is none."""
    door = DOORS.get(path)
    if door is not None:
        return door
    for dialect in ALL:
        operation = dialect.find_door(path)
        if operation is not None:
            return _MADE[dialect.name, operation]
    return None
