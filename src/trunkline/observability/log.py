"""The log: one line per event, as JSON for programs or as text for people, on standard error.

Say facts as `extra={"request": id, "deployment": name}`; they become fields. Prompts and answers are never logged, and
whatever looks like a key is blanked in the finished line, wherever it stood.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

import msgspec

BLANK = "[redacted]"

_SECRETS = re.compile(
    r"""
    (?P<before>
        \b(?:bearer|basic)\s+                                  # the Authorization header
      | \b(?:x-api-key|x-goog-api-key|api-key)["']?[:=]\s*["']?  # the headers that carry a key alone
      | [?&](?:key|api_key|token)=                             # a query string
    )[^\s"'\\&,;]+
    | \b(?P<prefix>(?:tl|sk|pk|rk|hf)[-_]|AIza)[A-Za-z0-9_\-]{8,}
    """,
    re.VERBOSE | re.IGNORECASE,
)

_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

_SHADES = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class Style(StrEnum):
    """How a line is written. `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


def redact(line: str) -> str:
    """Blank whatever looks like a key: `tl-...`, `sk-...`, bearer tokens, key headers, key parameters of a URL."""
    return _SECRETS.sub(_blanked, line)


def configure(level: str = "info", style: Style = Style.AUTO, stream: TextIO | None = None) -> None:
    """Send the log to `stream` (standard error), once, from `level` on; other libraries' from `warning` on.

    Calling it again replaces what it did before.

    Raises:
        ValueError: there is no such level.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        raise ValueError(f"no log level {level!r}: debug, info, warning, error or critical")
    handler = _LineHandler(stream if stream is not None else sys.stderr, style)
    root = logging.getLogger()
    for former in [known for known in root.handlers if isinstance(known, _LineHandler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(max(threshold, logging.WARNING))
    logging.getLogger("trunkline").setLevel(threshold)


class _LineHandler(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO, style: Style) -> None:
        super().__init__(stream)
        terminal = stream.isatty()
        if style is Style.JSON or (style is Style.AUTO and not terminal):
            self.setFormatter(JsonLines())
        else:
            self.setFormatter(TextLines(colour=terminal))


class JsonLines(logging.Formatter):
    """One JSON object per line: `at`, `level`, `room`, `message`, the event's own fields, `trace` where it failed."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event: dict[str, Any] = {
            "at": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "room": _room(record),
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            event["trace"] = self.formatException(record.exc_info)
        return redact(_CONTROL.sub(_escaped, msgspec.json.encode(event, enc_hook=str).decode()))


class TextLines(logging.Formatter):
    """Time of day, level, room, message, then the event's own fields.

    What callers and upstreams say cannot pass for another event, nor command a terminal: further lines are indented,
    and all other control characters spelled out.
    """

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the lines of the trace where it failed."""
        level = f"{record.levelname.lower():<8}"
        if self._colour:
            level = f"\x1b[{_SHADES.get(record.levelname, '0')}m{level}\x1b[0m"
        facts = "".join(f"  {name}={value}" for name, value in _fields(record).items())
        said = _CONTROL.sub(_spelled, f"{record.getMessage()}{facts}")
        line = f"{_moment(record).astimezone():%H:%M:%S} {level} {_room(record):<13} {said}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _spelled(found: re.Match[str]) -> str:
    return "\n    " if found[0] == "\n" else found[0].encode("unicode_escape").decode()


def _blanked(found: re.Match[str]) -> str:
    return (found["before"] or found["prefix"]) + BLANK


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _room(record: logging.LogRecord) -> str:
    """The room that speaks: `gateway` for the logger `trunkline.gateway.path`."""
    return record.name.removeprefix("trunkline.").partition(".")[0]


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}
