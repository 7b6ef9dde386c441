"""Requests and buffered answers of the same dialect: fields are kept as they were written and sent on so.

Source: Cohere API reference, "Chat" and "Embed" of version 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from trunkline.dialects.bodies import read_body, rewrite, write_fields
from trunkline.dialects.cohere.usage import read_usage
from trunkline.dialects.dialect import Target
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.tokens import estimate_usage
from trunkline.dialects.unanswered import no_json, refuse_unanswered
from trunkline.errors import Malformed
from trunkline.messages import Asked, Operation, Usage

DIALECT: Final = "cohere"
PATHS: Final = {Operation.CHAT: "/chat", Operation.EMBEDDINGS: "/embed"}
DOORS: Final = {f"/v2{path}": operation for operation, path in PATHS.items()}
PROMPT_FIELDS: Final = {
    Operation.CHAT: ("messages", "documents", "tools"),
    Operation.EMBEDDINGS: ("texts", "inputs", "images"),
}

ANSWERS: Final = ("message", "embeddings")
"""What a whole answer has one of; a message that is text alone is an error's."""


class ChatFields(msgspec.Struct, frozen=True):
    """Of a chat request, what policy and metering read."""

    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    max_tokens: int | None = None


class EmbedFields(msgspec.Struct, frozen=True):
    """Of an embeddings request, what policy and metering read."""

    model: str


class SaidContent(msgspec.Struct, frozen=True):
    """Of a block of the answer, how much it is."""

    text: str | None = None
    thinking: str | None = None

    @property
    def size(self) -> int:
        """Characters produced."""
        return len(self.text or "") + len(self.thinking or "")


class SaidMessage(msgspec.Struct, frozen=True):
    """Of the answer, how much it is."""

    content: tuple[SaidContent, ...] | None = None
    tool_plan: str | None = None
    tool_calls: msgspec.Raw = ABSENT

    @property
    def size(self) -> int:
        """Characters produced, the JSON of tool calls among them."""
        calls = bytes(self.tool_calls)
        said = sum(content.size for content in self.content or ()) + len(self.tool_plan or "")
        return said if calls in NOTHING else said + len(calls)


class AnswerFields(msgspec.Struct, frozen=True):
    """Of a buffered answer, what metering reads. `model` is told by another exchange alone."""

    message: SaidMessage | None = None
    usage: msgspec.Raw = ABSENT
    meta: msgspec.Raw = ABSENT
    model: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """A buffered answer as metering sees it."""

    model: str
    usage: Usage


class Turn(msgspec.Struct, frozen=True):
    """Of a message, whether it is the system's, and what it says."""

    role: str | None = None
    content: msgspec.Raw = ABSENT


_decode_chat = msgspec.json.Decoder(ChatFields).decode
_decode_embed = msgspec.json.Decoder(EmbedFields).decode
_decode_answer = msgspec.json.Decoder(AnswerFields).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_turn = msgspec.json.Decoder(Turn).decode
_encode = msgspec.json.Encoder().encode


def decode(operation: Operation, body: bytes, path: str = "", query: str = "") -> Asked:
    """Read a request body; path and query say nothing more in this dialect.

    Raises:
        Malformed: it is not JSON (the message has the position), not UTF-8, or a field that is read has a wrong type.
    """
    del path, query
    return read_body(body, _chat if operation is Operation.CHAT else _embed)


def _chat(body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    read = _decode_chat(body)
    if bytes(memoryview(read.messages)[:1]) != b"[":
        raise Malformed("`messages` must be a list of messages.", param="messages")
    if read.max_tokens is not None and read.max_tokens < 0:
        raise Malformed("`max_tokens` must not be negative.", param="max_tokens")
    return Asked(
        operation=Operation.CHAT,
        dialect=DIALECT,
        model=read.model,
        fields=fields,
        stream=read.stream is True,
        wants_usage=True,
        output_limit=read.max_tokens,
        prompt_bound=len(body),
    )


def _embed(body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    read = _decode_embed(body)
    return Asked(
        operation=Operation.EMBEDDINGS,
        dialect=DIALECT,
        model=read.model,
        fields=fields,
        output_limit=0,
        prompt_bound=len(body),
    )


def path(asked: Asked, model: str) -> str:
    """Return where an upstream takes what is asked, behind its base path."""
    del model
    return PATHS[asked.operation]


def encode(
    asked: Asked, model: str, instructions: str | None, rewrites: Iterable[tuple[str, bytes | None]] = ()
) -> bytes:
    """Write the body for the upstream: the caller's fields, with its own model name.

    A use case's instructions go before the caller's own. `rewrites` are the fields that policy sends with another
    value, as JSON, or leaves out (None).
    """
    fields = rewrite(asked.fields, rewrites)
    fields["model"] = msgspec.Raw(_encode(model))
    if instructions and asked.operation is Operation.CHAT:
        fields["messages"] = _instruct(instructions, fields["messages"])
    return write_fields(asked, fields)


def _instruct(instructions: str, messages: msgspec.Raw) -> msgspec.Raw:
    """Put the instructions first. There is one system message at the beginning: the caller's goes on in it."""
    turns = _decode_list(messages)
    content: list[object] = [{"type": "text", "text": instructions}]
    if turns and (own := _turn(turns[0])).role == "system":
        said = bytes(own.content)
        if said[:1] == b'"':
            content.append({"type": "text", "text": own.content})
        elif said[:1] == b"[":
            content += _decode_list(said)
        turns = turns[1:]
    first = _encode({"role": "system", "content": content})
    rest = (piece for turn in turns for piece in (b",", turn))
    return msgspec.Raw(b"".join((b"[", first, *rest, b"]")))


def _turn(raw: msgspec.Raw) -> Turn:
    try:
        return _decode_turn(raw)
    except msgspec.DecodeError:
        return Turn()


def limit(asked: Asked, target: Target, most: int) -> tuple[str, bytes]:
    """Return the field that bounds an answer."""
    del asked, target
    return "max_tokens", b"%d" % most


def read_answer(asked: Asked, body: bytes) -> Answer:
    """Read a buffered answer: what it used, estimated where the upstream does not say.

    Raises:
        Declined: the body tells of an error.
        Garbled: it is not JSON, or holds no answer.
    """
    chat = asked.operation is Operation.CHAT
    try:
        fields = _decode_answer(body)
    except msgspec.ValidationError:
        refuse_unanswered(body, *ANSWERS)
        return Answer(model="", usage=estimate(asked, len(body) if chat else 0))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(body, error) from error
    if fields.message is None and chat:
        refuse_unanswered(body, *ANSWERS)
    usage = read_usage(fields.usage if chat else fields.meta)
    if usage is None:
        usage = estimate(asked, fields.message.size if fields.message is not None else 0)
    return Answer(model=fields.model or "", usage=usage)


def estimate(asked: Asked, produced: int) -> Usage:
    """Estimate usage from the bytes of the prompt and the characters that were produced."""
    return estimate_usage(asked, PROMPT_FIELDS[asked.operation], produced)
