"""Requests and buffered answers of the same dialect: fields are kept as they were written and sent on so.

Source: Claude API reference, "Create a message".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from trunkline.dialects.anthropic.usage import as_billed, read_fields
from trunkline.dialects.bodies import read_body, rewrite, write_fields
from trunkline.dialects.dialect import Target
from trunkline.dialects.fields import ABSENT
from trunkline.dialects.fields import read_fields as read_object
from trunkline.dialects.tokens import estimate_usage, read_counted
from trunkline.dialects.unanswered import no_json, refuse_unanswered
from trunkline.errors import Malformed
from trunkline.messages import Asked, Operation, Usage

DIALECT: Final = "anthropic"
PATHS: Final = {Operation.CHAT: "/messages"}
COUNT: Final = "/count_tokens"
DOORS: Final = {"/v1/messages": Operation.CHAT, f"/v1/messages{COUNT}": Operation.CHAT}
PROMPT_FIELDS: Final = ("system", "messages", "tools")


class Metadata(msgspec.Struct, frozen=True):
    """Of `metadata`, whom the caller's product serves."""

    user_id: str | None = None


class MessagesFields(msgspec.Struct, frozen=True):
    """Of a request, what policy and metering read."""

    model: str
    messages: msgspec.Raw
    max_tokens: int
    stream: bool | None = None
    metadata: Metadata | None = None


class CountFields(msgspec.Struct, frozen=True):
    """The same of a prompt whose tokens are to be counted."""

    model: str
    messages: msgspec.Raw


class SaidBlock(msgspec.Struct, frozen=True):
    """Of a block of the answer, how much it is."""

    text: str | None = None
    thinking: str | None = None
    input: msgspec.Raw = ABSENT

    @property
    def size(self) -> int:
        """Characters produced."""
        return len(self.text or "") + len(self.thinking or "") + len(bytes(self.input))


class AnswerFields(msgspec.Struct, frozen=True):
    """Of a buffered answer, what metering reads."""

    model: str | None = None
    usage: msgspec.Raw = ABSENT
    content: list[SaidBlock] | None = None


class Answer(msgspec.Struct, frozen=True):
    """A buffered answer as metering sees it."""

    model: str
    usage: Usage


class Counted(msgspec.Struct, frozen=True):
    """How many tokens a prompt has."""

    input_tokens: int


_decode = msgspec.json.Decoder(MessagesFields).decode
_decode_count = msgspec.json.Decoder(CountFields).decode
_decode_counted = msgspec.json.Decoder(Counted).decode
_decode_answer = msgspec.json.Decoder(AnswerFields).decode
_encode = msgspec.json.Encoder().encode


def decode(operation: Operation, body: bytes, path: str = "", query: str = "") -> Asked:
    """Read a request body; path and query say nothing more in this dialect.

    Raises:
        Malformed: it is not JSON (the message has the position), not UTF-8, or a field that is read has a wrong type.
    """
    del operation, query
    return read_body(body, _count if path.endswith(COUNT) else _messages)


def _messages(body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    return _asked(body, fields, _decode(body))


def _count(body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    """A prompt whose tokens are to be counted has no output limit, and no answer to be streamed."""
    read = _decode_count(body)
    asked = _asked(body, fields, MessagesFields(read.model, read.messages, 0))
    return msgspec.structs.replace(asked, counts_only=True)


def _asked(body: bytes, fields: dict[str, msgspec.Raw], read: MessagesFields) -> Asked:
    if bytes(memoryview(read.messages)[:1]) != b"[":
        raise Malformed("`messages` must be a list of messages.", param="messages")
    if read.max_tokens < 0:
        raise Malformed("`max_tokens` must not be negative.", param="max_tokens")
    if read.metadata is not None:
        read_object(fields["metadata"], "metadata.")
    return Asked(
        operation=Operation.CHAT,
        dialect=DIALECT,
        model=read.model,
        fields=fields,
        end_customer=read.metadata.user_id if read.metadata is not None else None,
        stream=read.stream is True,
        wants_usage=True,
        output_limit=read.max_tokens,
        prompt_bound=len(body),
    )


def path(asked: Asked, model: str) -> str:
    """Return where an upstream takes what is asked, behind its base path."""
    del model
    return PATHS[asked.operation] + COUNT if asked.counts_only else PATHS[asked.operation]


def encode(
    asked: Asked, model: str, instructions: str | None, rewrites: Iterable[tuple[str, bytes | None]] = ()
) -> bytes:
    """Write the body for the upstream: the caller's fields, with its own model name.

    A use case's instructions go before the caller's `system`. `rewrites` are the fields that policy sends with another
    value, as JSON, or leaves out (None).
    """
    fields = rewrite(asked.fields, rewrites)
    fields["model"] = msgspec.Raw(_encode(model))
    if asked.counts_only:
        fields.pop("max_tokens", None)
    if instructions:
        fields["system"] = _instruct(instructions, bytes(fields.get("system", b"null")))
    return write_fields(asked, fields)


def limit(asked: Asked, target: Target, most: int) -> tuple[str, bytes]:
    """Return the field that bounds an answer."""
    del asked, target
    return "max_tokens", b"%d" % most


def _instruct(instructions: str, system: bytes) -> msgspec.Raw:
    """Put the instructions first; the caller's own words stay blocks of their own, with their cache markers."""
    if system in (b"null", b'""', b"[]"):
        return msgspec.Raw(_encode(instructions))
    first = _encode({"type": "text", "text": instructions})
    if system[:1] == b"[":
        return msgspec.Raw(b"[" + first + b"," + system[1:])
    return msgspec.Raw(b"[%b,%b]" % (first, b'{"type":"text","text":%b}' % system))


def read_answer(asked: Asked, body: bytes) -> Answer:
    """Read a buffered answer: which model served it and what it used, estimated where the upstream does not say.

    Raises:
        Declined: the body tells of an error.
        Garbled: it is not JSON, or holds no answer.
    """
    if asked.counts_only:
        return Answer(model="", usage=Usage())
    try:
        fields = _decode_answer(body)
    except msgspec.ValidationError:
        refuse_unanswered(body, "content")
        return Answer(model="", usage=estimate(asked, len(body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(body, error) from error
    if fields.content is None:
        refuse_unanswered(body, "content")
    usage = as_billed(read_fields(fields.usage))
    if usage is None:
        usage = estimate(asked, sum(block.size for block in fields.content or ()))
    return Answer(model=fields.model or "", usage=usage)


def write_count(tokens: int) -> bytes:
    """Write the answer to a caller who asked for the tokens of a prompt."""
    return _encode({"input_tokens": tokens})


def read_count(body: bytes) -> int:
    """Read how many tokens an upstream counted.

    Raises:
        Garbled: it does not say.
    """
    return read_counted(lambda told: _decode_counted(told).input_tokens, body)


def estimate(asked: Asked, produced: int) -> Usage:
    """Estimate usage from the bytes of the prompt and the characters that were produced."""
    return estimate_usage(asked, PROMPT_FIELDS, produced)
