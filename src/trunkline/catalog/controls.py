"""The vocabulary of claims and requirements: which controls there are, and how their values are ordered.

It stands as data in `controls.yaml`, beside the zones that residency speaks of and how they lie in one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.catalog.read import read_file

ControlValue = str | int | bool | tuple[str, ...]

UNKNOWN: Final = "unknown"
"""What a claim may say of any control: its value is not known. That satisfies nothing."""


class ValueKind(StrEnum):
    """What the value of a control is."""

    WORD = "word"
    DAYS = "days"
    FLAG = "flag"
    ZONES = "zones"
    NAMES = "names"


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A typed attribute of a deployment: what it means and which values it can have.

    Attributes:
        words: for `WORD` all values there are; for `DAYS` what may stand instead of a number (and satisfies no bound).
        ordered: whether the words stand from the strictest to the loosest, so that each is met by those before it.
        more_is_stricter: of `NAMES`, whether more of them promise more (certifications) or less (sub-processors).
    """

    meaning: str
    kind: ValueKind
    words: tuple[str, ...] = ()
    ordered: bool = False
    more_is_stricter: bool = False

    def as_strict(self, word: str, asked: str) -> bool:
        """Whether a word meets another that is asked for: the same or, in an ordered control, a stricter one."""
        if word not in self.words or asked not in self.words:
            return False
        return word == asked or (self.ordered and self.words.index(word) <= self.words.index(asked))


class Vocabulary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `controls.yaml` holds: the zones each with those that lie in it, separated by blanks."""

    controls: dict[str, Control]
    zones: dict[str, str]


_VOCABULARY: Final = read_file("controls.yaml", Vocabulary)

CONTROLS: Final[Mapping[str, Control]] = MappingProxyType(_VOCABULARY.controls)
"""Every control by its name."""


def _parents(zones: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    parents: dict[str, tuple[str, ...]] = dict.fromkeys(zones, ())
    for zone, inner in zones.items():
        for one in inner.split():
            parents[one] = (*parents.get(one, ()), zone)
    return parents


ZONES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(_parents(_VOCABULARY.zones))
"""Every zone, with those that it lies in directly."""


@cache
def surrounding(zone: str) -> tuple[str, ...]:
    """Return all zones that a zone lies in, nearest first, itself included; an unknown one lies in itself alone."""
    found = dict.fromkeys((zone,))
    for around in ZONES.get(zone, ()):
        found.update(dict.fromkeys(surrounding(around)))
    return tuple(found)


def lies_in(zone: str, other: str) -> bool:
    """Whether all of a zone lies in another; one that nobody knows lies nowhere."""
    return zone in ZONES and other in surrounding(zone)
