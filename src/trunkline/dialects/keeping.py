"""What a dialect says of answers and conversations that are kept, or worked on without their callers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from trunkline.errors import Refusal
from trunkline.messages import Asked


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
