"""Header lines that cannot break out of their line."""

from __future__ import annotations

import re

UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def line(name: bytes, value: str | bytes) -> bytes:
    """Write one header line, ended by CRLF; control characters in the value become spaces.

    Values from outside go through here, so that none of them can add a line or a message of its own. What
    ISO 8859-1 cannot write becomes `?`.
    """
    raw = value.encode("latin-1", "replace") if isinstance(value, str) else value
    return b"%b: %b\r\n" % (name, UNSAFE.sub(b" ", raw))
