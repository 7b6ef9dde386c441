"""Brings the files of an estate together into one tree, section by section."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from trunkline.config.document import Entry, Mapping, Node, Scalar, Sequence, kind_of, read_document
from trunkline.config.faults import Faults, Place

ENDINGS: Final = frozenset({".yaml", ".yml", ".json"})
NAMED_SECTIONS: Final = (
    "exchange_rates",
    "units",
    "zones",
    "data_classes",
    "boundaries",
    "deployments",
    "pools",
    "use_cases",
    "rules",
    "certificates",
    "stores",
    "webhooks",
)
LISTED_SECTIONS: Final = ("budgets", "limits")
OWNED_SECTIONS: Final = ("boundaries", "deployments", "pools", "use_cases")
"""What a file with `owner: UNIT` may declare, besides budgets and limits."""


class Owned(msgspec.Struct, frozen=True):
    """What a file with `owner: UNIT` declares in the lists: each entry with its section and its place in it."""

    owner: Scalar
    entries: tuple[tuple[str, int], ...]


class Merged(msgspec.Struct, frozen=True):
    """All files as one tree.

    Attributes:
        owned: which entries of the lists come from a file that belongs to a unit.
        refused: sections that are there, but in a shape that could not be read.
    """

    tree: Mapping
    files: tuple[Path, ...]
    owned: tuple[Owned, ...] = ()
    refused: frozenset[str] = frozenset()


def find_files(path: Path, faults: Faults) -> tuple[Path, ...]:
    """Return the files of the estate at `path`: itself, or what a folder holds, by name."""
    start = Place(str(path), 1, 1)
    if not path.is_dir():
        if not path.exists():
            faults.add(start, "there is no such file or folder")
            return ()
        return (path,)
    try:
        found = sorted(each for each in path.iterdir() if each.suffix in ENDINGS and not each.name.startswith("."))
    except OSError as problem:
        faults.add(start, f"the folder cannot be read: {problem.strerror}")
        return ()
    if not found:
        faults.add(start, "the folder holds no estate: no file ends in .yaml, .yml or .json")
    return tuple(found)


def merge(path: Path, faults: Faults) -> Merged | None:
    """Read the estate's file or folder. Returns None after adding faults when nothing could be read."""
    files = find_files(path, faults)
    merger = _Merger(faults)
    for file in files:
        if (node := read_document(file, faults)) is None:
            continue
        if isinstance(node, Mapping):
            merger.take(node, folder=path.is_dir())
        else:
            faults.add(node.place, f"an estate is a mapping of sections, such as `units:`; this is {kind_of(node)}")
    tree = merger.tree()
    return None if tree is None else Merged(tree, files, tuple(merger.owned), frozenset(merger.refused))


class _Merger:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._start: Place | None = None
        self._plain: dict[str, Entry] = {}
        self._named: dict[str, tuple[Place, dict[str, Entry]]] = {}
        self._listed: dict[str, tuple[Place, list[Node]]] = {}
        self.owned: list[Owned] = []
        self.refused: set[str] = set()

    def tree(self) -> Mapping | None:
        """Return what was taken in, as one mapping."""
        if self._start is None:
            return None
        entries = dict(self._plain)
        for section, (place, named) in self._named.items():
            entries[section] = Entry(place, Mapping(named, place))
        for section, (place, listed) in self._listed.items():
            entries[section] = Entry(place, Sequence(tuple(listed), place))
        return Mapping(entries, self._start)

    def take(self, node: Mapping, *, folder: bool) -> None:
        """Take in one file."""
        self._start = self._start or node.place
        owner = self._owner(node, folder=folder)
        before = {
            section: len(self._listed[section][1]) if section in self._listed else 0 for section in LISTED_SECTIONS
        }
        for section, entry in node.entries.items():
            if section == "owner":
                continue
            if owner is not None and section not in {*OWNED_SECTIONS, *LISTED_SECTIONS}:
                allowed = ", ".join((*OWNED_SECTIONS, *LISTED_SECTIONS))
                message = f'a file with `owner: {owner.text}` declares only {allowed}; move "{section}" to another file'
                self._faults.add(entry.place, message)
            elif section in NAMED_SECTIONS:
                self._take_named(section, entry, owner)
            elif section in LISTED_SECTIONS:
                self._take_listed(section, entry)
            else:
                self._once(self._plain, section, entry)
        if owner is not None:
            entries = tuple(
                (section, index)
                for section, count in before.items()
                if section in self._listed
                for index in range(count, len(self._listed[section][1]))
            )
            self.owned.append(Owned(owner, entries))

    def _owner(self, node: Mapping, *, folder: bool) -> Scalar | None:
        entry = node.entries.get("owner")
        if entry is None:
            return None
        if not folder:
            self._faults.add(
                entry.place, "`owner` belongs into a file of a folder; a single file declares all there is"
            )
        elif isinstance(entry.value, Scalar) and entry.value.kind == "text" and entry.value.text.strip():
            return entry.value
        else:
            self._faults.add(entry.value.place, f"owner wants the name of a unit; this is {kind_of(entry.value)}")
        return None

    def _take_named(self, section: str, entry: Entry, owner: Scalar | None) -> None:
        if isinstance(entry.value, Scalar) and entry.value.kind == "nothing":
            return
        if not isinstance(entry.value, Mapping):
            message = f"{section} wants names and what they stand for; this is {kind_of(entry.value)}"
            self._faults.add(entry.value.place, message)
            self.refused.add(section)
            return
        first, named = self._named.setdefault(section, (entry.place, {}))
        if section == "data_classes" and first is not entry.place:
            message = f"data classes stand in one file, for their order matters; the others stand at {first}"
            self._faults.add(entry.place, message)
        for name, each in entry.value.entries.items():
            self._once(named, name, each if owner is None else self._with_owner(each, owner))

    def _take_listed(self, section: str, entry: Entry) -> None:
        if isinstance(entry.value, Scalar) and entry.value.kind == "nothing":
            return
        if not isinstance(entry.value, Sequence):
            self._faults.add(entry.value.place, f"{section} wants a list; this is {kind_of(entry.value)}")
            return
        _, listed = self._listed.setdefault(section, (entry.place, []))
        listed.extend(entry.value.items)

    def _with_owner(self, entry: Entry, owner: Scalar) -> Entry:
        """Fill in the owner of the file, and refuse another one."""
        thing = entry.value
        if not isinstance(thing, Mapping):
            return entry
        declared = thing.entries.get("owner")
        if declared is None:
            return Entry(entry.place, Mapping({**thing.entries, "owner": Entry(thing.place, owner)}, thing.place))
        if isinstance(declared.value, Scalar) and declared.value.text != owner.text:
            message = (
                f'this file belongs to "{owner.text}" and declares only what it owns; this is owned by another unit'
            )
            self._faults.add(declared.value.place, message)
        return entry

    def _once(self, into: dict[str, Entry], name: str, entry: Entry) -> None:
        if name in into:
            self._faults.add(entry.place, f'"{name}" is declared twice; the first is at {into[name].place}')
        else:
            into[name] = entry
