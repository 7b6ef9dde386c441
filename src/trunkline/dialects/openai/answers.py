"""Buffered chat answers from and to the neutral form. Source: OpenAI API reference, "The chat completion object".

Thoughts stand in `reasoning_content` and, with what lets their provider take them up again, in `reasoning_details`
(DeepSeek and vLLM; OpenRouter, "Reasoning tokens").
"""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.neutral import (
    Answer,
    Candidate,
    Citation,
    Likely,
    Part,
    Reasoning,
    Refused,
    Stop,
    Text,
    Token,
    ToolCall,
    own_word,
    seal,
    unseal,
)
from trunkline.dialects.openai.codec import DIALECT
from trunkline.dialects.openai.usage import read_usage, write_media
from trunkline.dialects.origins import ORIGINS
from trunkline.errors import Garbled
from trunkline.messages import Asked, Usage

STOPS: Final = {
    "stop": Stop.END,
    "length": Stop.LENGTH,
    "tool_calls": Stop.TOOL,
    "function_call": Stop.TOOL,
    "content_filter": Stop.FILTERED,
    "model_length": Stop.CONTEXT,
    "eos": Stop.END,
    "eos_token": Stop.END,
    "stop_sequence": Stop.SEQUENCE,
}
"""Beyond OpenAI's own: Mistral's word for a full context (API reference, "Chat completion"), Together's and Hugging
Face's for a plain end (Together documentation, "Chat completions"; Text Generation Inference, "Messages API")."""
REASONS: Final = {
    Stop.END: "stop",
    Stop.LENGTH: "length",
    Stop.CONTEXT: "length",
    Stop.TOOL: "tool_calls",
    Stop.SEQUENCE: "stop",
    Stop.FILTERED: "content_filter",
    Stop.REFUSED: "content_filter",
    Stop.PAUSED: "stop",
    Stop.OTHER: "stop",
}

OWN_WORD: Final = "native_finish_reason"
"""Where an answer has the provider's own word for why it ended. Source: OpenRouter documentation, "API reference"."""


class Likelihood(msgspec.Struct, frozen=True):
    """A token with its log-probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: tuple[Likelihood, ...] = ()


class Likelihoods(msgspec.Struct, frozen=True):
    """The field `logprobs`."""

    content: tuple[Likelihood, ...] | None = None


class Function(msgspec.Struct, frozen=True):
    """Of a tool call, what is called."""

    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct, frozen=True):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Detail(msgspec.Struct, frozen=True):
    """One of `reasoning_details`."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None


class UrlCitation(msgspec.Struct, frozen=True):
    """A place on the web that the text rests on."""

    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(msgspec.Struct, frozen=True):
    """One of `annotations`."""

    url_citation: UrlCitation | None = None


class Chunk(msgspec.Struct, frozen=True):
    """A piece of content. Source: Mistral API reference, "Chat completion", `TextChunk` and `ThinkChunk`."""

    type: str = ""
    text: str | None = None
    thinking: str | tuple[Chunk, ...] | None = None
    signature: str | None = None


class Said(msgspec.Struct, frozen=True):
    """A message, or a piece of one."""

    content: str | tuple[Chunk, ...] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: tuple[Detail, ...] | None = None
    tool_calls: tuple[Call, ...] | None = None
    annotations: tuple[Annotation, ...] | None = None


class ReadChoice(msgspec.Struct, frozen=True):
    """One of the answers."""

    message: Said
    finish_reason: str | None = None
    logprobs: Likelihoods | None = None
    content_filter_results: msgspec.Raw = ABSENT


class ReadCompletion(msgspec.Struct, frozen=True):
    """The answer, whole."""

    choices: list[ReadChoice]
    id: str = ""
    model: str = ""
    created: int = 0
    usage: msgspec.Raw = ABSENT
    service_tier: str | None = None


_decode = msgspec.json.Decoder(ReadCompletion).decode
_encode = msgspec.json.Encoder().encode


def read_answer(body: bytes) -> Answer:
    """Read a buffered answer.

    Raises:
        Garbled: it is not what the reference describes.
    """
    try:
        completion = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = body[:200].decode(errors="replace")
        raise Garbled("the answer is no chat completion", inside=f"no chat completion: {error}", said=said) from error
    return Answer(
        id=completion.id,
        model=completion.model,
        created=completion.created,
        candidates=tuple(_candidate(choice) for choice in completion.choices),
        usage=read_usage(completion.usage),
        service_tier=completion.service_tier,
    )


def _candidate(choice: ReadChoice) -> Candidate:
    said = choice.message
    parts: list[Part] = [*read_thoughts(said)]
    citations = tuple(citation for one in said.annotations or () if (citation := read_citation(one)) is not None)
    parts += (
        msgspec.structs.replace(part, citations=citations) if isinstance(part, Text) else part
        for part in read_content(said)
    )
    if said.refusal:
        parts.append(Refused(said.refusal))
    for call in said.tool_calls or ():
        function = call.function or Function()
        parts.append(ToolCall(call.id or "", function.name or "", function.arguments or ""))
    safety = choice.content_filter_results
    stop = stop_of(choice.finish_reason or "stop", called=bool(said.tool_calls))
    return Candidate(
        parts=tuple(parts),
        stop=stop,
        tokens=read_tokens(choice.logprobs),
        safety=None if bytes(safety) in NOTHING else safety,
        reason=own_word(stop, choice.finish_reason),
    )


def stop_of(reason: str, *, called: bool) -> Stop:
    """Why an answer ended. Where the caller forces a tool, one that calls it has the same reason as any other."""
    stop = STOPS.get(reason, Stop.OTHER)
    return Stop.TOOL if called and stop is Stop.END else stop


def read_content(said: Said) -> list[Text | Reasoning]:
    """What a message says in `content`, which may hold thoughts as well."""
    content = said.content or ()
    if isinstance(content, str):
        return [Text(content)]
    parts: list[Text | Reasoning] = []
    for chunk in content:
        if chunk.thinking is not None or chunk.signature is not None:
            thought = chunk.thinking or ()
            text = thought if isinstance(thought, str) else "".join(one.text or "" for one in thought)
            origin, signature = unsealed(chunk.signature)
            parts.append(Reasoning(text, signature, origin=origin))
        elif chunk.text:
            parts.append(Text(chunk.text))
    return parts


def unsealed(sealed: str | None) -> tuple[str, str | None]:
    """Origin and signature of a thought, which may have none."""
    return (DIALECT, None) if sealed is None else unseal(sealed, DIALECT, ORIGINS)


def read_thoughts(said: Said) -> list[Reasoning]:
    """The thoughts in a message; of those told twice, the more exact ones."""
    found = []
    for one in said.reasoning_details or ():
        if one.type == "reasoning.encrypted" and one.data is not None:
            origin, data = unseal(one.data, DIALECT, ORIGINS)
            found.append(Reasoning(redacted=data, origin=origin))
        elif one.text or one.summary or one.signature:
            origin, signature = unsealed(one.signature)
            found.append(Reasoning(one.text or one.summary or "", signature, origin=origin))
    thought = said.reasoning_content or said.reasoning
    if not found and thought:
        found.append(Reasoning(thought, origin=DIALECT))
    return found


def read_citation(annotation: Annotation) -> Citation | None:
    """What an annotation says of a text."""
    cited = annotation.url_citation
    if cited is None:
        return None
    return Citation("answer", cited.start_index, cited.end_index, title=cited.title, url=cited.url)


def read_tokens(logprobs: Likelihoods | None) -> tuple[Token, ...] | None:
    """The tokens of an answer with their log-probabilities."""
    if logprobs is None or logprobs.content is None:
        return None
    return tuple(
        Token(
            Likely(one.token, one.logprob, one.bytes),
            tuple(Likely(other.token, other.logprob, other.bytes) for other in one.top_logprobs),
        )
        for one in logprobs.content
    )


def write_answer(asked: Asked, answer: Answer) -> bytes:
    """Write a buffered answer for its caller."""
    completion: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created or int(time.time()),
        "model": answer.model or asked.model,
        "choices": [_choice(index, candidate) for index, candidate in enumerate(answer.candidates)],
    }
    if answer.usage is not None:
        completion["usage"] = write_usage(answer.usage)
    if answer.service_tier is not None:
        completion["service_tier"] = answer.service_tier
    return _encode(completion)


def _choice(index: int, candidate: Candidate) -> dict[str, Any]:
    parts = candidate.parts
    texts = [part for part in parts if isinstance(part, Text)]
    refusal = "".join(part.text for part in parts if isinstance(part, Refused))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(part.text for part in texts) if texts else None,
        "refusal": refusal or None,
    }
    thoughts = [part for part in parts if isinstance(part, Reasoning)]
    if thoughts:
        message["reasoning_content"] = "".join(thought.text for thought in thoughts)
        message["reasoning_details"] = [write_thought(thought) for thought in thoughts]
    annotations, before = [], 0
    for text in texts:
        placed = [one.placed(before, len(text.text)) for one in text.citations]
        annotations += [made for one in placed if (made := write_citation(one)) is not None]
        before += len(text.text)
    if annotations:
        message["annotations"] = annotations
    calls = [
        {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}}
        for part in parts
        if isinstance(part, ToolCall)
    ]
    if calls:
        message["tool_calls"] = calls
    choice: dict[str, Any] = {
        "index": index,
        "message": message,
        "logprobs": None if candidate.tokens is None else {"content": write_tokens(candidate.tokens), "refusal": None},
        "finish_reason": REASONS[candidate.stop],
    }
    if candidate.safety is not None:
        choice["content_filter_results"] = candidate.safety
    if candidate.reason is not None:
        choice[OWN_WORD] = candidate.reason
    return choice


def write_thought(thought: Reasoning) -> dict[str, Any]:
    """One of `reasoning_details`; a signature made elsewhere names its origin, so that it finds its way back."""
    if thought.redacted is not None:
        return {"type": "reasoning.encrypted", "data": seal(thought.origin, thought.redacted, DIALECT)}
    signature = None if thought.signature is None else seal(thought.origin, thought.signature, DIALECT)
    return {"type": "reasoning.text", "text": thought.text, "signature": signature}


def write_citation(citation: Citation) -> dict[str, Any] | None:
    """An annotation; None for what does not stand at an address, for which there is none."""
    if citation.url is None:
        return None
    at: dict[str, Any] = {"url": citation.url, "title": citation.title or ""}
    if citation.unit == "answer" and citation.end is not None:
        at |= {"start_index": citation.start or 0, "end_index": citation.end}
    return {"type": "url_citation", "url_citation": at}


def write_tokens(tokens: tuple[Token, ...]) -> list[dict[str, Any]]:
    """The list in `logprobs`."""
    return [_likely(one.said) | {"top_logprobs": [_likely(other) for other in one.instead]} for one in tokens]


def _likely(likely: Likely) -> dict[str, Any]:
    return {"token": likely.token, "logprob": likely.logprob, "bytes": likely.bytes}


def write_usage(usage: Usage) -> dict[str, Any]:
    """The `usage` object."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
            **write_media(usage.media, output=False),
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            **write_media(usage.media, output=True),
        },
    }
