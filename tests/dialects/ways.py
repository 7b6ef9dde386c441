"""What tests of codecs share: a target, and requests and streams as they are read."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from trunkline.dialects.deltas import Delta
from trunkline.dialects.dialect import Dialect, Reader
from trunkline.messages import Asked, Operation
from trunkline.wire.sse import Framer


class There(msgspec.Struct, frozen=True):
    """A deployment of whose model nothing is known."""

    upstream_model: str = "there"
    output_limit: str = "max_completion_tokens"
    renames: tuple[tuple[str, str], ...] = ()
    omits: tuple[str, ...] = ()
    thoughts: str = ""
    output_bound: int = 1000
    features: frozenset[str] | None = None
    refuses: frozenset[str] = frozenset()


NAMED = {"gemini": ("/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent")}
"""Of dialects whose paths name the model: where whole answers are asked for, and where streams are."""


def door_of(dialect: Dialect, *, stream: bool = False) -> str:
    """Where a dialect's chat is asked for."""
    if dialect.name in NAMED:
        return NAMED[dialect.name][stream]
    return next(path for path, operation in dialect.doors.items() if operation is Operation.CHAT)


def asked_of(dialect: Dialect, request: dict[str, Any], *, stream: bool = False) -> Asked:
    """Read a request as the front door does; `stream` is for dialects that do not say it in the body."""
    return dialect.decode(Operation.CHAT, json.dumps(request).encode(), door_of(dialect, stream=stream), "alt=sse")


def deltas_of(reader: Reader, stream: bytes) -> list[Delta]:
    """Read a whole stream."""
    return [delta for event in Framer().feed(stream) for delta in reader.take(event)]
