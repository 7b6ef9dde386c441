"""Identifiers: short, sortable by time where that helps, and never guessable where that matters."""

from __future__ import annotations

import itertools
import secrets
import time
from typing import NewType

RequestId = NewType("RequestId", str)
JournalId = NewType("JournalId", str)
KeyId = NewType("KeyId", str)


class RequestIds:
    """Mints request ids: `req_`, milliseconds since 1970, a random part per process, a counter; all in hexadecimal.

    They sort by time of arrival within one process, and two processes never mint the same one.
    """

    def __init__(self) -> None:
        self._process = secrets.token_hex(5)
        self._count = itertools.count()

    def mint(self) -> RequestId:
        """Return a new id, 34 characters long."""
        return RequestId(f"req_{time.time_ns() // 1_000_000:012x}{self._process}{next(self._count) & 0xFFFFFFFF:08x}")


def mint_journal_id() -> JournalId:
    """Return a random journal id, minted with each journal file."""
    return JournalId(secrets.token_hex(12))


def mint_key_id() -> KeyId:
    """Return a random key id: the public name of a key, not the key."""
    return KeyId("key_" + secrets.token_hex(6))
