"""Claims and requirements keep to the table of controls."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import msgspec

from trunkline.catalog.controls import CONTROLS, UNKNOWN, ZONES, Control, ControlValue, ValueKind
from trunkline.catalog.features import FEATURES
from trunkline.catalog.stores import STORES
from trunkline.config.faults import Faults, suggestion
from trunkline.estate.claims import Attestation, Basis, Claim, Requirement
from trunkline.estate.declared import Declared
from trunkline.estate.requirements import possible
from trunkline.estate.zones import known_zones
from trunkline.messages import Operation

_Path = tuple[str | int, ...]
_OPERATORS = tuple(
    field
    for field in msgspec.structs.fields(Requirement)
    if field.encode_name in {"is", "within", "includes", "at_most", "at_least"}
)


def check_claims(declared: Declared, faults: Faults) -> None:
    """Hold every claim and every requirement against the table of controls."""
    for name, deployment in declared.deployments.items():
        for control, claim in deployment.controls.items():
            _Check(declared, faults, ("deployments", name, "controls", control)).claim(control, claim)
    kept = [name for name, store in STORES.items() if store.content]
    for name, store in declared.stores.items():
        if name not in kept:
            message = f'the exchange keeps no content under "{name}"{suggestion(name, kept)}'
            faults.add(declared.place_of_name("stores", name), message)
        for control, claim in store.controls.items():
            _Check(declared, faults, ("stores", name, "controls", control)).claim(control, claim)
    asked: dict[str, dict[str, Requirement]] = {}
    for name, data_class in declared.data_classes.items():
        for control, requirement in data_class.requires.items():
            check = _Check(declared, faults, ("data_classes", name, "requires", control))
            if check.requirement(control, requirement):
                asked.setdefault(control, {})[name] = requirement
                check.possible(control, asked[control])


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
        for index, endpoint in enumerate(claim.applies_to.endpoints):
            operations = [operation.value for operation in Operation]
            if endpoint not in operations:
                message = f'"{endpoint}" is not an operation{suggestion(endpoint, operations)}'
                self._add(message, "applies_to", "endpoints", index)
        for index, feature in enumerate(claim.applies_to.features):
            if feature not in FEATURES:
                message = f'"{feature}" is not a feature{suggestion(feature, FEATURES)}'
                self._add(message, "applies_to", "features", index)
        self._attestation(claim)

    def _attestation(self, claim: Claim) -> None:
        attested = claim.basis is Basis.ATTESTED_PER_RESPONSE
        if attested and claim.attestation is None:
            example = "attestation: {header: x-zero-data-retention, expect: 'true'}"
            self._add(f"what is attested per response says what to expect; write `{example}`", "basis")
        elif claim.attestation is not None and not attested:
            message = "an attestation stands with `basis: attested_per_response`; write that basis, or take it out"
            self._add(message, "attestation")
        elif claim.attestation is not None and not _one_place(claim.attestation):
            self._add("an attestation stands in a header or at a path of the body: write one of the two", "attestation")

    def requirement(self, name: str, requirement: Requirement) -> bool:
        """Check one requirement; return whether it can be weighed against others."""
        if (control := self._control(name)) is None:
            return False
        before = len(self._faults)
        self._operators(name, control, requirement)
        if requirement.basis is Basis.ATTESTED_PER_RESPONSE:
            self._add("no claim satisfies a basis that is attested per response: it is checked after the send", "basis")
        if requirement.is_ is not None:
            self._value(name, control, requirement.is_, "is")
        return len(self._faults) == before

    def _operators(self, name: str, control: Control, requirement: Requirement) -> None:
        given = {field.encode_name: getattr(requirement, field.name) for field in _OPERATORS}
        operators = [operator for operator, value in given.items() if value is not None]
        if len(operators) != 1:
            found = " and ".join(operators) or "none"
            self._add(f"a requirement has exactly one of is, within, includes, at_most, at_least; this has {found}")
        days = control.kind is ValueKind.DAYS
        for operator in ("at_most", "at_least"):
            if given[operator] is not None and not days:
                self._add(f"{name} is no number of days; write `is` or `within`", operator)
        if requirement.includes is not None and not control.more_is_stricter:
            self._add(f"{name} does not get stricter by including more; write {_operator(control)}", "includes")
        if requirement.includes == ():
            self._add("includes is empty; it wants at least one", "includes")
        if requirement.within is not None:
            if days or control.kind is ValueKind.FLAG or control.more_is_stricter:
                self._add(f"{name} has no words to be within; write {_operator(control)}", "within")
            else:
                self._value(name, control, requirement.within, "within")

    def possible(self, name: str, asked: dict[str, Requirement]) -> None:
        """Check the last of the classes that ask something of a control against those before it."""
        zones = known_zones(self._declared.zones)
        if possible(name, asked.values(), zones):
            return
        others = [each for each in asked if not possible(name, (asked[each], *list(asked.values())[-1:]), zones)]
        against = f" what data class {others[0]} requires and" if len(asked) > 1 and others else ""
        self._add(f"no value of {name} meets{against} this, so no deployment could ever be allowed; loosen one of them")

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
        elif control.kind is ValueKind.ZONES:
            self._words(name, (*ZONES, *self._declared.names("zones")), value, field)
        elif control.kind is ValueKind.WORD:
            if several and field != "within":
                self._add(f"{name} is a single word, not a list", field)
            else:
                self._words(name, control.words, value, field)

    def _words(self, name: str, known: tuple[str, ...], value: str | tuple[str, ...], field: str) -> None:
        words: Iterable[tuple[_Path, str]] = (
            (((field,), value),)
            if isinstance(value, str)
            else (((field, index), each) for index, each in enumerate(value))
        )
        for path, word in words:
            if word not in known:
                place = self._declared.place(*chain(self._path, path))
                self._faults.add(place, f'{name} "{word}" is not known{suggestion(word, known)}')

    def _add(self, message: str, *path: str | int) -> None:
        self._faults.add(self._declared.place(*self._path, *path), message)


def _operator(control: Control) -> str:
    """The operator to write instead of one that has no meaning for the control."""
    if control.kind is ValueKind.DAYS:
        return "at_most"
    if control.more_is_stricter:
        return "includes"
    return "is" if control.kind is ValueKind.FLAG else "is or within"


def _one_place(attestation: Attestation) -> bool:
    return (attestation.header is None) is not (attestation.body is None)
