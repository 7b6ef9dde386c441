"""Buffered answers from and to the neutral form. Source: Gemini API reference, "GenerateContentResponse"."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, Final
from uuid import uuid4

import msgspec

from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.gemini.cited import CitationMetadata, Grounding, read_citations, write_grounding
from trunkline.dialects.gemini.proto import DIALECT, seal_bytes
from trunkline.dialects.gemini.usage import read_usage, write_usage
from trunkline.dialects.gemini.write_generate import as_args
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
)
from trunkline.errors import Garbled
from trunkline.messages import Asked

STOPS: Final = {
    "STOP": Stop.END,
    "MAX_TOKENS": Stop.LENGTH,
    "SAFETY": Stop.FILTERED,
    "RECITATION": Stop.FILTERED,
    "LANGUAGE": Stop.FILTERED,
    "BLOCKLIST": Stop.FILTERED,
    "PROHIBITED_CONTENT": Stop.FILTERED,
    "SPII": Stop.FILTERED,
    "IMAGE_SAFETY": Stop.FILTERED,
    "IMAGE_PROHIBITED_CONTENT": Stop.FILTERED,
    "IMAGE_RECITATION": Stop.FILTERED,
    "ESCALATION": Stop.FILTERED,
    "MODEL_ARMOR": Stop.FILTERED,
    "CONTINUATION": Stop.PAUSED,
}
REASONS: Final = {
    Stop.END: "STOP",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.CONTEXT: "MAX_TOKENS",
    Stop.TOOL: "STOP",
    Stop.SEQUENCE: "STOP",
    Stop.FILTERED: "SAFETY",
    Stop.REFUSED: "SAFETY",
    Stop.PAUSED: "OTHER",
    Stop.OTHER: "OTHER",
}


class FunctionCall(msgspec.Struct, frozen=True):
    """A call."""

    name: str = ""
    id: str | None = None
    args: msgspec.Raw = ABSENT

    @property
    def arguments(self) -> str:
        """Its arguments, as JSON."""
        return "{}" if bytes(self.args) in NOTHING else bytes(self.args).decode()


class ReadPart(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an answer."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None


class ReadContent(msgspec.Struct, frozen=True):
    """What a candidate says."""

    parts: tuple[ReadPart, ...] | None = None


class ReadLikely(msgspec.Struct, frozen=True, rename="camel"):
    """A token with its log-probability."""

    token: str = ""
    log_probability: float = 0.0

    def neutral(self) -> Likely:
        """Return the same in the neutral form."""
        return Likely(self.token, self.log_probability)


class Top(msgspec.Struct, frozen=True):
    """The likeliest tokens at one place."""

    candidates: tuple[ReadLikely, ...] | None = None


class Logprobs(msgspec.Struct, frozen=True, rename="camel"):
    """How likely the tokens were."""

    chosen_candidates: tuple[ReadLikely, ...] | None = None
    top_candidates: tuple[Top, ...] | None = None


class ReadCandidate(msgspec.Struct, frozen=True, rename="camel"):
    """One of the answers, or a piece of one."""

    content: ReadContent | None = None
    index: int = 0
    finish_reason: str | None = None
    finish_message: str | None = None
    safety_ratings: msgspec.Raw = ABSENT
    citation_metadata: CitationMetadata | None = None
    grounding_metadata: Grounding | None = None
    logprobs_result: Logprobs | None = None


class Blocked(msgspec.Struct, frozen=True, rename="camel"):
    """Of what is said of the prompt, why it is not answered."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class ReadResponse(msgspec.Struct, frozen=True, rename="camel"):
    """An answer, or an event of its stream."""

    candidates: tuple[ReadCandidate, ...] = ()
    prompt_feedback: msgspec.Raw = ABSENT
    usage_metadata: msgspec.Raw = ABSENT
    model_version: str = ""
    response_id: str = ""
    error: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(ReadResponse).decode
_decode_blocked = msgspec.json.Decoder(Blocked).decode
_encode = msgspec.json.Encoder().encode


def read_answer(body: bytes) -> Answer:
    """Read a buffered answer; a prompt that was blocked has one candidate, which was filtered.

    Raises:
        Garbled: it is not what the reference describes.
    """
    try:
        response = _decode(body)
        blocked = blocked_of(response)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = body[:200].decode(errors="replace")
        raise Garbled("the answer is none of Gemini's", inside=f"no such answer: {error}", said=said) from error
    ids = Ids(response.response_id)
    candidates = tuple(_candidate(one, ids) for one in sorted(response.candidates, key=_index))
    if not candidates:
        if blocked is None:
            raise Garbled("the answer has no candidates", inside=body[:200].decode(errors="replace"))
        parts = (Refused(blocked.block_reason_message),) if blocked.block_reason_message else ()
        candidates = (Candidate(parts, Stop.FILTERED, safety=response.prompt_feedback),)
    return Answer(
        id=response.response_id,
        model=response.model_version,
        candidates=candidates,
        usage=read_usage(response.usage_metadata),
    )


def blocked_of(response: ReadResponse) -> Blocked | None:
    """Return why a prompt is not answered; None where it is.

    Raises:
        msgspec.DecodeError: what is said of it is no such object.
    """
    if bytes(response.prompt_feedback) in NOTHING:
        return None
    blocked = _decode_blocked(response.prompt_feedback)
    return None if blocked.block_reason is None else blocked


class Ids:
    """Names calls that have no id of their own, each of an answer apart from those of all others."""

    __slots__ = ("_count", "_stem")

    def __init__(self, response_id: str) -> None:
        self._stem = response_id
        self._count = 0

    def of(self, call: FunctionCall) -> str:
        """Return a call's id."""
        if call.id:
            return call.id
        self._stem = self._stem or uuid4().hex
        self._count += 1
        return f"call_{self._stem}_{self._count}"


def _index(candidate: ReadCandidate) -> int:
    return candidate.index


def _candidate(read: ReadCandidate, ids: Ids) -> Candidate:
    parts = [
        part for one in (read.content.parts or () if read.content is not None else ()) for part in _parts(one, ids)
    ]
    text = "".join(part.text for part in parts if isinstance(part, Text))
    citations = read_citations(read.citation_metadata, read.grounding_metadata, text)
    if citations:
        parts = _cite(parts, citations)
    stop = stop_of(read.finish_reason, calls=any(isinstance(part, ToolCall) for part in parts))
    if stop is Stop.FILTERED and read.finish_message:
        parts.append(Refused(read.finish_message))
    return Candidate(
        parts=tuple(parts),
        stop=stop,
        tokens=read_tokens(read.logprobs_result),
        safety=None if bytes(read.safety_ratings) in NOTHING else read.safety_ratings,
        reason=own_word(stop, read.finish_reason),
    )


def stop_of(reason: str | None, *, calls: bool) -> Stop:
    """Return why an answer ended: one with calls has the same reason as any other."""
    stop = STOPS.get(reason or "STOP", Stop.OTHER)
    return Stop.TOOL if calls and stop is Stop.END else stop


def _parts(read: ReadPart, ids: Ids) -> list[Part]:
    if read.thought:
        return [Reasoning(read.text or "", read.thought_signature, origin=DIALECT)]
    parts: list[Part] = []
    if read.thought_signature:
        parts.append(Reasoning(signature=read.thought_signature, origin=DIALECT))
    if read.function_call is not None:
        parts.append(ToolCall(ids.of(read.function_call), read.function_call.name, read.function_call.arguments))
    elif read.text:
        parts.append(Text(read.text))
    return parts


def _cite(parts: list[Part], citations: tuple[Citation, ...]) -> list[Part]:
    """Hang what the answer rests on to its last text: places are those of the whole answer."""
    for place in range(len(parts) - 1, -1, -1):
        part = parts[place]
        if isinstance(part, Text):
            parts[place] = msgspec.structs.replace(part, citations=citations)
            break
    return parts


def read_tokens(read: Logprobs | None) -> tuple[Token, ...] | None:
    """The tokens of an answer with their log-probabilities."""
    if read is None or read.chosen_candidates is None:
        return None
    tops = (tuple(one.neutral() for one in top.candidates or ()) for top in read.top_candidates or ())
    paired = zip_longest((one.neutral() for one in read.chosen_candidates), tops, fillvalue=None)
    return tuple(Token(chosen, top or ()) for chosen, top in paired if isinstance(chosen, Likely))


def write_answer(asked: Asked, answer: Answer) -> bytes:
    """Write a buffered answer for its caller."""
    written: dict[str, Any] = {
        "candidates": [_write_candidate(index, one) for index, one in enumerate(answer.candidates)],
        "modelVersion": answer.model or asked.model,
    }
    if answer.id:
        written["responseId"] = answer.id
    if answer.usage is not None:
        written["usageMetadata"] = write_usage(answer.usage)
    return _encode(written)


def _write_candidate(index: int, candidate: Candidate) -> dict[str, Any]:
    stop = candidate.stop
    if stop is Stop.END and any(isinstance(part, Refused) for part in candidate.parts):
        stop = Stop.REFUSED
    written: dict[str, Any] = {
        "content": {"parts": write_parts(candidate.parts), "role": "model"},
        "finishReason": REASONS[stop],
        "index": index,
    }
    if candidate.reason is not None:
        written["finishMessage"] = candidate.reason
    texts = [part for part in candidate.parts if isinstance(part, Text)]
    citations, before = [], 0
    for text in texts:
        citations += [one.placed(before, len(text.text)) for one in text.citations]
        before += len(text.text)
    grounding = write_grounding(citations, "".join(text.text for text in texts))
    if grounding is not None:
        written["groundingMetadata"] = grounding
    if candidate.tokens is not None:
        written["logprobsResult"] = write_tokens(candidate.tokens)
    if candidate.safety is not None and bytes(candidate.safety)[:1] == b"[":
        written["safetyRatings"] = candidate.safety
    return written


def write_parts(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    """The parts of an answer; a signature without a thought is that of the part behind it."""
    written: list[dict[str, Any]] = []
    signature: str | None = None
    for part in parts:
        if isinstance(part, Reasoning):
            if part.redacted is not None or part.text:
                written.append(write_thought(part))
            elif part.signature is not None:
                signature = seal_bytes(part.origin, part.signature)
            continue
        if isinstance(part, ToolCall):
            made: dict[str, Any] = {"functionCall": write_call(part.id, part.name, part.arguments)}
        else:
            made = {"text": getattr(part, "text", "")}
        if signature is not None:
            made["thoughtSignature"] = signature
            signature = None
        written.append(made)
    if signature is not None:
        written.append({"text": "", "thoughtSignature": signature})
    return written


def write_thought(thought: Reasoning) -> dict[str, Any]:
    """A part that is a thought; one that is encrypted has no text."""
    made: dict[str, Any] = {"text": thought.text, "thought": True}
    if thought.redacted is not None:
        made["thoughtSignature"] = seal_bytes(thought.origin, thought.redacted, redacted=True)
    elif thought.signature is not None:
        made["thoughtSignature"] = seal_bytes(thought.origin, thought.signature)
    return made


def write_call(number: str, name: str, arguments: str) -> dict[str, Any]:
    """A call."""
    called: dict[str, Any] = {"name": name, "args": as_args(arguments)}
    return called | {"id": number} if number else called


def write_tokens(tokens: tuple[Token, ...]) -> dict[str, Any]:
    """The `logprobsResult` object."""
    return {
        "chosenCandidates": [_likely(one.said) for one in tokens],
        "topCandidates": [{"candidates": [_likely(other) for other in one.instead]} for one in tokens],
    }


def _likely(likely: Likely) -> dict[str, Any]:
    return {"token": likely.token, "logProbability": likely.logprob}
