"""Requests and buffered answers. The body's top-level fields are kept as they were written and sent on so.

A field given twice is refused, so that it cannot mean one thing to policy and another to the upstream. Source: OpenAI
API reference, "Create chat completion" and "Create embeddings".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import msgspec

from trunkline.dialects.bodies import read_body, rewrite, write_fields
from trunkline.dialects.dialect import Target
from trunkline.dialects.end_customers import read_end_customer
from trunkline.dialects.fields import ABSENT, NOTHING, read_fields
from trunkline.dialects.openai.usage import read_usage
from trunkline.dialects.tokens import estimate_usage
from trunkline.dialects.unanswered import no_json, refuse_unanswered
from trunkline.errors import Malformed
from trunkline.messages import Asked, Operation, Usage

DIALECT: Final = "openai"
PATHS: Final = {Operation.CHAT: "/chat/completions", Operation.EMBEDDINGS: "/embeddings"}
DOORS: Final = {f"/v1{path}": operation for operation, path in PATHS.items()}
ENDED: Final = re.compile(rb"[ \t\r\n]*\]")
"""What is left of a list of which nothing is left."""
PROMPT_FIELDS: Final = {Operation.CHAT: "messages", Operation.EMBEDDINGS: "input"}


class StreamOptions(msgspec.Struct, frozen=True):
    """Of `stream_options`, what metering reads."""

    include_usage: bool | None = None


class ChatFields(msgspec.Struct, frozen=True):
    """Of a chat request, what policy and metering read."""

    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: msgspec.Raw = ABSENT


class EmbeddingsFields(msgspec.Struct, frozen=True):
    """Of an embeddings request, what policy and metering read."""

    model: str
    input: msgspec.Raw
    user: str | None = None


class SaidChunk(msgspec.Struct, frozen=True):
    """Of a piece of content, how much it is. Source: Mistral API reference, "Chat completion", `ContentChunk`."""

    text: str | None = None
    thinking: str | list[SaidChunk] | None = None

    @property
    def size(self) -> int:
        """Characters produced."""
        thought = self.thinking or ()
        size = len(thought) if isinstance(thought, str) else sum(one.size for one in thought)
        return size + len(self.text or "")


class Said(msgspec.Struct, frozen=True):
    """Of a message or a piece of one, what was produced; Mistral's models that think first tell content in chunks."""

    content: str | list[SaidChunk] | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = ABSENT

    @property
    def size(self) -> int:
        """Characters produced, the JSON of tool calls among them."""
        said = self.content or ""
        size = len(said) if isinstance(said, str) else sum(chunk.size for chunk in said)
        if self.reasoning_content:
            size += len(self.reasoning_content)
        if self.refusal:
            size += len(self.refusal)
        return size if self.tool_calls is ABSENT else size + len(bytes(self.tool_calls))


class AnswerChoice(msgspec.Struct, frozen=True):
    """Of one of the answers, what was produced."""

    message: Said | None = None


class AnswerFields(msgspec.Struct, frozen=True):
    """Of a buffered answer, what metering reads."""

    model: str | None = None
    usage: msgspec.Raw = ABSENT
    choices: list[AnswerChoice] | None = None
    data: msgspec.Raw = ABSENT


class Answer(msgspec.Struct, frozen=True):
    """A buffered answer as metering sees it."""

    model: str
    usage: Usage


_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_chat = msgspec.json.Decoder(ChatFields).decode
_decode_embeddings = msgspec.json.Decoder(EmbeddingsFields).decode
_decode_answer = msgspec.json.Decoder(AnswerFields).decode
_encode = msgspec.json.Encoder().encode


def decode(operation: Operation, body: bytes, path: str = "", query: str = "") -> Asked:
    """Read a request body; path and query say nothing more in this dialect.

    Raises:
        Malformed: it is not JSON (the message has the position), not UTF-8, or a field that is read has a wrong type.
    """
    del path, query
    return read_body(body, _chat if operation is Operation.CHAT else _embeddings)


def _chat(body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    read = _decode_chat(body)
    if "stream_options" in fields and read.stream_options is not None:
        read_fields(fields["stream_options"], "stream_options.")
    if bytes(memoryview(read.messages)[:1]) != b"[":
        raise Malformed("`messages` must be a list of messages.", param="messages")
    limit = read.max_completion_tokens if read.max_completion_tokens is not None else read.max_tokens
    answers = 1 if read.n is None else read.n
    if answers < 1:
        raise Malformed("`n` must be 1 or more.", param="n")
    if limit is not None and limit < 0:
        raise Malformed("The output limit must not be negative.", param="max_tokens")
    return Asked(
        operation=Operation.CHAT,
        dialect=DIALECT,
        model=read.model,
        fields=fields,
        end_customer=read.user or read.safety_identifier or read_end_customer(read.metadata, "metadata"),
        stream=read.stream is True,
        wants_usage=read.stream_options is not None and read.stream_options.include_usage is True,
        output_limit=limit,
        answers=answers,
        prompt_bound=len(body),
    )


def _embeddings(body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    read = _decode_embeddings(body)
    return Asked(
        operation=Operation.EMBEDDINGS,
        dialect=DIALECT,
        model=read.model,
        fields=fields,
        end_customer=read.user,
        output_limit=0,
        prompt_bound=len(body),
    )


def path(asked: Asked, model: str) -> str:
    """Return where an upstream takes what is asked, behind its base path."""
    del model
    return PATHS[asked.operation]


def encode(
    asked: Asked, model: str, instructions: str | None, rewrites: Collection[tuple[str, bytes | None]] = ()
) -> bytes:
    """Write the body for the upstream: the caller's fields, with its own model name.

    A use case's instructions go before the caller's messages. Where a stream does not ask for usage, it is asked for.
    `rewrites` are the fields that policy sends with another value, as JSON, or leaves out (None).
    """
    fields = rewrite(asked.fields, rewrites)
    fields["model"] = msgspec.Raw(_encode(model))
    if asked.operation is Operation.CHAT:
        if instructions:
            fields["messages"] = _instruct(instructions, fields["messages"])
        if asked.stream and not asked.wants_usage and ("stream_options", None) not in rewrites:
            fields["stream_options"] = _ask_for_usage(fields.get("stream_options"))
    return write_fields(asked, fields)


def limit(asked: Asked, target: Target, most: int) -> tuple[str, bytes]:
    """Return the field that bounds each answer, by the name that the deployment takes."""
    del asked
    return target.output_limit, b"%d" % most


def _instruct(instructions: str, messages: msgspec.Raw) -> msgspec.Raw:
    first = _encode({"role": "system", "content": instructions})
    rest = memoryview(messages)[1:]
    return msgspec.Raw(b"".join((b"[", first, b"" if ENDED.match(rest) else b",", rest)))


def _ask_for_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    if options is None or bytes(options) in NOTHING:
        return msgspec.Raw(b'{"include_usage":true}')
    merged = _decode_fields(options)
    merged["include_usage"] = msgspec.Raw(b"true")
    return msgspec.Raw(_encode(merged))


def read_answer(asked: Asked, body: bytes) -> Answer:
    """Read a buffered answer: which model served it and what it used, estimated where the upstream does not say.

    Raises:
        Declined: the body tells of an error.
        Garbled: it is not JSON, or holds no answer.
    """
    try:
        fields = _decode_answer(body)
    except msgspec.ValidationError:
        refuse_unanswered(body, "choices", "data")
        return Answer(model="", usage=estimate(asked, len(body) if asked.operation is Operation.CHAT else 0))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(body, error) from error
    if fields.choices is None and fields.data is ABSENT:
        refuse_unanswered(body, "choices", "data")
    usage = read_usage(fields.usage)
    if usage is None:
        usage = estimate(asked, sum(choice.message.size for choice in fields.choices or () if choice.message))
    return Answer(model=fields.model or "", usage=usage)


def estimate(asked: Asked, produced: int) -> Usage:
    """Estimate usage from the bytes of the prompt and of what was produced."""
    return estimate_usage(asked, (PROMPT_FIELDS[asked.operation],), produced)
