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
    output_bound: int = 1000
    features: frozenset[str] | None = None
    refuses: frozenset[str] = frozenset()


def asked_of(dialect: Dialect, request: dict[str, Any]) -> Asked:
    """Read a request as the front door does."""
    door = next(path for path, operation in dialect.doors.items() if operation is Operation.CHAT)
    return dialect.decode(Operation.CHAT, json.dumps(request).encode(), door, "")


def deltas_of(reader: Reader, stream: bytes) -> list[Delta]:
    """Read a whole stream."""
    return [delta for event in Framer().feed(stream) for delta in reader.take(event)]
