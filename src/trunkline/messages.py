"""What all dialects meet in: the parts of a request that policy and metering read, and usage by kind."""

from __future__ import annotations

from enum import StrEnum

import msgspec

SHADOW = "shadow "
"""How the name of a trial begins that copies calls."""


class Operation(StrEnum):
    """What a caller asks a model to do; a dialect's path names it."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


class Media(msgspec.Struct, frozen=True):
    """Tokens of sound and of pictures, where the upstream tells them apart: each is part of the count in its name.

    `cached_audio` and `cached_image` are part of the input's audio and images as well.
    """

    input_audio: int = 0
    input_image: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_audio: int = 0
    output_image: int = 0


class Usage(msgspec.Struct, frozen=True):
    """Tokens by kind, as billed.

    `input` counts every prompt token, those read from and written to the provider's cache included; `output` counts
    every produced token, reasoning included. `estimated` marks counts that did not come from the upstream.
    `cache_write_long` is how many of `cache_write` the provider keeps for an hour instead of minutes. `media` says what
    of all these is no text; None where all is, or nobody told.
    """

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    estimated: bool = False
    cache_write_long: int = 0
    media: Media | None = None


class Thoughts(msgspec.Struct, frozen=True):
    """The prompt with what a model thought in earlier turns, for the one deployment that can take that up again.

    Attributes:
        deployment: which one that is.
        field: the field of the request that holds the prompt.
        value: the prompt as JSON; the request itself has it without the thoughts.
    """

    deployment: str
    field: str
    value: bytes


class Asked(msgspec.Struct, frozen=True):
    """A decoded request: what policy, routing and metering need of it, and the bytes it came in.

    Attributes:
        dialect: the front door's dialect, by its name in the registry.
        model: what the caller named: a use case, or a model that a use case declares as direct.
        fields: the body's top-level fields, each as it was written; sending writes them back.
        data_class: the class the caller raised the call to, or None.
        end_customer: whom the caller's product serves, or None.
        stream: whether the answer is to come in pieces.
        events: whether a stream is to come as server-sent events; otherwise as one JSON array.
        wants_usage: whether the caller asked for usage on the stream.
        output_limit: the most tokens the caller lets one answer have, or None.
        answers: how many answers are asked for (`n`).
        prompt_bound: no fewer than the prompt's tokens: its bytes.
        counts_only: whether nothing is to be produced: the prompt's tokens are to be counted, which costs nothing.
        forwarded: header lines that go on to a deployment of the same dialect, each ended by CR LF.
        patience: seconds until the caller must have the answer's beginning, or it hangs up; None where it did not say.
        time_limit: seconds until the caller must have the whole answer; None where it did not say.
        heartbeat: seconds between comments on a stream, by which the caller sees that it is alive; None for none.
        session: what calls of one conversation have in common, in the caller's words; they go to one deployment.
        stateful: whether the dialect has answers kept, and goes on from them.
        thoughts: of earlier turns that were kept here, where there are some.
        dropped: fields of the caller's that are left out at every deployment.
        suited: whether the answer is to have what the caller's client asks for beyond the dialect (`Dialect.suit`).
        background: whether the answer is to be worked on without its caller, who fetches it later.
    """

    operation: Operation
    dialect: str
    model: str
    fields: dict[str, msgspec.Raw]
    data_class: str | None = None
    end_customer: str | None = None
    stream: bool = False
    events: bool = True
    wants_usage: bool = False
    output_limit: int | None = None
    answers: int = 1
    prompt_bound: int = 0
    forwarded: bytes = b""
    counts_only: bool = False
    patience: float | None = None
    time_limit: float | None = None
    heartbeat: float | None = None
    session: str | None = None
    stateful: bool = False
    thoughts: Thoughts | None = None
    dropped: tuple[str, ...] = ()
    background: bool = False
    suited: bool = False
