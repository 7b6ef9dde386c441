"""Request bodies that are collected apart from the parser: in chunks, or behind a wish for another protocol."""

from __future__ import annotations

import re

from trunkline.wire.limits import Limits
from trunkline.wire.request import TOKEN, Refused, too_large

LINE_MOST = 256
"""The longest line that gives a chunk's size, extensions included."""
EXTENSIONS_MOST = 4 * 1024
"""The most bytes of extensions in one body."""
VALUE = rb"[\t\x20-\x7e\x80-\xff]"
QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\' + VALUE + rb')*"'
SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:;" + TOKEN + rb"+(?:=(?:" + TOKEN + rb"+|" + QUOTED + rb"))?)*)", re.DOTALL)
SIZE_BEGUN = re.compile(rb"[0-9A-Fa-f]{0,16}(?:;" + VALUE + rb"*)?\r?", re.DOTALL)
TRAILER = re.compile(rb"(" + TOKEN + rb"+):" + VALUE + rb"*", re.DOTALL)
TRAILER_BEGUN = re.compile(VALUE + rb"*\r?", re.DOTALL)
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host"))

SIZE_LINE, DATA, DATA_END, TRAILERS, END = range(5)


class Counted:
    """A body of known length."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def whole(self) -> bool:
        """Whether the body has come to its end."""
        return not self._left

    def take(self, data: bytes, at: int, body: bytearray) -> int:
        """Add to `body` what belongs to it from `at` on; return where it ends in `data`."""
        piece = data[at : at + self._left]
        body += piece
        self._left -= len(piece)
        return at + len(piece)


class Chunks:
    """A body in chunks: every size, extension, line end and trailer is held against the grammar.

    Stricter than the grammar where only an attack would differ: sizes have 16 digits at most, extensions are bounded,
    and no white space stands around them. Trailers are checked and dropped. Source: RFC 9112 section 7.1.
    """

    __slots__ = ("_extensions", "_left", "_limits", "_line", "_stage", "_trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stage = SIZE_LINE
        self._line = b""
        self._left = 0
        self._extensions = 0
        self._trailers = 0

    @property
    def whole(self) -> bool:
        """Whether the body has come to its end."""
        return self._stage == END

    def take(self, data: bytes, at: int, body: bytearray) -> int:
        """Add to `body` what belongs to it from `at` on; return where it ends in `data`.

        Raises:
            Refused: it breaks the grammar or a limit.
        """
        while at < len(data) and self._stage != END:
            if self._stage == DATA:
                piece = data[at : at + self._left]
                body += piece
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._stage = DATA_END
            else:
                at = self._take_line(data, at, len(body))
        return at

    def _take_line(self, data: bytes, at: int, size: int) -> int:
        stage = self._stage
        most = LINE_MOST if stage == SIZE_LINE else self._limits.header_bytes
        early = len(self._line)
        begun = self._line + data[at : at + most + 2 - early]
        end = begun.find(b"\r\n")
        if end < 0:
            self._check_begun(begun, most)
            self._line = begun
            return at + len(begun) - early
        self._line = b""
        line = begun[:end]
        if stage == SIZE_LINE:
            self._open(line, size)
        elif stage == DATA_END:
            if line:
                raise _bad_chunk()
            self._stage = SIZE_LINE
        else:
            self._drop(line)
        return at + end + 2 - early

    def _check_begun(self, begun: bytes, most: int) -> None:
        """Refuse a line that cannot become right any more, so that nobody waits for its end."""
        if self._stage == SIZE_LINE:
            fits = SIZE_BEGUN.fullmatch(begun) is not None and len(begun) <= most + 1
        elif self._stage == DATA_END:
            fits = begun == b"\r"
        else:
            self._bound_trailers(len(begun))
            fits = TRAILER_BEGUN.fullmatch(begun) is not None
        if not fits:
            raise _bad_chunk()

    def _open(self, line: bytes, size: int) -> None:
        match = SIZE.fullmatch(line)
        if match is None or len(line) > LINE_MOST:
            raise _bad_chunk()
        self._extensions += len(match[2])
        if self._extensions > EXTENSIONS_MOST:
            raise Refused(400, "bad_request", f"the body's chunks have more than {EXTENSIONS_MOST} bytes of extensions")
        self._left = int(match[1], 16)
        if size + self._left > self._limits.body:
            raise too_large(self._limits)
        self._stage = DATA if self._left else TRAILERS

    def _drop(self, line: bytes) -> None:
        if not line:
            self._stage = END
            return
        self._bound_trailers(len(line))
        self._trailers += len(line) + 2
        match = TRAILER.fullmatch(line)
        if match is None or match[1].lower() in FRAMING:
            raise _bad_chunk()

    def _bound_trailers(self, more: int) -> None:
        if self._trailers + more > self._limits.header_bytes:
            raise Refused(431, "headers_too_large", f"the trailers are larger than {self._limits.header_bytes} bytes")


def _bad_chunk() -> Refused:
    return Refused(400, "bad_request", "the body's chunks break HTTP/1.1")
