"""Claims and requirements keep to the table of controls."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import msgspec

from trunkline.config.faults import Faults, suggestion
from trunkline.estate.claims import CONTROLS, Basis, Claim, Control, ControlValue, Requirement, ValueKind
from trunkline.estate.declared import Declared

UNKNOWN = "unknown"
"""A claim may say of any control that its value is not known; that satisfies nothing."""

_Path = tuple[str | int, ...]
_OPERATORS = tuple(
    field
    for field in msgspec.structs.fields(Requirement)
    if field.encode_name in {"is", "within", "at_most", "at_least"}
)


def check_claims(declared: Declared, faults: Faults) -> None:
    """Hold every claim and every requirement against the table of controls."""
    for name, deployment in declared.deployments.items():
        for control, claim in deployment.controls.items():
            _Check(declared, faults, ("deployments", name, "controls", control)).claim(control, claim)
    for name, data_class in declared.data_classes.items():
        for control, requirement in data_class.requires.items():
            _Check(declared, faults, ("data_classes", name, "requires", control)).requirement(control, requirement)


class _Check:
    """One claim or requirement at one path."""

    def __init__(self, declared: Declared, faults: Faults, path: _Path) -> None:
        self._declared = declared
        self._faults = faults
        self._path = path

    def claim(self, name: str, claim: Claim) -> None:
        if (control := self._control(name)) is None:
            return
        if claim.value != UNKNOWN:
            self._value(name, control, claim.value, "value")
        if claim.verified_at and claim.expires and claim.expires < claim.verified_at:
            self._add("the claim expires before it was verified", "expires")

    def requirement(self, name: str, requirement: Requirement) -> None:
        if (control := self._control(name)) is None:
            return
        given = {field.encode_name: getattr(requirement, field.name) for field in _OPERATORS}
        operators = [operator for operator, value in given.items() if value is not None]
        if len(operators) != 1:
            found = " and ".join(operators) or "none"
            self._add(f"a requirement has exactly one of is, within, at_most, at_least; this has {found}")
        if requirement.basis is Basis.ATTESTED_PER_RESPONSE:
            self._add("no claim satisfies a basis that is attested per response: it is checked after the send", "basis")
        days = control.kind is ValueKind.DAYS
        for operator in ("at_most", "at_least"):
            if given[operator] is not None and not days:
                self._add(f"{name} is no number of days; write `is` or `within`", operator)
        if requirement.within is not None:
            if days or control.kind is ValueKind.FLAG:
                self._add(f"{name} has no words to be within; write {'at_most' if days else 'is'}", "within")
            else:
                self._value(name, control, requirement.within, "within")
        if requirement.is_ is not None:
            self._value(name, control, requirement.is_, "is")

    def _control(self, name: str) -> Control | None:
        if name not in CONTROLS:
            place = self._declared.place_of_name(*self._path)
            self._faults.add(place, f'"{name}" is not a control{suggestion(name, CONTROLS)}')
            return None
        return CONTROLS[name]

    def _value(self, name: str, control: Control, value: ControlValue, field: str) -> None:
        several = isinstance(value, tuple)
        if control.kind is ValueKind.FLAG:
            if not isinstance(value, bool):
                self._add(f"{name} is true or false", field)
        elif control.kind is ValueKind.DAYS:
            if isinstance(value, str) and value not in control.words:
                self._add(f"{name} is a number of days, or {', '.join(control.words)}", field)
            elif isinstance(value, bool) or several or (isinstance(value, int) and value < 0):
                self._add(f"{name} is a number of days, 0 or more", field)
        elif not isinstance(value, (str, tuple)):
            self._add(f"{name} is a word{'' if control.kind is ValueKind.WORD else ' or a list of words'}", field)
        elif control.kind is ValueKind.WORD:
            if several and field != "within":
                self._add(f"{name} is a single word, not a list", field)
            else:
                self._words(name, control, value, field)

    def _words(self, name: str, control: Control, value: str | tuple[str, ...], field: str) -> None:
        words: Iterable[tuple[_Path, str]] = (
            (((field,), value),)
            if isinstance(value, str)
            else (((field, index), each) for index, each in enumerate(value))
        )
        for path, word in words:
            if word not in control.words:
                place = self._declared.place(*chain(self._path, path))
                self._faults.add(place, f'{name} "{word}" is not known{suggestion(word, control.words)}')

    def _add(self, message: str, *path: str) -> None:
        self._faults.add(self._declared.place(*self._path, *path), message)
