"""Which path is which dialect's front door. A new dialect is one folder and its line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trunkline.dialects.anthropic.dialect import ANTHROPIC
from trunkline.dialects.cohere.dialect import COHERE
from trunkline.dialects.dialect import Dialect, Door
from trunkline.dialects.gemini.dialect import GEMINI
from trunkline.dialects.keeping import Dialogues, KeptAnswers
from trunkline.dialects.openai.dialect import OPENAI
from trunkline.dialects.responses.dialect import RESPONSES
from trunkline.messages import Operation

ALL: Final[tuple[Dialect, ...]] = (
    OPENAI,
    ANTHROPIC,
    GEMINI,
    RESPONSES,
    COHERE,
)  # fmt: skip

DIALECTS: Final = {dialect.name: dialect for dialect in ALL}
DOORS: Final = {path: Door(dialect, operation) for dialect in ALL for path, operation in dialect.doors.items()}

_MADE: Final = {(dialect.name, operation): Door(dialect, operation) for dialect in ALL for operation in Operation}


LISTED: Final = tuple(dict.fromkeys(dialect.models.path for dialect in ALL if dialect.models is not None))
"""The paths where models are listed."""


KEPT: Final = tuple((dialect.kept.path, dialect, dialect.kept) for dialect in ALL if dialect.kept is not None)
"""The paths below which kept answers are found."""


def find_kept(path: str) -> tuple[Dialect, KeptAnswers, str] | None:
    """Return whose kept answers a path names, and what stands behind; None where it names none."""
    return next(
        ((dialect, kept, path[len(above) + 1 :]) for above, dialect, kept in KEPT if path.startswith(above + "/")), None
    )


DIALOGUES: Final = tuple((dialect.dialogues.path, dialect, dialect.dialogues) for dialect in ALL if dialect.dialogues)
"""The paths at and below which conversations with ids of their own are found."""


def find_dialogues(path: str) -> tuple[Dialect, Dialogues, str] | None:
    """Return whose conversations a path names, and what stands behind; None where it names none."""
    return next(
        (
            (dialect, dialogues, path[len(above) + 1 :])
            for above, dialect, dialogues in DIALOGUES
            if path == above or path.startswith(above + "/")
        ),
        None,
    )


def dialect_of(path: str, headers: Mapping[bytes, bytes]) -> Dialect:
    """Return the dialect of a request that comes to no door: by its client's own header, else by its path."""
    marked = [one for one in ALL if one.mark and one.mark in headers and one.marked in headers[one.mark].lower()]
    above = listed_above(path)
    here = [dialect for dialect in ALL if dialect.models is not None and dialect.models.path == above]
    return (*marked, *here, ALL[0])[0]


def listed_above(path: str) -> str | None:
    """Return the path where models are listed that a path is, or stands below; None where there is none."""
    return next((above for above in LISTED if path == above or path.startswith(above + "/")), None)


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
