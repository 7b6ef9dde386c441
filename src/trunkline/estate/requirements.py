"""Whether the value of a control is what a requirement asks for; basis and dates are policy's to weigh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from trunkline.catalog.controls import CONTROLS, UNKNOWN, ZONES, Control, ControlValue, ValueKind, lies_in
from trunkline.estate.claims import Requirement


def meets(name: str, value: ControlValue, asked: Requirement) -> bool:
    """Whether a value meets all that a requirement asks of the control `name`.

    What is unknown, or not of the control's kind, meets nothing; nor does anything meet a requirement without an
    operator, or one whose operator has no meaning for the control.
    """
    control = CONTROLS.get(name)
    if control is None or value == UNKNOWN or (isinstance(value, tuple) and UNKNOWN in value):
        return False
    held = list(_KINDS[control.kind](control, value, asked))
    return bool(held) and all(held)


def possible(name: str, asked: Iterable[Requirement]) -> bool:
    """Whether there is any value that meets all of the requirements on a control."""
    control, requirements = CONTROLS[name], tuple(asked)
    return any(all(meets(name, value, one) for one in requirements) for value in _candidates(control, requirements))


def _word(control: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    word = value if isinstance(value, str) else ""
    if asked.is_ is not None:
        yield isinstance(asked.is_, str) and control.as_strict(word, asked.is_)
    if asked.within is not None:
        yield any(control.as_strict(word, one) for one in asked.within)
    if asked.includes is not None or asked.at_most is not None or asked.at_least is not None:
        yield False


def _days(control: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    number = value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
    if asked.is_ is not None:
        yield type(value) is type(asked.is_) and value == asked.is_ and (number is not None or value in control.words)
    if asked.at_most is not None:
        yield number is not None and number <= asked.at_most
    if asked.at_least is not None:
        yield number is not None and number >= asked.at_least
    if asked.within is not None or asked.includes is not None:
        yield False


def _flag(_: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    if asked.is_ is not None:
        yield isinstance(value, bool) and value is asked.is_
    if asked.within is not None or asked.includes is not None:
        yield False
    if asked.at_most is not None or asked.at_least is not None:
        yield False


def _zones(_: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    zones = _names(value)
    if asked.is_ is not None:
        yield bool(zones) and isinstance(asked.is_, str) and all(lies_in(zone, asked.is_) for zone in zones)
    if asked.within is not None:
        yield bool(zones) and all(any(lies_in(zone, one) for one in asked.within or ()) for zone in zones)
    if asked.includes is not None or asked.at_most is not None or asked.at_least is not None:
        yield False


def _several(control: Control, value: ControlValue, asked: Requirement) -> Iterable[bool]:
    listed, names = isinstance(value, str | tuple), set(_names(value))
    if asked.is_ is not None:
        yield listed and (asked.is_ in names if control.more_is_stricter else names <= {asked.is_})
    if asked.within is not None:
        yield listed and not control.more_is_stricter and names <= set(asked.within)
    if asked.includes is not None:
        yield control.more_is_stricter and bool(asked.includes) and set(asked.includes) <= names
    if asked.at_most is not None or asked.at_least is not None:
        yield False


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
        case ValueKind.ZONES:
            return ZONES
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


_Check = Callable[[Control, ControlValue, Requirement], Iterable[bool]]

_KINDS: Final[Mapping[ValueKind, _Check]] = MappingProxyType(
    {
        ValueKind.WORD: _word,
        ValueKind.DAYS: _days,
        ValueKind.FLAG: _flag,
        ValueKind.ZONES: _zones,
        ValueKind.NAMES: _several,
    }
)
