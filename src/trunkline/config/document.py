"""YAML 1.2 as a tree that knows where everything stands.

The parser's events are composed here rather than by the library, so that size, depth and aliases are bounded, a key
given twice is a fault, and every scalar keeps its own text: a price is read from what was written, never by way of a
float. `on`, `off`, `yes` and `no` are text, as YAML 1.2 says. JSON is valid YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from trunkline.config.events import SHAPES, NotYaml, Shape, Unsure, careful_events, quick_events, suits_quick
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


class Scalar(msgspec.Struct, frozen=True, gc=False):
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


class Sequence(msgspec.Struct, frozen=True, gc=False):
    """A list."""

    items: tuple[Node, ...]
    place: Place


class Mapping(msgspec.Struct, frozen=True, gc=False):
    """Names and their values, in the order of the file."""

    entries: dict[str, Entry]
    place: Place


class Entry(msgspec.Struct, frozen=True, gc=False):
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
    composer = _Composer(file)
    try:
        if (root := _composed_quickly(text, composer)) is None:
            composer = _Composer(file)
            root = composer.compose(careful_events(text))
    except _Unreadable as problem:
        composer.found.append((problem.place, problem.message))
        root = None
    except NotYaml as problem:
        composer.found.append((Place(file, problem.line, problem.column), f"this is not YAML: {problem.why}"))
        root = None
    for place, message in composer.found:
        faults.add(place, message)
    return root


def _composed_quickly(text: str, composer: _Composer) -> Node | None:
    if not suits_quick(text):
        return None
    try:
        return composer.compose(quick_events(text))
    except Unsure:
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


def _place_after(before: str, file: str) -> Place:
    line = before.count("\n") + 1
    return Place(file, line, len(before) - (before.rfind("\n") + 1) + 1)


class _Open:
    """A list or mapping whose end has not come. `size` counts the values that it stands for, aliases resolved."""

    __slots__ = ("anchor", "children", "mapping", "place", "size")

    def __init__(self, place: Place, anchor: str | None, *, mapping: bool) -> None:
        self.place = place
        self.anchor = anchor
        self.mapping = mapping
        self.children: list[Node] = []
        self.size = 1


class _Composer:
    """Turns events into nodes. An alias shares its anchor's node.

    Attributes:
        found: the faults that leave a tree all the same.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._above: list[_Open] = []
        self._root: Node | None = None
        self.found: list[tuple[Place, str]] = []

    def compose(self, events: Iterator[Any]) -> Node:
        """Return the one document's tree.

        Raises:
            _Unreadable: there is none, or it is beyond a bound.
        """
        for event in events:
            shape = SHAPES.get(type(event))
            if shape is Shape.END:
                last = self._above.pop()
                self._place_in(self._close(last), last.size, last.anchor)
            elif shape is not None:
                mark = event.start_mark
                place = Place(self._file, mark.line + 1, mark.column + 1)
                if shape is not Shape.DOCUMENT:
                    self._begin(event, shape, place)
                elif self._root is not None:
                    raise _Unreadable(place, "a file holds one document; take out the `---` and what follows")
        if self._root is None:
            raise _Unreadable(Place(self._file, 1, 1), "the file is empty")
        return self._root

    def _begin(self, event: Any, shape: Shape, place: Place) -> None:
        if len(self._above) >= MOST_DEPTH:
            raise _Unreadable(place, f"this is nested deeper than {MOST_DEPTH} levels")
        if shape is Shape.SCALAR:
            self._place_in(self._scalar(event, place), 1, event.anchor)
        elif shape is Shape.ALIAS:
            self._place_in(*self._alias(event.anchor, place), None)
        else:
            self._refuse_tag(event.tag, place)
            self._above.append(_Open(place, event.anchor, mapping=shape is Shape.MAPPING))

    def _place_in(self, node: Node, size: int, anchor: str | None) -> None:
        """Put a node where it belongs: into what is open, or as the whole."""
        if anchor:
            self._anchors[anchor] = node, size
        if self._above:
            last = self._above[-1]
            last.children.append(node)
            last.size += size
        else:
            self._root = node

    def _close(self, last: _Open) -> Node:
        if last.size > MOST_NODES:
            raise _Unreadable(last.place, f"this stands for more than {MOST_NODES:,} values; use fewer aliases")
        if last.mapping:
            return Mapping(self._entries(last.children), last.place)
        return Sequence(tuple(last.children), last.place)

    def _entries(self, children: list[Node]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar) or (key.plain and key.kind == "nothing"):
                self._add(key.place, f"a name is wanted here; this is {kind_of(key)}")
            elif key.plain and key.text == "<<":
                self._merge(value, merged)
            elif key.text in entries:
                first = entries[key.text].place
                self._add(key.place, f'"{key.text}" is given twice; the first is at line {first.line}')
            else:
                entries[key.text] = Entry(key.place, value)
        for name, entry in merged.items():
            entries.setdefault(name, entry)
        return entries

    def _merge(self, value: Node, merged: dict[str, Entry]) -> None:
        """Take in what `<<: *anchor` brings; what the mapping says itself goes before."""
        for source in value.items if isinstance(value, Sequence) else (value,):
            if not isinstance(source, Mapping):
                self._add(source.place, f"`<<` takes in a mapping; this is {kind_of(source)}")
                continue
            for name, entry in source.entries.items():
                merged.setdefault(name, entry)

    def _alias(self, anchor: str, place: Place) -> tuple[Node, int]:
        if anchor not in self._anchors:
            raise _Unreadable(place, f"no `&{anchor}` stands before `*{anchor}`")
        return self._anchors[anchor]

    def _scalar(self, event: Any, place: Place) -> Scalar:
        tag = event.tag
        if tag is not None and tag not in _TEXT_TAGS:
            self._refuse_tag(tag, place)
        text: str = event.value
        plain = not event.style and tag not in _TEXT_TAGS
        return Scalar(text if text.isascii() else self._whole(text, place), plain, place)

    def _whole(self, text: str, place: Place) -> str:
        """Join the two halves in which JSON writes characters beyond the first 65,536."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._add(place, "this text holds half a character; write the character itself")
            return text.encode("ascii", "replace").decode()

    def _refuse_tag(self, tag: str | None, place: Place) -> None:
        if tag is not None and tag not in _COLLECTION_TAGS:
            self._add(place, f"tags have no meaning here; take out `{tag}`")

    def _add(self, place: Place, message: str) -> None:
        self.found.append((place, message))
