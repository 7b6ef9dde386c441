"""Which path is which dialect's front door. A new dialect is one folder and its lines here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from trunkline.dialects.openai import codec as openai_codec
from trunkline.dialects.openai import errors as openai_errors
from trunkline.dialects.openai import stream as openai_stream
from trunkline.errors import Refusal
from trunkline.messages import Asked, Operation, Usage


class Answer(Protocol):
    """A buffered answer as metering sees it."""

    @property
    def model(self) -> str:
        """The model that the upstream says it served."""
        ...

    @property
    def usage(self) -> Usage:
        """What it used."""
        ...


class AnswerStream(Protocol):
    """Follows one streamed answer."""

    done: bool
    failed: bool
    model: str

    def take(self, event: bytes) -> bool:
        """Read one whole event; return whether it is the caller's."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the answer has come to its end."""
        ...

    def used(self, *, complete: bool) -> Usage:
        """Return what was used, estimated where the upstream did not say."""
        ...


class Encode(Protocol):
    """Writes the body for an upstream."""

    def __call__(
        self,
        asked: Asked,
        model: str,
        instructions: str | None,
        rewrites: Iterable[tuple[str, bytes | None]] = ...,
        /,
    ) -> bytes:
        """Return the body; `rewrites` are fields with the JSON to send instead, None to leave them out."""
        ...


class Dialect(msgspec.Struct, frozen=True):
    """One wire format: how its requests, answers, streams and errors are read and written."""

    name: str
    paths: dict[Operation, str]
    decode: Callable[[Operation, bytes], Asked]
    encode: Encode
    read_answer: Callable[[Asked, bytes], Answer]
    follow: Callable[[Asked], AnswerStream]
    estimate: Callable[[Asked, int], Usage]
    refusal_body: Callable[[Refusal], bytes]
    error_event: Callable[[Refusal], bytes]
    end_event: bytes


class Door(msgspec.Struct, frozen=True):
    """A path on the data path: the dialect that callers speak there, and what they ask for."""

    dialect: Dialect
    operation: Operation


OPENAI = Dialect(
    name=openai_codec.DIALECT,
    paths=openai_codec.PATHS,
    decode=openai_codec.decode,
    encode=openai_codec.encode,
    read_answer=openai_codec.read_answer,
    follow=openai_stream.ChatStream,
    estimate=openai_codec.estimate,
    refusal_body=openai_errors.refusal_body,
    error_event=openai_errors.error_event,
    end_event=openai_stream.DONE,
)

DIALECTS = {dialect.name: dialect for dialect in (OPENAI,)}
DOORS = {f"/v1{path}": Door(dialect=OPENAI, operation=operation) for operation, path in OPENAI.paths.items()}
