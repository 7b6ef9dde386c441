"""YAML 1.2 as a tree that knows where everything stands.

The parser's events are composed here rather than by the library, so that size, depth and aliases are bounded, a key
given twice is a fault, and every scalar keeps its own text: a price is read from what was written, never by way of a
float. `on`, `off`, `yes` and `no` are text, as YAML 1.2 says. JSON is valid YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from trunkline.config.faults import Faults, Place

MOST_BYTES: Final = 4_000_000
MOST_NODES: Final = 200_000
MOST_DEPTH: Final = 40

ScalarKind = Literal["nothing", "true or false", "a whole number", "a number", "text"]

_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_WHOLE = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z|[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_COLLECTION_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


class Scalar(msgspec.Struct, frozen=True):
    """A single value as it was written. `plain` means without quotes."""

    text: str
    plain: bool
    place: Place

    @property
    def kind(self) -> ScalarKind:
        """What YAML 1.2 takes it for."""
        if not self.plain:
            return "text"
        if self.text in _NOTHING:
            return "nothing"
        if self.text in _BOOLEANS:
            return "true or false"
        if _WHOLE.match(self.text):
            return "a whole number"
        return "a number" if _NUMBER.match(self.text) else "text"


class Sequence(msgspec.Struct, frozen=True):
    """A list."""

    items: tuple[Node, ...]
    place: Place


class Mapping(msgspec.Struct, frozen=True):
    """Names and their values, in the order of the file."""

    entries: dict[str, Entry]
    place: Place


class Entry(msgspec.Struct, frozen=True):
    """One name in a mapping: where the name stands, and its value."""

    place: Place
    value: Node


Node = Scalar | Sequence | Mapping
Steps = tuple[str | int, ...]


class _Unreadable(Exception):
    """Nothing more can be read from this file."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


def kind_of(node: Node) -> str:
    """Say what a node is, for a fault's sentence."""
    if isinstance(node, Scalar):
        return node.kind
    return "a list" if isinstance(node, Sequence) else "a mapping"


def read_document(path: Path, faults: Faults) -> Node | None:
    """Read one file into a tree. Returns None after adding a fault when it cannot be read at all."""
    start = Place(str(path), 1, 1)
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as problem:
        faults.add(start, f"the file cannot be read: {problem.strerror}")
        return None
    if len(raw) > MOST_BYTES:
        faults.add(start, f"the file is larger than {MOST_BYTES // 1_000_000} MB; split it into a folder of files")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = raw[: problem.start].decode("utf-8-sig", "replace")
        faults.add(_place_after(before, str(path)), "the file is not UTF-8 text")
        return None
    return parse_document(text, str(path), faults)


def parse_document(text: str, file: str, faults: Faults) -> Node | None:
    """Parse YAML text; `file` names it in places. Returns None after adding a fault when it cannot be parsed."""
    try:
        return _Composer(file, faults).compose(_events(text, file))
    except _Unreadable as problem:
        faults.add(problem.place, problem.message)
    return None


def locate(node: Node, path: Steps, *, name: bool = False) -> Place:
    """Return where the value at `path` stands (or its name), or the nearest thing above it that is written down."""
    place = node.place
    for step in path:
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            entry = node.entries[step]
            node = entry.value
            place = entry.place if name else node.place
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            place = node.place
        else:
            break
    return place


def _events(text: str, file: str) -> Iterator[Event]:
    """Give the parser's events; its errors become one kind of ours."""
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file, 1, 1)
        if problem.problem is not None and "'\\t'" in problem.problem:
            raise _Unreadable(place, "this is not YAML: a tab stands where only blanks may indent") from None
        context = f" ({problem.context})" if problem.context else ""
        raise _Unreadable(place, f"this is not YAML: {problem.problem or 'it cannot be parsed'}{context}") from None
    except YAMLError as problem:
        position = getattr(problem, "position", 0)
        place = _place_after(text[: position if isinstance(position, int) else 0], file)
        raise _Unreadable(place, "this is not YAML: it holds a character that text may not hold") from None
    except (ValueError, TypeError, AssertionError, AttributeError, IndexError, OverflowError, RecursionError):
        # The parser is written for people's files and stumbles over some bytes that no person writes.
        raise _Unreadable(Place(file, 1, 1), "this is not YAML: the parser gives up on it") from None


def _place_after(before: str, file: str) -> Place:
    line = before.count("\n") + 1
    return Place(file, line, len(before) - (before.rfind("\n") + 1) + 1)


class _Composer:
    """Turns events into nodes. An alias shares its anchor's node; `_sizes` counts what it stands for."""

    def __init__(self, file: str, faults: Faults) -> None:
        self._file = file
        self._faults = faults
        self._anchors: dict[str, Node] = {}
        self._sizes: dict[int, int] = {}
        self._kept: list[Node] = []  # ids in `_sizes` stay valid while their nodes live

    def compose(self, events: Iterator[Event]) -> Node | None:
        root: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise _Unreadable(
                        self._place(event), "a file holds one document; take out the `---` and what follows"
                    )
            elif isinstance(event, NodeEvent):
                root = self._node(event, events, 1)
        if root is None:
            raise _Unreadable(Place(self._file, 1, 1), "the file is empty")
        return root

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> Node:
        place = self._place(event)
        if depth > MOST_DEPTH:
            raise _Unreadable(place, f"this is nested deeper than {MOST_DEPTH} levels")
        if isinstance(event, AliasEvent):
            return self._alias(event.anchor, place)
        size = 1
        node: Node
        if isinstance(event, ScalarEvent):
            node = self._scalar(event, place)
        elif isinstance(event, SequenceStartEvent):
            self._refuse_tag(event.tag, place)
            items = tuple(self._children(events, depth))
            size += sum(self._sizes[id(item)] for item in items)
            node = Sequence(items, place)
        elif isinstance(event, MappingStartEvent):
            self._refuse_tag(event.tag, place)
            children = list(self._children(events, depth))
            size += sum(self._sizes[id(child)] for child in children)
            node = Mapping(self._entries(children), place)
        else:
            raise _Unreadable(place, "this is not YAML: the parser gives up on it")
        return self._keep(node, size, getattr(event, "anchor", None))

    def _keep(self, node: Node, size: int, anchor: str | None) -> Node:
        if size > MOST_NODES:
            raise _Unreadable(node.place, f"this stands for more than {MOST_NODES:,} values; use fewer aliases")
        self._kept.append(node)
        self._sizes[id(node)] = size
        if anchor:
            self._anchors[anchor] = node
        return node

    def _children(self, events: Iterator[Event], depth: int) -> Iterator[Node]:
        for event in events:
            if not isinstance(event, NodeEvent):
                return  # the end of this list or mapping
            yield self._node(event, events, depth + 1)

    def _entries(self, children: list[Node]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar) or key.kind == "nothing":
                self._faults.add(key.place, f"a name is wanted here; this is {kind_of(key)}")
            elif key.plain and key.text == "<<":
                self._merge(value, merged)
            elif key.text in entries:
                first = entries[key.text].place
                self._faults.add(key.place, f'"{key.text}" is given twice; the first is at line {first.line}')
            else:
                entries[key.text] = Entry(key.place, value)
        return {**entries, **{name: entry for name, entry in merged.items() if name not in entries}}

    def _merge(self, value: Node, merged: dict[str, Entry]) -> None:
        """Take in what `<<: *anchor` brings; what the mapping says itself goes before."""
        for source in value.items if isinstance(value, Sequence) else (value,):
            if not isinstance(source, Mapping):
                self._faults.add(source.place, f"`<<` takes in a mapping; this is {kind_of(source)}")
                continue
            for name, entry in source.entries.items():
                merged.setdefault(name, entry)

    def _alias(self, anchor: str, place: Place) -> Node:
        if anchor not in self._anchors:
            raise _Unreadable(place, f"no `&{anchor}` stands before `*{anchor}`")
        return self._anchors[anchor]

    def _scalar(self, event: ScalarEvent, place: Place) -> Scalar:
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._refuse_tag(event.tag, place)
        plain = event.style is None and event.tag not in _TEXT_TAGS
        return Scalar(self._whole(event.value, place), plain, place)

    def _whole(self, text: str, place: Place) -> str:
        """Join the two halves in which JSON writes characters beyond the first 65,536."""
        try:
            return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._faults.add(place, "this text holds half a character; write the character itself")
            return text.encode("ascii", "replace").decode()

    def _refuse_tag(self, tag: str | None, place: Place) -> None:
        if tag is not None and tag not in _COLLECTION_TAGS:
            self._faults.add(place, f"tags have no meaning here; take out `{tag}`")

    def _place(self, event: Event) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)
