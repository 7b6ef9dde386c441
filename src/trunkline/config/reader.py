"""Reads a positioned tree into frozen structs, collecting every fault instead of stopping at the first.

The struct is the only description of what may be written: fields, types, defaults, and by `msgspec.Meta`

- `pattern`, `min_length`, `ge`, `gt`, `le`, and for decimals `extra_json_schema={"minimum": ..., ...}`: its bounds;
- `extra={"rule": "..."}`: the pattern in words, for the fault;
- `extra={"names": "units"}`: the text names something declared in that section; the reader collects such references
  in `Reader.references`, to be held against what is declared once all of it is known. `"unless": (prefix, ...)` leaves
  texts with one of these prefixes alone.

A struct with a class variable `short_form = "field"` may be written as that field's value alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping as MappingType
from datetime import tzinfo
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from trunkline.config.document import Entry, Mapping, Node, Scalar, Sequence, kind_of
from trunkline.config.faults import Faults, Place, nearest, suggestion
from trunkline.config.scalars import Misread, read_boolean, read_decimal, read_moment, read_text, read_whole

T = TypeVar("T", bound=msgspec.Struct)
Number = TypeVar("Number", int, Decimal)

LONGEST_ECHO: Final = 60
"""How much of a wrong value a fault repeats."""

PERCENT: Final = 100


class Reference(NamedTuple):
    """A text that names something declared in a section."""

    section: str
    name: str
    place: Place


class _Bad:
    """What a value that could not be read leaves behind."""


_BAD: Final = _Bad()


class Reader:
    """Reads nodes. `faults` receives what is wrong; `zone` is where a date without a time belongs."""

    def __init__(self, faults: Faults, zone: tzinfo) -> None:
        self._faults = faults
        self._zone = zone
        self.references: list[Reference] = []
        self._compound: MappingType[type[inspect.Type], Callable[[Any, Node, str], Any]] = {
            inspect.Metadata: self._with_meta,
            inspect.UnionType: self._union,
            inspect.StructType: self._struct,
            inspect.DictType: self._dict,
            inspect.VarTupleType: self._tuple,
        }

    def read(self, kind: type[T], node: Node, label: str) -> T | None:
        """Return the struct that `node` holds, or None after adding the faults. `label` names it in them."""
        value = self._read(_describe(kind), node, label)
        return None if isinstance(value, _Bad) else cast("T", value)

    def read_field(self, kind: type[msgspec.Struct], field: str, node: Node) -> Any:
        """Return the value of one field of `kind` (by its name in the file), or None after adding the faults."""
        wanted = next(each.type for each in _describe(kind).fields if each.encode_name == field)
        value = self._read(wanted, node, field)
        return None if isinstance(value, _Bad) else value

    def read_name(self, kind: Any, name: str, place: Place) -> bool:
        """Say whether a mapping's key may be what it is; adds the fault when not."""
        return not isinstance(self._read(_kind_of_name(kind), Scalar(name, plain=False, place=place), "name"), _Bad)

    def check_names(self, kind: type[msgspec.Struct], node: Mapping, noun: str) -> set[str]:
        """Add a fault for each name in `node` that is no field of `kind`; return the fields they may have meant."""
        known = _fields_of(kind)
        meant: set[str] = set()
        for name, entry in node.entries.items():
            if name not in known:
                hint = "; write numbers without separators" if name.isdecimal() else suggestion(name, known)
                self._faults.add(entry.place, f'"{name}" is not a field of {noun}{hint}')
                meant.add(nearest(name, known) or "")
        return meant

    def _read(self, wanted: inspect.Type, node: Node, label: str) -> Any:
        """Return the value, or `_BAD` after adding the faults."""
        compound = self._compound.get(type(wanted))
        if compound is not None:
            return compound(wanted, node, label)
        kind, read = _SCALARS[type(wanted)]
        if not isinstance(node, Scalar):
            return self._bad(node, f"{label} wants {kind}; this is {kind_of(node)}")
        try:
            return read(wanted, node, self._zone)
        except Misread as problem:
            return self._bad(node, f"{label} {problem}")

    def _with_meta(self, wanted: inspect.Metadata, node: Node, label: str) -> Any:
        extra: MappingType[str, Any] = wanted.extra or {}
        try:
            value = self._read(wanted.type, node, label)
            if isinstance(value, Decimal) and wanted.extra_json_schema is not None:
                schema = wanted.extra_json_schema
                _bounded(value, schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum"))
        except Misread as problem:
            return self._bad(node, f"{label} {problem}")
        if isinstance(value, str):
            pattern = wanted.type.pattern if isinstance(wanted.type, inspect.StrType) else None
            if pattern is not None and re.fullmatch(pattern, value) is None:
                return self._bad(node, f'{label} "{value}" does not fit: {extra.get("rule", pattern)}')
            if "names" in extra and not value.startswith(tuple(extra.get("unless", ()))):
                self.references.append(Reference(extra["names"], value, node.place))
        return value

    def _union(self, wanted: inspect.UnionType, node: Node, label: str) -> Any:
        members = [member for member in wanted.types if not isinstance(member, inspect.NoneType)]
        empty = isinstance(node, Scalar) and node.kind == "nothing"
        if empty and len(members) < len(wanted.types):
            if cast("Scalar", node).text:
                return None
            return self._bad(node, f"{label} has no value; write one, or take the line out")
        if len(members) == 1:
            return self._read(members[0], node, label)
        for member in members:
            if _UNION_KINDS.get(type(member)) == kind_of(node):
                return self._read(member, node, label)
        kinds = " or ".join(_UNION_KINDS[type(member)] for member in members)
        return self._bad(node, f"{label} wants {kinds}; this is {kind_of(node)}")

    def _struct(self, wanted: inspect.StructType, node: Node, label: str) -> Any:
        short = getattr(wanted.cls, "short_form", None)
        if short is not None and isinstance(node, Scalar) and node.kind != "nothing":
            node = Mapping({short: Entry(node.place, node)}, node.place)
        if (mapping := self._mapping(node, label)) is None:
            return _BAD
        values: dict[str, Any] = {}
        missing: list[str] = []
        noun = noun_of(wanted.cls)
        meant = self.check_names(wanted.cls, mapping, f"{'an' if noun[0] in 'aeio' else 'a'} {noun}")
        for field in wanted.fields:
            entry = mapping.entries.get(field.encode_name)
            if entry is not None:
                values[field.name] = self._read(field.type, entry.value, field.encode_name)
            elif field.required:
                missing.append(field.encode_name)
        if unsaid := [field for field in missing if field not in meant]:
            named = noun if label.replace("_", " ") in {noun, f"{noun}s"} else f'{noun} "{label}"'
            return self._bad(node, f"{named} lacks {' and '.join(unsaid)}")
        if missing or any(isinstance(value, _Bad) for value in values.values()):
            return _BAD
        return wanted.cls(**values)

    def _dict(self, wanted: inspect.DictType, node: Node, label: str) -> Any:
        if (mapping := self._mapping(node, label)) is None:
            return _BAD
        if len(mapping.entries) < (wanted.min_length or 0):
            return self._bad(node, f"{label} is empty; it wants at least one")
        values = {}
        for name, entry in mapping.entries.items():
            key = self._read(wanted.key_type, Scalar(name, plain=False, place=entry.place), "name")
            value = self._read(wanted.value_type, entry.value, name)
            values[name] = _BAD if isinstance(key, _Bad) else value
        return _BAD if any(isinstance(value, _Bad) for value in values.values()) else values

    def _tuple(self, wanted: inspect.VarTupleType, node: Node, label: str) -> Any:
        if isinstance(node, Scalar) and node.kind != "nothing":
            return self._bad(
                node, f"{label} wants a list; write [{'...' if len(node.text) > LONGEST_ECHO else node.text}]"
            )
        if not isinstance(node, Sequence):
            return self._bad(node, f"{label} wants a list; this is {kind_of(node)}")
        values = [self._read(wanted.item_type, item, label) for item in node.items]
        if len(values) < (wanted.min_length or 0):
            return self._bad(node, f"{label} is empty; it wants at least one")
        return _BAD if any(isinstance(value, _Bad) for value in values) else tuple(values)

    def _mapping(self, node: Node, label: str) -> Mapping | None:
        """Return the node as a mapping. Nothing at all, such as `public:`, is an empty one."""
        if isinstance(node, Mapping):
            return node
        if isinstance(node, Scalar) and node.kind == "nothing":
            return Mapping({}, node.place)
        self._faults.add(node.place, f"{label} wants a mapping, such as {{name: value}}; this is {kind_of(node)}")
        return None

    def _bad(self, node: Node, message: str) -> _Bad:
        self._faults.add(node.place, message)
        return _BAD


_UNION_KINDS: Final[MappingType[type[inspect.Type], str]] = {
    inspect.StrType: "text",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.VarTupleType: "a list",
    inspect.DictType: "a mapping",
}


@cache
def noun_of(kind: type[msgspec.Struct]) -> str:
    """Return a struct's name as words: `UseCase` is a "use case"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()


def short_forms(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the structs within `kind` that have a short form: by name, the field that it stands for."""
    found: dict[str, str] = {}
    waiting: list[inspect.Type] = [_describe(kind)]
    while waiting:
        wanted = waiting.pop()
        if isinstance(wanted, inspect.StructType):
            short = getattr(wanted.cls, "short_form", None)
            if short is not None:
                found[wanted.cls.__name__] = short
            waiting.extend(field.type for field in wanted.fields)
        elif isinstance(wanted, inspect.UnionType):
            waiting.extend(wanted.types)
        elif isinstance(wanted, inspect.Metadata):
            waiting.append(wanted.type)
        elif isinstance(wanted, inspect.DictType):
            waiting.append(wanted.value_type)
        elif isinstance(wanted, inspect.VarTupleType):
            waiting.append(wanted.item_type)
    return dict(sorted(found.items()))


@cache
def _kind_of_name(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


@cache
def _fields_of(kind: type[msgspec.Struct]) -> dict[str, None]:
    return {field.encode_name: None for field in _describe(kind).fields}


@cache
def _describe(kind: type[msgspec.Struct]) -> inspect.StructType:
    return cast("inspect.StructType", inspect.type_info(kind))


def _one_of(node: Scalar, words: list[str]) -> str:
    if node.text in words:
        return node.text
    raise Misread(f'"{node.text[:LONGEST_ECHO]}" is not known{suggestion(node.text, words)}')


def _within(wanted: inspect.IntType | inspect.FloatType, value: Number) -> Number:
    return _bounded(value, wanted.ge, wanted.gt, wanted.le)


def _bounded(value: Number, least: Any, above: Any, most: Any) -> Number:
    """Hold a number against its bounds: at least, more than, at most."""
    if least is not None and value < Decimal(str(least)):
        raise Misread(f"is {value}; it must be {least} or more")
    if above is not None and value <= Decimal(str(above)):
        raise Misread(f"is {value}; it must be more than {above}")
    if most is not None and value > Decimal(str(most)):
        hint = f"; write {value / PERCENT} for {value} %" if most == 1 and value <= PERCENT else ""
        raise Misread(f"is {value}; it must be {most} or less{hint}")
    return value


_SCALARS: Final[MappingType[type[inspect.Type], tuple[str, Callable[[Any, Scalar, tzinfo], Any]]]] = {
    inspect.StrType: ("text", lambda _, node, __: read_text(node)),
    inspect.BoolType: ("true or false", lambda _, node, __: read_boolean(node)),
    inspect.IntType: ("a whole number", lambda wanted, node, _: _within(wanted, read_whole(node))),
    inspect.FloatType: ("a number", lambda wanted, node, _: float(_within(wanted, read_decimal(node)))),
    inspect.DecimalType: ("a number", lambda _, node, __: read_decimal(node)),
    inspect.DateTimeType: ("a date", lambda _, node, zone: read_moment(node, zone)),
    inspect.EnumType: ("a word", lambda wanted, node, _: wanted.cls(_one_of(node, [m.value for m in wanted.cls]))),
    inspect.LiteralType: ("a word", lambda wanted, node, _: _one_of(node, list(wanted.values))),
}
"""What single values are called, and how each is read."""
