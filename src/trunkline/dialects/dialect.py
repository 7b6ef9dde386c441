"""What a dialect is: the functions that read and write its wire format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from trunkline.dialects import neutral, vectors
from trunkline.dialects.cards import ModelCard
from trunkline.dialects.deltas import Delta
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


class Wish(msgspec.Struct, frozen=True):
    """What a request says of answers that are kept.

    Attributes:
        store: whether its own answer is to be kept; None where it does not say.
        before: the id of the answer that it goes on from.
        dialogue: the id of the conversation that it goes on with.
        references: by where it stands in the request, the id of each kept item that it refers to.
    """

    store: bool | None = None
    before: str | None = None
    dialogue: str | None = None
    references: dict[str, str] = {}

    @property
    def field(self) -> str:
        """The first field by which it refers to something kept; empty where it does not."""
        named = ("previous_response_id" if self.before else "", "conversation" if self.dialogue else "")
        return next(filter(None, (*named, *self.references)), "")


class Past(msgspec.Struct, frozen=True):
    """What was said earlier, as it was kept: items, then those of an answer, and which deployment answered."""

    items: bytes
    answer: bytes
    deployment: str


class Before(msgspec.Struct, frozen=True):
    """All that a call goes on from.

    Attributes:
        said: oldest first.
        referred: by its id, where each item was found that the call refers to.
    """

    said: Sequence[Past] = ()
    referred: Mapping[str, Past] = {}


class Marks(msgspec.Struct, frozen=True):
    """What the exchange writes into an answer: its id, the one before, its conversation, if it is kept, or late."""

    id: str
    before: str | None
    kept: bool
    dialogue: str | None = None
    late: bool = False


class Single(msgspec.Struct, frozen=True):
    """One item with its id, as JSON."""

    id: str
    content: bytes


class Page(msgspec.Struct, frozen=True):
    """Which items of a list a caller wants."""

    limit: int
    after: str | None
    newest_first: bool


class LateAnswers(msgspec.Struct, frozen=True):
    """How a dialect tells of answers that are worked on without their callers.

    Attributes:
        begun: the answer as it is told at once, from its request, its marks and when it was made (seconds since 1970).
        begun_event: the event with it that begins a stream.
        running: the same while it is worked on.
        cancelled: the same where it was cancelled.
        failed: the same, or what an upstream told, where it failed of something.
        is_late: whether an answer was made so.
        error_event: the event that ends a stream that cannot go on being told.
        ending: the event that ends a stream without a whole answer, from the answer as it is told.
        number: an event under its number; nothing where it has no data, or is the one that began the stream.
        fails: what an event, or a body, says that an answer failed of; None where it says nothing of the kind.
        following: the number of the event after which a query wants the stream told again; None where it wants none.
            Raises Malformed.
    """

    begun: Callable[[Asked, Marks, int], bytes]
    begun_event: Callable[[bytes], bytes]
    running: Callable[[bytes], bytes]
    cancelled: Callable[[bytes], bytes]
    failed: Callable[[bytes, Refusal], bytes]
    is_late: Callable[[bytes], bool]
    error_event: Callable[[Refusal], bytes]
    ending: Callable[[bytes], bytes]
    number: Callable[[bytes, int], bytes]
    fails: Callable[[bytes], Refusal | None]
    following: Callable[[str], int | None]


class KeptAnswers(msgspec.Struct, frozen=True):
    """How a dialect has answers kept by whoever answers, and goes on from them.

    Attributes:
        path: where kept answers are found; each has its id behind it.
        wish: what a request says of it. Raises Malformed.
        mint: makes the id of an answer.
        is_ours: whether an id is of that make.
        unkept: the request, so that no deployment keeps its answer.
        resume: the same, with all that was said earlier before it; none of the exchange's ids is left in it.
        items: what a request asks by itself, as it is kept: each item with an id.
        ids: those by which items of a request and of its answer can be referred to.
        split: the items of a request and of its answer, one by one, none of them under one of the ids that are given.
        mark: a whole answer with other marks; None where it is none that can be gone on from.
        mark_event: one event of a stream with other marks, and whether it is the last one of a whole answer.
        find: the answer that the last event of a stream holds.
        write_items: a page of the prompt of an answer, from its turns and the query. Raises Malformed.
        write_deleted: what tells that an answer was erased.
        late: answers that are worked on without their callers.
    """

    path: str
    wish: Callable[[Asked], Wish]
    mint: Callable[[], str]
    is_ours: Callable[[str], bool]
    unkept: Callable[[Asked], Asked]
    resume: Callable[[Asked, Before], Asked]
    items: Callable[[Asked, Before], bytes]
    ids: Callable[[bytes, bytes], Sequence[str]]
    split: Callable[[bytes, bytes, Collection[str]], Sequence[Single]]
    mark: Callable[[bytes, Marks], bytes | None]
    mark_event: Callable[[bytes, Marks], tuple[bytes, bool]]
    find: Callable[[bytes], bytes]
    write_items: Callable[[Sequence[Past], str], bytes]
    write_deleted: Callable[[str], bytes]
    late: LateAnswers


class Dialogues(msgspec.Struct, frozen=True):
    """How a dialect has conversations with ids of their own, which callers make and put items into.

    Attributes:
        path: where they are made; each has its id behind it, its items below.
        items: what stands behind the id where its items are.
        mint: makes the id of one.
        is_ours: whether an id is of that make.
        is_item: whether something may be the id of an item.
        read_new: the items and the metadata of a new one. Raises Malformed.
        read_metadata: the metadata that one is to have. Raises Malformed.
        read_items: the items that one is to get. Raises Malformed.
        read_page: which items a query asks for. Raises Malformed.
        write: one of them, made at a time in nanoseconds since 1970, with its metadata.
        write_page: items as a list, so many at most; one more says that there are more.
        write_deleted: what tells that one was erased.
    """

    path: str
    items: str
    mint: Callable[[], str]
    is_ours: Callable[[str], bool]
    is_item: Callable[[str], bool]
    read_new: Callable[[bytes], tuple[Sequence[Single], bytes]]
    read_metadata: Callable[[bytes], bytes]
    read_items: Callable[[bytes], Sequence[Single]]
    read_page: Callable[[str], Page]
    write: Callable[[str, int, bytes], bytes]
    write_page: Callable[[Sequence[Single], int], bytes]
    write_deleted: Callable[[str], bytes]


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
    mark: bytes = b""
    marked: bytes = b""
    forwards: tuple[bytes, ...] = ()
    rate_lines: Callable[[RatesLeft], bytes] | None = None


class Door(msgspec.Struct, frozen=True):
    """A path on the data path: the dialect that callers speak there, and what they ask for."""

    dialect: Dialect
    operation: Operation
