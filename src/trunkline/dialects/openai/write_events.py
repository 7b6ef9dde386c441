"""Streamed chat answers, from the neutral form.

Source: OpenAI API reference, "The chat completion chunk object".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from trunkline.dialects.deltas import (
    Cited,
    Delta,
    Ended,
    Kind,
    PartStarted,
    Piece,
    Signed,
    Started,
    Stopped,
    Used,
    Weighed,
)
from trunkline.dialects.neutral import Reasoning
from trunkline.dialects.openai.answers import (
    OWN_WORD,
    REASONS,
    write_citation,
    write_thought,
    write_tokens,
    write_usage,
)
from trunkline.dialects.openai.stream import DONE
from trunkline.messages import Asked

_encode = msgspec.json.Encoder().encode


class ChatWriter:
    """Writes one stream: usage in an event of its own, for a caller that asked for it, and `[DONE]` at the end.

    OpenAI's SDK puts lists together by the `index` of their items.
    """

    __slots__ = ("_begins", "_calls", "_cited", "_details", "_head", "_lengths", "_thoughts", "_usage", "_wants_usage")

    def __init__(self, asked: Asked) -> None:
        self._wants_usage = asked.wants_usage
        self._head = b""
        self._calls: dict[tuple[int, int], int] = {}
        self._cited: dict[int, int] = {}
        self._begins: dict[tuple[int, int], int] = {}
        self._lengths: dict[int, int] = {}
        self._details: dict[int, int] = {}
        self._thoughts: dict[tuple[int, int], list[str]] = {}
        self._usage: Used | None = None

    def write(self, delta: Delta) -> bytes:
        """Return the events that tell it."""
        tell = self._TELL.get(type(delta))
        return b"" if tell is None else tell(self, delta)

    def _start(self, delta: Started) -> bytes:
        self._head = _head(delta)
        return b""

    def _begin(self, delta: PartStarted) -> bytes:
        if delta.kind is Kind.TOOL_CALL:
            return self._call(delta)
        self._begins[delta.candidate, delta.part] = self._lengths.get(delta.candidate, 0)
        return b"" if delta.part else self._chunk(delta.candidate, {"role": "assistant", "content": ""})

    def _cite(self, delta: Cited) -> bytes:
        before = self._begins.get((delta.candidate, delta.part), 0)
        annotation = write_citation(delta.citation.placed(before, delta.length) if delta.length else delta.citation)
        if annotation is None:
            return b""
        index = self._cited[delta.candidate] = self._cited.get(delta.candidate, -1) + 1
        return self._chunk(delta.candidate, {"annotations": [annotation | {"index": index}]})

    def _weighed(self, delta: Weighed) -> bytes:
        return self._chunk(delta.candidate, {}, logprobs={"content": write_tokens(delta.tokens), "refusal": None})

    def _stopped(self, delta: Stopped) -> bytes:
        safety = {} if delta.safety is None else {"content_filter_results": delta.safety}
        own = {} if delta.reason is None else {OWN_WORD: delta.reason}
        return self._chunk(delta.candidate, {}, finish_reason=REASONS[delta.stop], **safety, **own)

    def _used(self, delta: Used) -> bytes:
        self._usage = delta
        return b""

    def _piece(self, delta: Piece) -> bytes:
        match delta.kind:
            case Kind.TEXT:
                said: dict[str, Any] = {"content": delta.text}
                self._lengths[delta.candidate] = self._lengths.get(delta.candidate, 0) + len(delta.text)
            case Kind.TOOL_CALL:
                number = self._calls[delta.candidate, delta.part]
                said = {"tool_calls": [{"index": number, "function": {"arguments": delta.text}}]}
            case Kind.REASONING:
                said = {"reasoning_content": delta.text}
                self._thoughts.setdefault((delta.candidate, delta.part), []).append(delta.text)
            case Kind.REFUSAL:
                said = {"refusal": delta.text}
        return self._chunk(delta.candidate, said)

    def _call(self, delta: PartStarted) -> bytes:
        number = sum(1 for candidate, _ in self._calls if candidate == delta.candidate)
        self._calls[delta.candidate, delta.part] = number
        called = {
            "index": number,
            "id": delta.id,
            "type": "function",
            "function": {"name": delta.name, "arguments": ""},
        }
        first: dict[str, Any] = {} if delta.part else {"role": "assistant", "content": None}
        return self._chunk(delta.candidate, first | {"tool_calls": [called]})

    def _signed(self, delta: Signed) -> bytes:
        if delta.redacted:
            thought = Reasoning(redacted=delta.signature, origin=delta.origin)
        else:
            text = "".join(self._thoughts.get((delta.candidate, delta.part), ()))
            thought = Reasoning(text, delta.signature, origin=delta.origin)
        index = self._details[delta.candidate] = self._details.get(delta.candidate, -1) + 1
        return self._chunk(delta.candidate, {"reasoning_details": [write_thought(thought) | {"index": index}]})

    def _chunk(self, candidate: int, delta: dict[str, Any], **more: Any) -> bytes:
        choice = {"index": candidate, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return b"%b[%b]%b}\n\n" % (self._head, _encode(choice), b',"usage":null' if self._wants_usage else b"")

    def _end(self, delta: Ended) -> bytes:
        del delta
        if self._usage is None or not self._wants_usage:
            return DONE
        return b'%b[],"usage":%b}\n\n%b' % (self._head, _encode(write_usage(self._usage.usage)), DONE)

    _TELL: ClassVar[dict[type, Callable[[ChatWriter, Any], bytes]]] = {
        Piece: _piece,
        Started: _start,
        PartStarted: _begin,
        Signed: _signed,
        Cited: _cite,
        Weighed: _weighed,
        Stopped: _stopped,
        Used: _used,
        Ended: _end,
    }


def _head(started: Started) -> bytes:
    """What all chunks of a stream have alike, up to the value of `choices`."""
    common = {
        "id": started.id,
        "object": "chat.completion.chunk",
        "created": started.created or int(time.time()),
        "model": started.model,
    }
    return b'data: %b,"choices":' % _encode(common)[:-1]
