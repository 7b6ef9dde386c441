"""Whether the value of a control is what a requirement asks for; basis and dates are policy's to weigh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from trunkline.catalog.controls import CONTROLS, UNKNOWN, Control, ControlValue, ValueKind
from trunkline.estate.claims import Requirement
from trunkline.estate.zones import CATALOGUE, Zones


def meets(name: str, value: ControlValue, asked: Requirement, zones: Zones = CATALOGUE) -> bool:
    """Whether a value meets all that a requirement asks of the control `name`.

    What is unknown, or not of the control's kind, meets nothing; nor does anything meet a requirement without an
    operator, or one whose operator has no meaning for the control. `zones` are those that the estate knows.
    """
    control = CONTROLS.get(name)
    if control is None or value == UNKNOWN or (isinstance(value, tuple) and UNKNOWN in value):
        return False
    if control.kind is ValueKind.ZONES:
        held = list(_zones(zones, value, asked))
    else:
        held = list(_KINDS[control.kind](control, value, asked))
    return 0 < len(held) == _given(asked) and all(held)


def _given(asked: Requirement) -> int:
    operators = (asked.is_, asked.within, asked.includes, asked.at_most, asked.at_least)
    return sum(one is not None for one in operators)


def possible(name: str, asked: Iterable[Requirement], zones: Zones = CATALOGUE) -> bool:
    """Whether there is any value that meets all of the requirements on a control."""
    control, requirements = CONTROLS[name], tuple(asked)
    values = zones.names if control.kind is ValueKind.ZONES else _candidates(control, requirements)
    return any(all(meets(name, value, one, zones) for one in requirements) for value in values)


def _word(control: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    word = value if isinstance(value, str) else ""
    if asked.is_ is not None:
        yield isinstance(asked.is_, str) and control.as_strict(word, asked.is_)
    if asked.within is not None:
        yield any(control.as_strict(word, one) for one in asked.within)


def _days(control: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    number = value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
    if asked.is_ is not None:
        yield type(value) is type(asked.is_) and value == asked.is_ and (number is not None or value in control.words)
    if asked.at_most is not None:
        yield number is not None and number <= asked.at_most
    if asked.at_least is not None:
        yield number is not None and number >= asked.at_least


def _flag(_: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    if asked.is_ is not None:
        yield isinstance(value, bool) and value is asked.is_


def _zones(known: Zones, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    zones = _names(value)
    if asked.is_ is not None:
        yield bool(zones) and isinstance(asked.is_, str) and all(known.lies_in(zone, asked.is_) for zone in zones)
    if asked.within is not None:
        yield bool(zones) and all(any(known.lies_in(zone, one) for one in asked.within or ()) for zone in zones)


def _several(control: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    listed, names = isinstance(value, str | tuple), set(_names(value))
    if asked.is_ is not None:
        yield listed and (asked.is_ in names if control.more_is_stricter else names <= {asked.is_})
    if asked.within is not None:
        yield listed and not control.more_is_stricter and names <= set(asked.within)
    if asked.includes is not None:
        yield control.more_is_stricter and bool(asked.includes) and set(asked.includes) <= names


def _names(value: ControlValue) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, tuple) else ()


def _candidates(control: Control, asked: tuple[Requirement, ...]) -> Iterable[ControlValue]:
    """Enough values to find one that meets the requirements, if there is one at all."""
    match control.kind:
        case ValueKind.WORD:
            return control.words
        case ValueKind.FLAG:
            return (True, False)
        case ValueKind.DAYS:
            bounds = [bound for one in asked for bound in (one.at_most, one.at_least) if bound is not None]
            days = [one.is_ for one in asked if isinstance(one.is_, int)]
            return (0, *(int(bound) for bound in bounds), *(int(bound) + 1 for bound in bounds), *days, *control.words)
        case ValueKind.NAMES:
            named = [
                (one.is_,) if isinstance(one.is_, str) else (*(one.within or ()), *(one.includes or ()))
                for one in asked
            ]
            return (tuple(name for names in named for name in names), ())
        case _:
            return ()


_Check = Callable[[Control, ControlValue, Requirement], Iterable[bool]]

_KINDS: Final[Mapping[ValueKind, _Check]] = MappingProxyType(
    {
        ValueKind.WORD: _word,
        ValueKind.DAYS: _days,
        ValueKind.FLAG: _flag,
        ValueKind.NAMES: _several,
    }
)
