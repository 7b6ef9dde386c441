"""A streamed answer in the neutral form: what a dialect's reader makes of events, and its writer events of.

Of each candidate, parts are numbered from 0 in the order in which they begin; a part begins before its pieces come. The
order of a stream is: `Started`, the parts with their pieces, `Stopped` for each candidate, `Used`, `Ended`. `Used` may
come several times, each replacing the one before; `Failed` ends a stream at any place.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

import msgspec

from trunkline.dialects.neutral import Citation, Failure, Stop, Token
from trunkline.messages import Usage


class Kind(IntEnum):
    """What a part is."""

    TEXT = 0
    REASONING = 1
    TOOL_CALL = 2
    REFUSAL = 3


class Started(msgspec.Struct, frozen=True):
    """The answer begins. `created` in seconds since 1970, 0 where it is not told."""

    id: str = ""
    model: str = ""
    created: int = 0


class PartStarted(msgspec.Struct, frozen=True):
    """A part begins; a tool call with its id and name."""

    candidate: int
    part: int
    kind: Kind
    id: str = ""
    name: str = ""


class Piece(msgspec.Struct, frozen=True):
    """More of a part: of its text, its thought, its refusal, or the JSON of its arguments."""

    candidate: int
    part: int
    kind: Kind
    text: str


class Signed(msgspec.Struct, frozen=True):
    """The signature of a thought, or the thought itself, encrypted. `origin` is the dialect of the provider."""

    candidate: int
    part: int
    signature: str
    origin: str
    redacted: bool = False


class Cited(msgspec.Struct, frozen=True):
    """What the text of a part rests on, its last `length` characters where the citation itself does not say which."""

    candidate: int
    part: int
    citation: Citation
    length: int = 0


class Weighed(msgspec.Struct, frozen=True):
    """How likely the tokens were that came last."""

    candidate: int
    tokens: tuple[Token, ...]


class PartStopped(msgspec.Struct, frozen=True):
    """A part is whole."""

    candidate: int
    part: int


class Stopped(msgspec.Struct, frozen=True):
    """A candidate is whole, and why it ended; `safety` and `reason` as of a whole candidate."""

    candidate: int
    stop: Stop
    sequence: str | None = None
    safety: msgspec.Raw | None = None
    reason: str | None = None


class Used(msgspec.Struct, frozen=True):
    """What the answer used up to here."""

    usage: Usage


class Failed(msgspec.Struct, frozen=True):
    """The upstream ended the stream with an error."""

    failure: Failure


class Ended(msgspec.Struct, frozen=True):
    """The stream is whole."""


Delta: TypeAlias = (
    Started | PartStarted | Piece | Signed | Cited | Weighed | PartStopped | Stopped | Used | Failed | Ended
)

ENDED = Ended()
