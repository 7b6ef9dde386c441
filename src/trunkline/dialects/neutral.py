"""The neutral form: what a chat request and its answer mean, whichever dialect they are written in.

A dialect reads its own requests and answers into these, and writes its own out of them. What a dialect has and these
have not, its reader names as `Uncarried`; what these have and a target cannot take, its writer names.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from trunkline.messages import Usage


class Uncarried(msgspec.Struct, frozen=True):
    """Something of a request that its target cannot carry.

    Attributes:
        field: where it stands in the caller's request, such as `tools[1]` or `top_k`.
        why: in a few words, what the target lacks.
        hint: whether it alters no answer (a marker for a cache, an identifier): such things are left out everywhere,
            and named in the warning header. All else is refused, unless the use case says to drop it.
    """

    field: str
    why: str
    hint: bool = False


class Role(StrEnum):
    """Who speaks in a message. Results of tools are parts of the user's messages."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Cache(msgspec.Struct, frozen=True):
    """Marks a part as the end of what the provider should keep in its cache, for a time such as `5m` or `1h`."""

    ttl: str | None = None


class Inline:
    """Content in base64 that stands in a request itself: a view of it, as what is so large is not to be copied.

    Attributes:
        letters: as they stand between the quotes of a JSON string, escapes among them.
        head: what goes before them in the same string, such as the beginning of a `data:` URL.
    """

    __slots__ = ("head", "letters")

    def __init__(self, letters: memoryview | bytes, head: str = "") -> None:
        self.letters = memoryview(letters)
        self.head = head

    def behind(self, head: str) -> Inline:
        """Return the same with something before it."""
        return Inline(self.letters, head)

    def text(self) -> str:
        """Return the base64 itself, without the head."""
        return msgspec.json.decode(b"".join((b'"', self.letters, b'"')), type=str)

    def __eq__(self, other: object) -> bool:
        """Whether another is written in the same letters."""
        return isinstance(other, Inline) and (self.head, self.letters) == (other.head, other.letters)

    def __hash__(self) -> int:
        """Of the letters."""
        return hash((self.head, self.letters))

    def __repr__(self) -> str:
        """Tell how long it is: what it is, may be confidential."""
        return f"Inline({self.head!r}, {len(self.letters)} letters)"


class Source(msgspec.Struct, frozen=True):
    """Where content stands that is no plain text: exactly one of `data` (base64), `url`, `file_id` and `text` is set.

    `mime` is its media type, where it is known.
    """

    mime: str | None = None
    data: Inline | None = None
    url: str | None = None
    file_id: str | None = None
    text: str | None = None


class Citation(msgspec.Struct, frozen=True):
    """What a piece of text rests on.

    `start` and `end` count in `unit`: `answer` for characters of the answer; `characters`, `pages` or `blocks` of the
    document; `end` is exclusive.
    """

    unit: str
    start: int | None = None
    end: int | None = None
    quote: str | None = None
    title: str | None = None
    url: str | None = None
    document: int | None = None
    file_id: str | None = None

    def placed(self, before: int, length: int) -> Citation:
        """Return it with the place in the answer of what rests on it.

        Where only the place in a document is told, all of the piece of text rests on it that it came with: so many
        characters, with so many before them.
        """
        if self.unit == "answer":
            return self
        return msgspec.structs.replace(self, unit="answer", start=before, end=before + length)


class Text(msgspec.Struct, frozen=True):
    """Plain text."""

    text: str
    cache: Cache | None = None
    citations: tuple[Citation, ...] = ()


class Image(msgspec.Struct, frozen=True):
    """A picture; `detail` is how closely the model should look (`low`, `high`, `auto`)."""

    source: Source
    detail: str | None = None
    cache: Cache | None = None


class Document(msgspec.Struct, frozen=True):
    """A file to read, such as a PDF. `cite` asks for citations out of it."""

    source: Source
    title: str | None = None
    context: str | None = None
    cite: bool = False
    cache: Cache | None = None


class Audio(msgspec.Struct, frozen=True):
    """Something spoken."""

    source: Source
    cache: Cache | None = None


class ToolCall(msgspec.Struct, frozen=True):
    """The model calls a tool. `arguments` is JSON as the model wrote it, which may be cut or invalid."""

    id: str
    name: str
    arguments: str
    cache: Cache | None = None


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool said to the call `id`. `name` is the tool's, where the dialect says it again."""

    id: str
    parts: tuple[Text | Image | Document, ...] = ()
    is_error: bool = False
    name: str | None = None
    cache: Cache | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """What the model thought before it answered.

    A signature lets its provider, and nobody else, take the thought up again. One that belongs to a tool call stands in
    a part of its own before that call, without text.

    Attributes:
        signature: opaque.
        redacted: the thought itself, encrypted, in place of text.
        origin: the dialect whose provider made signature and redaction.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    origin: str = ""


class Refused(msgspec.Struct, frozen=True):
    """The model's own words on why it will not answer."""

    text: str


Part: TypeAlias = Text | Image | Document | Audio | ToolCall | ToolResult | Reasoning | Refused


class Message(msgspec.Struct, frozen=True):
    """One turn. `name` tells speakers of one role apart; `at` is where it stands in the caller's request."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    at: str = ""


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call; `schema` is the JSON schema of its arguments, as it was written."""

    name: str
    description: str | None = None
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    cache: Cache | None = None


class Choice(StrEnum):
    """Whether the model calls tools: as it sees fit, never, at least one, or the one that is named."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class ToolChoice(msgspec.Struct, frozen=True):
    """`names` is the tool that must be called (NAMED), or the only ones that may be (AUTO, REQUIRED); else empty."""

    choice: Choice
    names: tuple[str, ...] = ()


class ResponseFormat(msgspec.Struct, frozen=True):
    """The answer is to be JSON: of any kind, or by a schema, kept to the letter where `strict`."""

    schema: msgspec.Raw | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Sampling(msgspec.Struct, frozen=True):
    """How words are drawn. None leaves it to the provider.

    `logprobs` asks for log-probabilities at all, `top_logprobs` for so many alternatives to each token.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    answers: int = 1


class Thinking(msgspec.Struct, frozen=True):
    """How much the model is to think first.

    Attributes:
        on: False for not at all, True for as much as it sees fit; None where only the effort is said.
        effort: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`.
        budget: the most tokens to think with.
        shown: whether its thoughts are to be part of the answer; None leaves it to the provider.
    """

    on: bool | None = None
    effort: str | None = None
    budget: int | None = None
    shown: bool | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A chat request.

    Attributes:
        system: what stands before the conversation; the instructions of the use case first.
        max_output: the most tokens of one answer, thoughts included.
        end_customer: as the caller's dialect hands it to the provider.
        cache: marks the last part that can be kept in a cache, whichever that is.
        cache_key: groups requests that share the beginning of their prompts.
        uncarried: what the caller's request has that this form has not.
    """

    messages: tuple[Message, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    response_format: ResponseFormat | None = None
    sampling: Sampling = Sampling()
    max_output: int | None = None
    thinking: Thinking | None = None
    verbosity: str | None = None
    end_customer: str | None = None
    metadata: dict[str, str] = {}
    service_tier: str | None = None
    cache: Cache | None = None
    cache_key: str | None = None
    stream: bool = False
    uncarried: tuple[Uncarried, ...] = ()

    @property
    def marks_caches(self) -> bool:
        """Whether anything in it is marked for the provider's cache."""
        if self.cache is not None or any(text.cache for text in self.system) or any(tool.cache for tool in self.tools):
            return True
        return any(getattr(part, "cache", None) for turn in self.messages for part in turn.parts)


class Stop(StrEnum):
    """Why an answer ended."""

    END = "end"
    LENGTH = "length"
    CONTEXT = "context"
    TOOL = "tool"
    SEQUENCE = "sequence"
    FILTERED = "filtered"
    REFUSED = "refused"
    PAUSED = "paused"
    OTHER = "other"


def own_word(stop: Stop, reason: str | None) -> str | None:
    """Return a provider's word for why an answer ended, where no other dialect has it."""
    return reason if stop is Stop.OTHER else None


class Likely(msgspec.Struct, frozen=True):
    """A token and how likely it was, as a natural logarithm; `bytes` of its text, where they are told."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class Token(msgspec.Struct, frozen=True):
    """A token of the answer, with those that could have stood there."""

    said: Likely
    instead: tuple[Likely, ...] = ()


class Candidate(msgspec.Struct, frozen=True):
    """One of the answers to a request.

    `sequence` is the stop sequence that ended it; `safety` what the provider's filters say of it, as they wrote it;
    `reason` the provider's own word for why it ended, where that is one that no other dialect has (`Stop.OTHER`).
    """

    parts: tuple[Part, ...] = ()
    stop: Stop = Stop.END
    sequence: str | None = None
    tokens: tuple[Token, ...] | None = None
    safety: msgspec.Raw | None = None
    reason: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A buffered answer.

    `usage` is None where the upstream gives none that can be believed; `created` is in seconds since 1970, 0 where it
    is not told.
    """

    id: str = ""
    model: str = ""
    created: int = 0
    candidates: tuple[Candidate, ...] = ()
    usage: Usage | None = None
    service_tier: str | None = None


class Trouble(StrEnum):
    """What an error of an upstream means, whichever words it uses."""

    INVALID = "invalid_request"
    CONTEXT = "context_length_exceeded"
    FILTERED = "content_filter"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    TOO_LARGE = "request_too_large"
    RATE = "rate_limit"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    SERVER = "server_error"


class Failure(msgspec.Struct, frozen=True):
    """An error of an upstream: what it means, and what it said. `param` is the field that it blames."""

    trouble: Trouble
    message: str = ""
    kind: str = ""
    param: str | None = None
    request_id: str = ""


def seal(origin: str, signature: str, own: str) -> str:
    """Return a signature as a dialect's answer carries it: one made elsewhere names its origin.

    Args:
        origin: the dialect whose provider made it.
        signature: opaque.
        own: the dialect that it is written in.
    """
    return signature if origin in ("", own) else f"{origin}:{signature}"


def unseal(sealed: str, own: str, origins: frozenset[str]) -> tuple[str, str]:
    """Return origin and signature of what a caller hands back in its own dialect."""
    origin, colon, signature = sealed.partition(":")
    return (origin, signature) if colon and origin in origins else (own, sealed)
