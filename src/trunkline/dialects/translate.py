"""From one dialect to another by way of the neutral form: the request there, the answer back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from trunkline.dialects import neutral
from trunkline.dialects.bodies import rewrite
from trunkline.dialects.deltas import Delta, Ended, Failed, PartStarted, Piece, Started, Stopped, Used
from trunkline.dialects.dialect import Answer, AnswerStream, ChatCodec, Dialect, EmbedCodec, Target, Written
from trunkline.dialects.fit import fit
from trunkline.dialects.neutral import Failure, Trouble
from trunkline.errors import (
    Malformed,
    NotCarried,
    RateLimited,
    Refusal,
    TooLarge,
    Unavailable,
    UpstreamFailed,
    UpstreamTooSlow,
)
from trunkline.messages import Asked, Operation, Usage

Rewrites = Iterable[tuple[str, bytes | None]]
REFUSED_CODE: Final = "upstream_refused"
BROKE_CODE: Final = "upstream_broke"
CONTEXT_CODE: Final = "context_length_exceeded"
FILTER_CODE: Final = "content_filter"
RATE_CODE: Final = "upstream_rate_limit"
OVERLOADED_CODE: Final = "upstream_overloaded"
MISSING_CODE: Final = "upstream_not_found"
KEY_CODE: Final = "upstream_key_refused"
TIMEOUT_CODE: Final = "upstream_timeout"
CODES: Final = {
    Trouble.CONTEXT: CONTEXT_CODE,
    Trouble.FILTERED: FILTER_CODE,
    Trouble.RATE: RATE_CODE,
    Trouble.QUOTA: RATE_CODE,
    Trouble.OVERLOADED: OVERLOADED_CODE,
    Trouble.TIMEOUT: TIMEOUT_CODE,
}
"""What callers are told that an upstream's error means; for all others there are the first two."""


_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Metered(msgspec.Struct, frozen=True):
    """A buffered answer as metering sees it."""

    model: str
    usage: Usage


def translate(
    asked: Asked, way: tuple[Dialect, Dialect], target: Target, instructions: str | None, rewrites: Rewrites
) -> Written:
    """Write a request for an upstream of another dialect.

    Args:
        asked: the request, in the first dialect.
        way: from which dialect into which.
        target: the deployment.
        instructions: of the use case; they go before the caller's own.
        rewrites: fields of the caller's that policy sends with another value, as JSON, or leaves out (None).

    Raises:
        NotCarried: there is no way for this operation.
        Malformed: the request is not as its dialect has it.
    """
    asked = msgspec.structs.replace(asked, fields=rewrite(asked.fields, rewrites))
    if asked.operation is Operation.EMBEDDINGS:
        ours, theirs = _embed_codecs(way)
        return theirs.write_request(ours.read_request(asked), target)
    door, far = _codecs(asked, way)
    conversation = _instructed(door.read_request(asked), instructions)
    return far.write_request(fit(conversation, target), target)


def translate_count(
    asked: Asked, way: tuple[Dialect, Dialect], target: Target, instructions: str | None, rewrites: Rewrites
) -> tuple[Asked, Written]:
    """Write a request for the tokens of a prompt, for an upstream that counts in another dialect; as `translate`.

    What bears on the answer alone is left out.

    Returns:
        What is asked there, and how it is written.
    """
    door, far = way
    if door.chat is None or far.chat is None:
        raise _no_way(asked.operation, way)
    asked = msgspec.structs.replace(asked, fields=rewrite(asked.fields, rewrites))
    conversation = _instructed(door.chat.read_request(asked), instructions)
    prompt = msgspec.structs.replace(
        conversation,
        sampling=neutral.Sampling(),
        max_output=None,
        end_customer=None,
        metadata={},
        service_tier=None,
        cache_key=None,
        verbosity=None,
        stream=False,
    )
    written = far.chat.write_request(fit(prompt, target), target)
    there = Asked(asked.operation, far.name, target.upstream_model, _decode_fields(written.body), counts_only=True)
    return there, Written(far.encode(there, target.upstream_model, None, ()), written.uncarried)


def _instructed(conversation: neutral.Conversation, instructions: str | None) -> neutral.Conversation:
    if not instructions:
        return conversation
    return msgspec.structs.replace(conversation, system=(neutral.Text(instructions), *conversation.system))


def lacks(asked: Asked, dialect: Dialect, target: Target) -> bool:
    """Whether the target's model cannot do something of a request in its own dialect."""
    if dialect.chat is None:
        return False
    conversation = dialect.chat.read_request(asked)
    return fit(conversation, target) is not conversation


def _codecs(asked: Asked, way: tuple[Dialect, Dialect]) -> tuple[ChatCodec, ChatCodec]:
    door, far = way
    if asked.counts_only or asked.operation is not Operation.CHAT or door.chat is None or far.chat is None:
        raise _no_way(asked.operation, way)
    return door.chat, far.chat


def _embed_codecs(way: tuple[Dialect, Dialect]) -> tuple[EmbedCodec, EmbedCodec]:
    door, far = way
    if door.embeddings is None or far.embeddings is None:
        raise _no_way(Operation.EMBEDDINGS, way)
    return door.embeddings, far.embeddings


def _no_way(operation: Operation, way: tuple[Dialect, Dialect]) -> NotCarried:
    what = f"{operation.value} cannot be translated from {way[0].name} to {way[1].name}"
    return NotCarried(what, fields=("model",))


class Bridge:
    """The way back: answers of an upstream in one dialect, for a caller of another."""

    __slots__ = ("_asked", "_door", "_far")

    def __init__(self, asked: Asked, door: Dialect, far: Dialect) -> None:
        self._asked = asked
        self._door = door
        self._far = far

    def answer(self, body: bytes) -> tuple[Answer, bytes]:
        """Return what metering reads of a buffered answer, and the answer for the caller.

        Raises:
            Garbled: it is not what the upstream's dialect promises.
        """
        if self._asked.operation is Operation.EMBEDDINGS:
            return self._vectors(body)
        if self._asked.counts_only:
            return self._count(body)
        door, far = _codecs(self._asked, (self._door, self._far))
        answer = far.read_answer(body)
        usage = answer.usage
        if usage is None:
            usage = self._door.estimate(self._asked, sum(map(_size, answer.candidates)))
        return Metered(answer.model, usage), door.write_answer(self._asked, answer)

    def _vectors(self, body: bytes) -> tuple[Answer, bytes]:
        ours, theirs = _embed_codecs((self._door, self._far))
        answer = theirs.read_answer(body)
        usage = answer.usage if answer.usage is not None else self._door.estimate(self._asked, 0)
        return Metered(answer.model, usage), ours.write_answer(self._asked, answer)

    def _count(self, body: bytes) -> tuple[Answer, bytes]:
        ours, theirs = self._door.counting, self._far.counting
        if ours is None or theirs is None:
            raise _no_way(self._asked.operation, (self._door, self._far))
        return Metered("", Usage()), ours.write(theirs.read(body))

    def follow(self) -> AnswerStream:
        """Follow a stream."""
        return _BridgedStream(self._asked, self._door, self._far)


def refusal_of(failure: Failure) -> Refusal:
    """Return the refusal that tells a caller what an upstream said of the request itself."""
    message = failure.message or f"The deployment refused the request: {failure.trouble.value}."
    if failure.trouble is Trouble.TOO_LARGE:
        return TooLarge(message)
    return Malformed(message, code=CODES.get(failure.trouble, REFUSED_CODE))


def broken_by(failure: Failure) -> Refusal:
    """Return the refusal that ends a stream which its upstream ended with an error."""
    message = failure.message or f"The deployment ended the answer with an error: {failure.trouble.value}."
    kind = _BREAKS.get(failure.trouble, UpstreamFailed)
    return kind(message, code=CODES.get(failure.trouble, BROKE_CODE))


_BREAKS: Final[dict[Trouble, type[Refusal]]] = {
    Trouble.CONTEXT: Malformed,
    Trouble.FILTERED: Malformed,
    Trouble.INVALID: Malformed,
    Trouble.OVERLOADED: Unavailable,
    Trouble.QUOTA: RateLimited,
    Trouble.RATE: RateLimited,
    Trouble.TIMEOUT: UpstreamTooSlow,
}


class _BridgedStream:
    """Reads a stream in one dialect and writes it in another."""

    __slots__ = (
        "_asked",
        "_door",
        "_finished",
        "_produced",
        "_read",
        "_usage",
        "_write",
        "done",
        "failed",
        "model",
    )

    def __init__(self, asked: Asked, door: Dialect, far: Dialect) -> None:
        door_codec, far_codec = _codecs(asked, (door, far))
        self._asked = asked
        self._door = door
        self._read = far_codec.reader().take
        self._write = door_codec.writer(asked).write
        self._usage: Usage | None = None
        self._produced = 0
        self._finished = 0
        self.done = False
        self.failed = False
        self.model = ""

    def take(self, event: bytes) -> bytes:
        """Read one whole event; return the caller's events that tell the same.

        Raises:
            Garbled: it is not what the upstream's dialect promises.
        """
        if self.failed:
            return b""
        deltas = self._read(event)
        if len(deltas) == 1:
            return self._tell(deltas[0])
        return b"".join(map(self._tell, deltas))

    def _tell(self, delta: Delta) -> bytes:
        if isinstance(delta, Piece):
            self._produced += len(delta.text)
        elif not isinstance(delta, PartStarted):
            if isinstance(delta, Failed):
                return self._fail(delta.failure)
            self._note(delta)
        return self._write(delta)

    def _note(self, delta: Delta) -> None:
        match delta:
            case Started():
                self.model = delta.model
            case Used():
                self._usage = delta.usage
            case Stopped():
                self._finished += 1
            case Ended():
                self.done = True

    def _fail(self, failure: Failure) -> bytes:
        self.failed = True
        return self._door.error_event(broken_by(failure))

    def end(self) -> bytes:
        """Return the end, where the upstream did not tell it."""
        if self.done:
            return b""
        self.done = True
        return self._write(Ended())

    @property
    def whole(self) -> bool:
        """Whether every answer asked for has come to its end."""
        return not self.failed and (self.done or self._finished >= self._asked.answers)

    def used(self, *, complete: bool) -> Usage:
        """Return the upstream's own usage; of a cut stream the larger of its last word and what was counted."""
        if complete and self._usage is not None:
            return self._usage
        counted = self._door.estimate(self._asked, self._produced)
        if self._usage is None:
            return counted
        output = max(self._usage.output, counted.output)
        return msgspec.structs.replace(self._usage, output=output, estimated=True)


def _size(candidate: neutral.Candidate) -> int:
    size = 0
    for part in candidate.parts:
        match part:
            case neutral.Text() | neutral.Reasoning() | neutral.Refused():
                size += len(part.text)
            case neutral.ToolCall():
                size += len(part.name) + len(part.arguments)
    return size
