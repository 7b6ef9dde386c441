"""What a dialect is: the functions that read and write its wire format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from trunkline.dialects import neutral, vectors
from trunkline.dialects.cards import ModelCard
from trunkline.dialects.deltas import Delta
from trunkline.dialects.keeping import Dialogues, KeptAnswers
from trunkline.errors import RatesLeft, Refusal
from trunkline.messages import Asked, Operation, Usage


class Answer(Protocol):
    """A buffered answer as metering sees it."""

    @property
    def model(self) -> str:
        """The model that the upstream says it served."""
        ...

    @property
    def usage(self) -> Usage:
        """What it used."""
        ...


class AnswerStream(Protocol):
    """Follows one streamed answer."""

    done: bool
    failed: bool
    model: str

    def take(self, event: bytes) -> bytes:
        """Read one whole event; return what of it goes to the caller, empty for nothing."""
        ...

    def end(self) -> bytes:
        """Return what the caller still misses of a stream that came to its end."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the answer has come to its end."""
        ...

    def used(self, *, complete: bool) -> Usage:
        """Return what was used, estimated where the upstream did not say."""
        ...


class Encode(Protocol):
    """Writes the body for an upstream of the same dialect."""

    def __call__(
        self,
        asked: Asked,
        model: str,
        instructions: str | None,
        rewrites: Collection[tuple[str, bytes | None]] = ...,
        /,
    ) -> bytes:
        """Return the body; `rewrites` are fields with the JSON to send instead, None to leave them out."""
        ...


class Target(Protocol):
    """What a dialect needs to know of the deployment that it writes a request for."""

    @property
    def upstream_model(self) -> str:
        """The model's name there."""
        ...

    @property
    def output_limit(self) -> str:
        """The field of OpenAI's chat requests in which it takes the bound of an answer's tokens."""
        ...

    @property
    def renames(self) -> tuple[tuple[str, str], ...]:
        """Top-level fields of OpenAI's requests that it takes under another name, each with that."""
        ...

    @property
    def omits(self) -> tuple[str, ...]:
        """Those that are not sent to it."""
        ...

    @property
    def thoughts(self) -> str:
        """The field of OpenAI's messages in which it takes thoughts of earlier turns; empty for none."""
        ...

    @property
    def output_bound(self) -> int:
        """The most tokens of one answer where the caller sets no limit."""
        ...

    @property
    def features(self) -> frozenset[str] | None:
        """What its model can do, as the catalogue says; None where nothing is known."""
        ...

    @property
    def refuses(self) -> frozenset[str]:
        """Parameters that its model refuses, by their neutral names (those of `Sampling`)."""
        ...


class Reader(Protocol):
    """Reads one stream of an upstream."""

    def take(self, event: bytes) -> Sequence[Delta]:
        """Read one whole event.

        Raises:
            Garbled: it is not what the dialect promises.
        """
        ...


class Writer(Protocol):
    """Writes one stream for a caller."""

    def write(self, delta: Delta) -> bytes:
        """Return the events that tell it, empty where there is nothing to tell yet. `Failed` is never given."""
        ...


class Written(msgspec.Struct, frozen=True):
    """A request as it is sent, and what of the caller's request is not in it."""

    body: bytes
    uncarried: tuple[neutral.Uncarried, ...] = ()


class ChatCodec(msgspec.Struct, frozen=True):
    """A dialect's way from and to the neutral form, for chat.

    Attributes:
        read_request: of a caller, from the fields in `asked`. Raises Malformed.
        write_request: for an upstream.
        read_answer: of an upstream, buffered. Raises Garbled.
        write_answer: for the caller who asked, buffered.
        reader: makes a reader of one stream of an upstream.
        writer: makes a writer of one stream for the caller who asked.
    """

    read_request: Callable[[Asked], neutral.Conversation]
    write_request: Callable[[neutral.Conversation, Target], Written]
    read_answer: Callable[[bytes], neutral.Answer]
    write_answer: Callable[[Asked, neutral.Answer], bytes]
    reader: Callable[[], Reader]
    writer: Callable[[Asked], Writer]


class EmbedCodec(msgspec.Struct, frozen=True):
    """A dialect's way from and to the neutral form, for embeddings; as `ChatCodec`, but that nothing is streamed."""

    read_request: Callable[[Asked], vectors.Texts]
    write_request: Callable[[vectors.Texts, Target], Written]
    read_answer: Callable[[bytes], vectors.Vectors]
    write_answer: Callable[[Asked, vectors.Vectors], bytes]


def no_such_door(path: str) -> Operation | None:
    """Stand for dialects whose paths are all written out."""
    del path
    return None


class Suit(msgspec.Struct, frozen=True):
    """What the clients of a provider that speaks a dialect of another's need beyond it.

    Attributes:
        client: what stands in the `user-agent` of such a client.
        add: an answer with vectors that has it; all else in it stays as it was written.
    """

    client: bytes
    add: Callable[[bytes], bytes]


class Counting(msgspec.Struct, frozen=True):
    """How a dialect counts the tokens of a prompt.

    Attributes:
        write: the answer to a caller who asked.
        read: the tokens that an upstream's answer tells. Raises Garbled.
        everywhere: whether all who speak the dialect count.
    """

    write: Callable[[int], bytes]
    read: Callable[[bytes], int]
    everywhere: bool = True


class Models(msgspec.Struct, frozen=True):
    """How a dialect lists what may be named in `model`.

    Attributes:
        path: where callers list them; one of them has its name behind it.
        write_list: all of them.
        write_one: one of them.
    """

    path: str
    write_list: Callable[[Sequence[ModelCard]], bytes]
    write_one: Callable[[ModelCard], bytes]


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One wire format: how its requests, answers, streams and errors are read and written.

    Attributes:
        doors: its paths on the data path, and what is asked for there.
        find_door: the same for paths that hold a model's name.
        path: where an upstream takes a request, behind its base path; from what is asked and the model's name there.
        decode: reads a caller's body, from a path with a query. Raises Malformed.
        encode: writes it again for an upstream of the same dialect.
        limit: the field, with its JSON, that bounds each answer of a request which does not do so itself.
        read_answer: meters a buffered answer of the same dialect. Raises Garbled.
        follow: meters a stream of the same dialect.
        estimate: the usage of a call, from its prompt and the characters that were produced.
        refusal_body: a refusal, for a caller.
        error_event: the same in the midst of a stream.
        read_failure: what an upstream's error means, from its status and body.
        chat: its way from and to the neutral form; None where it has no chat.
        embeddings: the same for embeddings.
        counting: how it counts the tokens of a prompt; None where that cannot be asked.
        models: how it lists what may be named; None where it has no such list.
        kept: how it has answers kept and goes on from them; None where it does not.
        dialogues: how it has conversations with ids of their own; None where it has none.
        suit: what some clients need in answers that pass as they are; None where none does.
        mark: a header, in lower case, that its clients alone send: tells it apart where dialects share a path.
        marked: what stands in that header, where other clients send it, too.
        rate_lines: the header lines that tell a caller what is left of its limits; None where it has none.
        forwards: headers of a caller, in lower case, that go on to an upstream of the same dialect.
    """

    name: str
    doors: dict[str, Operation]
    find_door: Callable[[str], Operation | None] = no_such_door
    path: Callable[[Asked, str], str]
    decode: Callable[[Operation, bytes, str, str], Asked]
    encode: Encode
    limit: Callable[[Asked, Target, int], tuple[str, bytes]]
    read_answer: Callable[[Asked, bytes], Answer]
    follow: Callable[[Asked], AnswerStream]
    estimate: Callable[[Asked, int], Usage]
    refusal_body: Callable[[Refusal], bytes]
    error_event: Callable[[Refusal], bytes]
    read_failure: Callable[[int, bytes], neutral.Failure]
    chat: ChatCodec | None = None
    embeddings: EmbedCodec | None = None
    counting: Counting | None = None
    models: Models | None = None
    kept: KeptAnswers | None = None
    dialogues: Dialogues | None = None
    suit: Suit | None = None
    mark: bytes = b""
    marked: bytes = b""
    forwards: tuple[bytes, ...] = ()
    rate_lines: Callable[[RatesLeft], bytes] | None = None


class Door(msgspec.Struct, frozen=True):
    """A path on the data path: the dialect that callers speak there, and what they ask for."""

    dialect: Dialect
    operation: Operation
