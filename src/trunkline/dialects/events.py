"""Reading single events of a stream that passes, the same in each dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from trunkline.errors import Garbled

Read = TypeVar("Read")


def read_event(decode: Callable[[bytes], Read], data: bytes) -> Read | None:
    """Return what an event's data says; None where it is JSON of another form, which is passed on all the same.

    Raises:
        Garbled: the data is not JSON.
    """
    try:
        return decode(data)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled("an event of the stream is not valid JSON", inside=f"{error}; {data[:200]!r}") from error


def hold_to_text(event: bytes) -> None:
    """Refuse what is no event at all: clients read a stream as UTF-8.

    Raises:
        Garbled: an event without data, such as a comment, is not UTF-8.
    """
    try:
        event.decode()
    except UnicodeDecodeError as error:
        raise Garbled("an event of the stream is no text", inside=f"not UTF-8: {event[:200]!r}") from error
