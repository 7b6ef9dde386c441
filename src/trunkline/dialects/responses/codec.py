"""Requests and buffered answers of the same dialect: fields are kept as they were written and sent on so.

Source: OpenAI API reference, "Create a model response".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from trunkline.dialects.bodies import read_body, rewrite, write_fields
from trunkline.dialects.dialect import Target
from trunkline.dialects.end_customers import read_end_customer
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.responses.usage import read_usage
from trunkline.dialects.tokens import estimate_usage, read_counted
from trunkline.dialects.unanswered import no_json, refuse_unanswered
from trunkline.errors import Malformed
from trunkline.messages import Asked, Operation, Usage

DIALECT: Final = "responses"
PATH: Final = "/responses"
STATE: Final = ("previous_response_id", "conversation", "prompt")
"""Fields by which a provider puts something before the prompt that does not stand in the request."""
COUNT: Final = "/input_tokens"
DOORS: Final = {f"/v1{PATH}": Operation.CHAT, f"/v1{PATH}{COUNT}": Operation.CHAT}
COUNTED: Final = (
    "model",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "truncation",
    *STATE,
)
"""What is asked where tokens are counted. Source: OpenAI API reference, "Get input token counts"."""
PROMPT_FIELDS: Final = ("instructions", "input", "tools")
ID: Final = re.compile(rb'"id"|\\u')
STORED_MOST: Final = 2_000_000
"""Tokens that such a prompt may have: the longest context that models are offered with."""


class RequestFields(msgspec.Struct, frozen=True):
    """Of a request, what policy and metering read."""

    model: str
    input: msgspec.Raw = ABSENT
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    max_output_tokens: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: msgspec.Raw = ABSENT


class ItemHead(msgspec.Struct, frozen=True):
    """Of an item of the input, what tells its kind."""

    type: str | None = None
    role: str | None = None


class Said(msgspec.Struct, frozen=True):
    """Of a part of an item, how much it is."""

    text: str | None = None
    refusal: str | None = None


class OutputItem(msgspec.Struct, frozen=True):
    """Of an item of the answer, how much it is."""

    content: list[Said] | None = None
    summary: list[Said] | None = None
    arguments: str | None = None

    @property
    def size(self) -> int:
        """Characters produced."""
        said = (*(self.content or ()), *(self.summary or ()))
        return len(self.arguments or "") + sum(len(one.text or one.refusal or "") for one in said)


class AnswerFields(msgspec.Struct, frozen=True):
    """Of a buffered answer, what metering reads."""

    model: str | None = None
    usage: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT


class Answer(msgspec.Struct, frozen=True):
    """A buffered answer as metering sees it."""

    model: str
    usage: Usage


class Counted(msgspec.Struct, frozen=True):
    """How many tokens a prompt has."""

    input_tokens: int


_decode = msgspec.json.Decoder(RequestFields).decode
_decode_heads = msgspec.json.Decoder(list[ItemHead]).decode
_decode_counted = msgspec.json.Decoder(Counted).decode
_decode_answer = msgspec.json.Decoder(AnswerFields).decode
_decode_output = msgspec.json.Decoder(list[OutputItem]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def decode(operation: Operation, body: bytes, path: str = "", query: str = "") -> Asked:
    """Read a request body; path and query say nothing more in this dialect.

    Raises:
        Malformed: it is not JSON (the message has the position), not UTF-8, or a field that is read has a wrong type.
    """
    del operation, query
    asked = read_body(body, _asked)
    if not path.endswith(COUNT):
        return asked
    return msgspec.structs.replace(
        asked, counts_only=True, stream=False, stateful=False, output_limit=0, background=False
    )


def _asked(body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    read = _decode(body)
    stored = any(name in fields and bytes(fields[name]) not in NOTHING for name in STATE)
    begins = bytes(memoryview(read.input)[:1])
    if begins in (b"", b"n"):
        if not stored:
            raise Malformed("The request has no `input`.", code="missing_field", param="input")
    elif begins not in (b'"', b"["):
        raise Malformed("`input` must be text or a list of items.", code="invalid_type", param="input")
    elif begins == b"[":
        stored = _refers(read.input) or stored
    if read.max_output_tokens is not None and read.max_output_tokens < 0:
        raise Malformed("`max_output_tokens` must not be negative.", param="max_output_tokens")
    return Asked(
        operation=Operation.CHAT,
        dialect=DIALECT,
        model=read.model,
        fields=fields,
        end_customer=read.safety_identifier or read.user or read_end_customer(read.metadata, "metadata"),
        stream=read.stream is True,
        wants_usage=True,
        output_limit=read.max_output_tokens,
        prompt_bound=max(len(body), STORED_MOST) if stored else len(body),
        stateful=True,
        background=read.background is True,
    )


def _refers(items: msgspec.Raw) -> bool:
    """Whether the input refers to items that the provider stored; such a one may not say what it is.

    Raises:
        Malformed: an item says neither its type nor its role, so that only the provider would know what it is.
    """
    # Only an item with an `id`, be it written with escapes, can refer to a stored one.
    if ID.search(memoryview(items)) is None:
        return False
    heads = _decode_heads(items)
    for index, head in enumerate(heads):
        if head.type is None and head.role is None:
            where = f"input[{index}].type"
            raise Malformed(f"`{where}` is missing: say what the item is.", code="missing_field", param=where)
    return any(head.type == "item_reference" for head in heads)


def path(asked: Asked, model: str) -> str:
    """Return where an upstream takes what is asked, behind its base path."""
    del model
    return PATH + COUNT if asked.counts_only else PATH


def encode(
    asked: Asked, model: str, instructions: str | None, rewrites: Iterable[tuple[str, bytes | None]] = ()
) -> bytes:
    """Write the body for the upstream: the caller's fields, with its own model name.

    A use case's instructions go before the caller's, in `instructions`. `rewrites` are the fields that policy sends
    with another value, as JSON, or leaves out (None).
    """
    fields = rewrite(asked.fields, rewrites)
    fields["model"] = msgspec.Raw(_encode(model))
    if instructions:
        own = bytes(fields.get("instructions", b"null"))
        said = instructions if own in (b"null", b'""') else f"{instructions}\n\n{_decode_text(own)}"
        fields["instructions"] = msgspec.Raw(_encode(said))
    if asked.counts_only:
        fields = {name: raw for name, raw in fields.items() if name in COUNTED}
    return write_fields(asked, fields)


def limit(asked: Asked, target: Target, most: int) -> tuple[str, bytes]:
    """Return the field that bounds an answer."""
    del asked, target
    return "max_output_tokens", b"%d" % most


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
        refuse_unanswered(body, "output")
        return Answer(model="", usage=estimate(asked, len(body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(body, error) from error
    if bytes(fields.output) in NOTHING:
        refuse_unanswered(body, "output")
    usage = read_usage(fields.usage)
    return Answer(model=fields.model or "", usage=estimate(asked, _size(fields.output)) if usage is None else usage)


def _size(output: msgspec.Raw) -> int:
    try:
        return sum(item.size for item in _decode_output(output))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return len(bytes(output))


def write_count(tokens: int) -> bytes:
    """Write the answer to a caller who asked for the tokens of a prompt."""
    return _encode({"object": "response.input_tokens", "input_tokens": tokens})


def read_count(body: bytes) -> int:
    """Read how many tokens an upstream counted.

    Raises:
        Garbled: it does not say.
    """
    return read_counted(lambda told: _decode_counted(told).input_tokens, body)


def estimate(asked: Asked, produced: int) -> Usage:
    """Estimate usage from the bytes of the prompt and the characters that were produced."""
    return estimate_usage(asked, PROMPT_FIELDS, produced)
