"""What a scripted upstream does with one request: declared, so that a child process can be told, too."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

PIECES = ("The ", "answer ", "is ", "forty", "-two.")
TRAP = ("He wrote ", '"usage":', ' {"prompt_tokens": 999999, "completion_tokens": 999999}', " and left.")


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with one request. By default: a normal answer of OpenAI's, streamed where the request says so.

    Attributes:
        status: other than 200, OpenAI's error object of that status is the answer.
        headers: further response headers.
        pieces: the text of the answer, as the stream cuts it.
        tools: answer with a tool call instead of text.
        reasoning: reasoning tokens, counted within the completion tokens.
        cached: prompt tokens said to come from the cache.
        prompt_tokens: what the upstream bills for the prompt.
        usage: `asked` gives what OpenAI gives; `none` never any; `every` in every chunk, growing.
        done: whether a stream ends in `[DONE]`.
        extra: unknown fields, written into each answer and each chunk.
        body: raw bytes in place of the body; a stream's content type stays when the request streams.
        raw: raw bytes in place of the whole answer; then the connection closes.
        drop: close before the head.
        hang: `head` never answers; `body` stops after `hang_after` events (or half of a buffered body) and keeps still.
        cut: close after so many bytes of the body as it stands on the wire, chunk framing included.
        reset: a cut or drop resets the connection instead of closing it.
        error_after: after so many events comes an event with an error object, and the stream ends, with its end mark.
        framing: how the body's end is told: `chunked` (streams) or `length` unless given; `eof` closes.
        write_size: bytes per TCP write; None is one write per event, 0 everything in one write.
        pace: seconds between events.
        delay: seconds before the head.
        comments: an SSE comment line before every event.
        newline: what ends the lines of an event.
        close_after: close the connection after the answer without having announced it: a stale pool.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[str, ...] = PIECES
    tools: bool = False
    reasoning: int = 0
    cached: int = 0
    prompt_tokens: int = 7
    usage: Literal["asked", "none", "every"] = "asked"
    done: bool = True
    extra: dict[str, Any] = {}
    body: bytes | None = None
    raw: bytes | None = None
    drop: bool = False
    hang: Literal["head", "body"] | None = None
    hang_after: int = 2
    cut: int | None = None
    reset: bool = False
    error_after: int | None = None
    framing: Literal["chunked", "length", "eof"] | None = None
    write_size: int | None = None
    pace: float = 0.0
    delay: float = 0.0
    comments: bool = False
    newline: Literal["\n", "\r\n", "\r"] = "\n"
    close_after: bool = False

    @property
    def text(self) -> str:
        """The whole text of one choice."""
        return "".join(self.pieces)


NORMAL = Script()
SERVER_ERROR = Script(status=500)
RATE_LIMITED = Script(status=429, headers=(("retry-after", "1"),))
UNAUTHENTICATED = Script(status=401)
INVALID_REQUEST = Script(status=400)
NOT_FOUND = Script(status=404)
HANG_BEFORE_HEAD = Script(hang="head")
HANG_MID_BODY = Script(hang="body")
DROP = Script(drop=True)
RESET = Script(drop=True, reset=True)
NOT_HTTP = Script(raw=b"\x16\x03\x01 this is no HTTP\r\n\r\n")
NOT_JSON = Script(body=b'{"id": "chatcmpl-1", "choices": [{"index": 0, "mess')
NOT_EVENTS = Script(body=b"data: {not json}\n\ndata: [DONE]\n\n")
ERROR_EVENT = Script(error_after=2)
NO_USAGE = Script(usage="none")
USAGE_IN_EVERY_CHUNK = Script(usage="every")
USAGE_IN_THE_TEXT = Script(pieces=TRAP)
BYTE_BY_BYTE = Script(write_size=1)
ALL_AT_ONCE = Script(write_size=0)
NO_DONE = Script(done=False)
STALE = Script(close_after=True)
TOOL_CALL = Script(tools=True)
UNKNOWN_FIELDS = Script(extra={"x_vendor": {"deep": [1, 2.50, "ü"]}, "prompt_filter_results": []})

FAULTS_BEFORE_THE_FIRST_BYTE = {
    "answers 500": SERVER_ERROR,
    "answers 503": Script(status=503),
    "answers 429": RATE_LIMITED,
    "closes before the head": DROP,
    "resets before the head": RESET,
    "talks no HTTP": NOT_HTTP,
    "never answers": HANG_BEFORE_HEAD,
}
