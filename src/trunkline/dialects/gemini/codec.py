"""Requests and buffered answers of the same dialect: fields are kept as they were written and sent on so.

The model and what is asked of it stand in the path. Source: Gemini API reference, "Generating content".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Final
from urllib.parse import parse_qs, quote, unquote

import msgspec

from trunkline.dialects.bodies import read_body, rewrite, write_fields
from trunkline.dialects.dialect import Target
from trunkline.dialects.end_customers import read_end_customer
from trunkline.dialects.fields import ABSENT, NOTHING, is_nothing, read_fields
from trunkline.dialects.gemini.embed import ONE
from trunkline.dialects.gemini.names import BUFFERED, COUNT, DOOR, EMBED, EMBED_ONE, MODELS, STREAMED, named
from trunkline.dialects.gemini.proto import DIALECT, respell
from trunkline.dialects.gemini.usage import read_usage
from trunkline.dialects.tokens import estimate_usage, read_counted
from trunkline.dialects.unanswered import no_json, refuse_unanswered
from trunkline.errors import Malformed
from trunkline.messages import Asked, Operation, Usage

METHODS: Final = {
    BUFFERED: Operation.CHAT,
    STREAMED: Operation.CHAT,
    COUNT: Operation.CHAT,
    EMBED_ONE: Operation.EMBEDDINGS,
    EMBED: Operation.EMBEDDINGS,
}
WITHIN: Final = "generateContentRequest"
FIELDS: Final = frozenset(
    {"systemInstruction", "generationConfig", "toolConfig", "safetySettings", "cachedContent", "serviceTier", WITHIN}
)
"""Top-level fields of two spellings: the first is sent on."""
PROMPT_FIELDS: Final = ("systemInstruction", "contents", "tools", "requests")
ANSWERS: Final = ("candidates", "promptFeedback", "usageMetadata", "embedding", "embeddings")
"""What a whole answer has one of."""
FILES: Final = (b'ileUri"', b'ile_uri"')
"""In contents, what brings more into a prompt than its bytes, in both spellings."""
DECLARED: Final = frozenset({"functionDeclarations", "function_declarations"})
"""The tools that read nothing into a prompt by themselves."""
WIDEST: Final = 2_097_152
"""Tokens of the widest context window that Gemini ever had, that of 1.5 Pro: no prompt counts more."""


class Config(msgspec.Struct, frozen=True, rename="camel"):
    """Of `generationConfig`, what policy and metering read."""

    max_output_tokens: int | None = None
    candidate_count: int | None = None


class Fields(msgspec.Struct, frozen=True, rename="camel"):
    """Of a request, what must be there."""

    contents: msgspec.Raw


class PartSaid(msgspec.Struct, frozen=True, rename="camel"):
    """Of a part of the answer, how much it is."""

    text: str | None = None
    function_call: msgspec.Raw = ABSENT

    @property
    def size(self) -> int:
        """Characters produced, the JSON of calls among them."""
        return len(self.text or "") + len(bytes(self.function_call))


class Content(msgspec.Struct, frozen=True):
    """Of a candidate, its parts."""

    parts: tuple[PartSaid, ...] | None = None


class CandidateSaid(msgspec.Struct, frozen=True, rename="camel"):
    """Of an answer, how much one candidate has of it, and whether it is whole."""

    content: Content | None = None
    index: int = 0
    finish_reason: str | None = None


class Feedback(msgspec.Struct, frozen=True, rename="camel"):
    """What the provider says of the prompt."""

    block_reason: str | None = None


class AnswerFields(msgspec.Struct, frozen=True, rename="camel"):
    """Of an answer, or of an event of its stream, what metering reads."""

    model_version: str | None = None
    usage_metadata: msgspec.Raw = ABSENT
    candidates: tuple[CandidateSaid, ...] | None = None
    prompt_feedback: Feedback | None = None
    error: msgspec.Raw = ABSENT

    @property
    def size(self) -> int:
        """Characters produced."""
        contents = (one.content for one in self.candidates or ())
        return sum(part.size for content in contents if content is not None for part in content.parts or ())


class Answer(msgspec.Struct, frozen=True):
    """A buffered answer as metering sees it."""

    model: str
    usage: Usage


class Counted(msgspec.Struct, frozen=True, rename="camel"):
    """How many tokens a prompt has."""

    total_tokens: int


_decode = msgspec.json.Decoder(Fields).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_parts = msgspec.json.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw]).decode
_decode_requests = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_counted = msgspec.json.Decoder(Counted).decode
_decode_answer = msgspec.json.Decoder(AnswerFields).decode
_encode = msgspec.json.Encoder().encode


def find_door(path: str) -> Operation | None:
    """Return what is asked for at a path; None where that is no door."""
    if ":" not in path:
        return None
    at = DOOR.fullmatch(path)
    return None if at is None else METHODS.get(at[2])


def decode(operation: Operation, body: bytes, path: str = "", query: str = "") -> Asked:
    """Read a request: the model out of the path, how a stream is framed out of the query, the rest out of the body.

    Raises:
        Malformed: the path names no model, or the body is not JSON (the message has the position), not UTF-8, or a
            field that is read has a wrong type.
    """
    del operation
    at = DOOR.fullmatch(path)
    model = unquote(at[1]) if at is not None else ""
    if at is None or not model.strip():
        raise Malformed(
            f"The path names no model: {MODELS}/MODEL:{BUFFERED} does.", code="missing_field", param="model"
        )
    method = at[2]
    if METHODS.get(method) is Operation.EMBEDDINGS:
        return read_body(body, partial(_embed, model, method))
    if method == COUNT:
        return read_body(body, partial(_count, model))
    asked = read_body(body, partial(_generate, model))
    if method != STREAMED:
        return asked
    framing = parse_qs(query).get("alt", [""])[0]
    return msgspec.structs.replace(asked, stream=True, events=framing == "sse")


def _embed(model: str, method: str, body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    """A request for one vector becomes one of several, so that there is one place to look at; it is sent as it came."""
    if method == EMBED_ONE:
        needed = fields.get("content", ABSENT)
        fields = {"requests": msgspec.Raw(b"[%b]" % body), ONE: msgspec.Raw(b"true")}
    else:
        needed = fields.get("requests", ABSENT)
    if is_nothing(needed):
        name = "content" if method == EMBED_ONE else "requests"
        raise Malformed(f"The request has no `{name}`.", code="missing_field", param=name)
    return Asked(
        operation=Operation.EMBEDDINGS,
        dialect=DIALECT,
        model=model,
        fields=fields,
        output_limit=0,
        prompt_bound=_prompt_bound(body, fields),
    )


def _count(model: str, body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    """A prompt whose tokens are to be counted stands alone, or in the request that it is to be part of."""
    respell(fields, "", FIELDS)
    whole = fields.get(WITHIN, ABSENT)
    if not is_nothing(whole):
        if not is_nothing(fields.get("contents", ABSENT)):
            raise Malformed(f"`contents` and `{WITHIN}` exclude each other.", code="invalid_value", param=WITHIN)
        fields = read_fields(whole, f"{WITHIN}.")
        fields.pop("model", None)
        body = bytes(whole)
    return msgspec.structs.replace(_generate(model, body, fields), counts_only=True)


def _generate(model: str, body: bytes, fields: dict[str, msgspec.Raw]) -> Asked:
    _decode(body)
    respell(fields, "", FIELDS)
    config = _config(fields)
    answers = 1 if config.candidate_count is None else config.candidate_count
    if answers < 1:
        raise Malformed("`candidateCount` must be 1 or more.", param="generationConfig.candidateCount")
    if config.max_output_tokens is not None and config.max_output_tokens < 0:
        raise Malformed("`maxOutputTokens` must not be negative.", param="generationConfig.maxOutputTokens")
    return Asked(
        operation=Operation.CHAT,
        dialect=DIALECT,
        model=model,
        fields=fields,
        end_customer=read_end_customer(fields.get("labels", ABSENT), "labels"),
        wants_usage=True,
        output_limit=config.max_output_tokens,
        answers=answers,
        prompt_bound=_prompt_bound(body, fields),
    )


def _prompt_bound(body: bytes, fields: dict[str, msgspec.Raw]) -> int:
    wide = "cachedContent" in fields or _reads_more(fields.get("tools", ABSENT)) or any(one in body for one in FILES)
    return len(body) + (WIDEST if wide else 0)


def _reads_more(tools: msgspec.Raw) -> bool:
    """Whether tools that the provider runs may read more into the prompt."""
    if bytes(tools) in NOTHING:
        return False
    try:
        return any(tool.keys() - DECLARED for tool in _decode_requests(tools))
    except msgspec.DecodeError:
        return True


def _config(fields: dict[str, msgspec.Raw]) -> Config:
    raw = fields.get("generationConfig", ABSENT)
    if bytes(raw) in NOTHING:
        return Config()
    inside = read_fields(raw, "generationConfig.")
    if any("_" in name for name in inside):
        fields["generationConfig"] = msgspec.Raw(_encode(respell(inside, "generationConfig")))
    read = {name: inside[name] for name in ("maxOutputTokens", "candidateCount") if name in inside}
    try:
        return msgspec.json.decode(_encode(read), type=Config)
    except msgspec.ValidationError as error:
        name = re.search(r"\$\.(\w+)", str(error))
        param = f"generationConfig.{name[1]}" if name else "generationConfig"
        raise Malformed(f"`{param}` must be a whole number.", code="invalid_type", param=param) from error


def path(asked: Asked, model: str) -> str:
    """Return where an upstream takes what is asked, behind its base path; streams are asked for as events."""
    if asked.operation is Operation.EMBEDDINGS:
        method = EMBED_ONE if ONE in asked.fields else EMBED
    elif asked.counts_only:
        method = COUNT
    else:
        method = f"{STREAMED}?alt=sse" if asked.stream else BUFFERED
    return f"/{quote(named(model), safe='/:@')}:{method}"


def encode(
    asked: Asked, model: str, instructions: str | None, rewrites: Iterable[tuple[str, bytes | None]] = ()
) -> bytes:
    """Write the body for the upstream: the caller's fields, with its own model name where they have one.

    A use case's instructions go before the caller's `systemInstruction`. `rewrites` are the fields that policy sends
    with another value, as JSON, or leaves out (None).
    """
    fields = rewrite(asked.fields, rewrites)
    own = msgspec.Raw(_encode(named(model)))
    if asked.operation is Operation.EMBEDDINGS:
        return _encode_embed(fields, own)
    if "model" in fields:
        fields["model"] = own
    if instructions:
        fields["systemInstruction"] = _instruct(instructions, fields.get("systemInstruction", ABSENT))
    if asked.counts_only and fields.keys() != {"contents"}:
        return _encode({WITHIN: fields | {"model": own}})
    return write_fields(asked, fields)


def _encode_embed(fields: dict[str, msgspec.Raw], own: msgspec.Raw) -> bytes:
    """Each item of `requests` names the model."""
    try:
        requests = _decode_requests(fields["requests"])
    except msgspec.DecodeError as error:
        raise Malformed("`requests` must be a list of objects.", code="invalid_type", param="requests") from error
    one = fields.pop(ONE, None) is not None
    for request in requests:
        if "model" in request or not one:
            request["model"] = own
    if one:
        return _encode(requests[0])
    if "model" in fields:
        fields["model"] = own
    return _encode(fields | {"requests": msgspec.Raw(_encode(requests))})


def limit(asked: Asked, target: Target, most: int) -> tuple[str, bytes]:
    """Return the field that bounds an answer, with all else that the caller has in it."""
    del target
    raw = asked.fields.get("generationConfig", ABSENT)
    inside = {} if bytes(raw) in NOTHING else _decode_fields(raw)
    inside["maxOutputTokens"] = msgspec.Raw(b"%d" % most)
    return "generationConfig", _encode(inside)


def _instruct(instructions: str, system: msgspec.Raw) -> msgspec.Raw:
    """Put the instructions first; the caller's own parts stay as they are."""
    first = msgspec.Raw(_encode({"text": instructions}))
    if bytes(system) in NOTHING:
        return msgspec.Raw(_encode({"parts": [first]}))
    if bytes(system)[:1] == b'"':
        return msgspec.Raw(_encode({"parts": [first, {"text": system}]}))
    try:
        inside = _decode_fields(system)
        raw = inside.get("parts", ABSENT)
        parts = [] if bytes(raw) in NOTHING else _decode_parts(raw)
    except msgspec.DecodeError as error:
        raise Malformed(
            "`systemInstruction` must be an object with `parts`.", code="invalid_type", param="systemInstruction"
        ) from error
    inside["parts"] = msgspec.Raw(_encode([first, *(parts if isinstance(parts, list) else [raw])]))
    return msgspec.Raw(_encode(inside))


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
        refuse_unanswered(body, *ANSWERS)
        return Answer(model="", usage=estimate(asked, len(body) if asked.operation is Operation.CHAT else 0))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(body, error) from error
    silent = fields.candidates is None and fields.prompt_feedback is None and asked.operation is Operation.CHAT
    if silent or bytes(fields.error) not in NOTHING:
        refuse_unanswered(body, *ANSWERS)
    return Answer(
        model=fields.model_version or "", usage=read_usage(fields.usage_metadata) or estimate(asked, fields.size)
    )


def write_count(tokens: int) -> bytes:
    """Write the answer to a caller who asked for the tokens of a prompt."""
    return _encode({"totalTokens": tokens})


def read_count(body: bytes) -> int:
    """Read how many tokens an upstream counted.

    Raises:
        Garbled: it does not say.
    """
    return read_counted(lambda told: _decode_counted(told).total_tokens, body)


def estimate(asked: Asked, produced: int) -> Usage:
    """Estimate usage from the bytes of the prompt and the characters that were produced."""
    return estimate_usage(asked, PROMPT_FIELDS, produced)
