"""Reading requests so that nothing is lost unseen: fields are taken one by one, and what is left is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Self

import msgspec

from trunkline.dialects.fields import is_nothing
from trunkline.dialects.neutral import Inline, Uncarried
from trunkline.errors import Malformed

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decoders = {kind: msgspec.json.Decoder(kind).decode for kind in (str, bool, int, float, dict[str, str], list[str])}
_CALLED: Final = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list[str]: "a list of texts",
    dict[str, str]: "an object of texts",
}


class Taking:
    """An object of a request. What nobody takes from it, `leave` names as uncarried.

    A field that is null counts as not given.
    """

    __slots__ = ("_fields", "at", "lost")

    def __init__(self, fields: dict[str, msgspec.Raw], at: str, lost: list[Uncarried]) -> None:
        self._fields = fields
        self.at = at
        self.lost = lost

    def __contains__(self, name: str) -> bool:
        raw = self._fields.get(name)
        return raw is not None and not is_nothing(raw)

    def where(self, name: str) -> str:
        """How a field of this object is called in messages."""
        return f"{self.at}.{name}" if self.at else name

    def raw(self, name: str) -> msgspec.Raw | None:
        """Take a field as it was written."""
        raw = self._fields.pop(name, None)
        return None if raw is None or is_nothing(raw) else raw

    def text(self, name: str) -> str | None:
        """Take a text."""
        taken: str | None = self._take(name, str)
        return taken

    def needed(self, name: str) -> str:
        """Take a text that must be there."""
        taken = self.text(name)
        if taken is None:
            raise self._missing(name)
        return taken

    def is_text(self, name: str) -> bool:
        """Whether a field is a text, which is left to be taken."""
        raw = self._fields.get(name)
        return raw is not None and is_text(raw)

    def inline(self, name: str) -> Inline | None:
        """Take a text that may be large, as it stands in the request."""
        raw = self.raw(name)
        if raw is None:
            return None
        if not is_text(raw):
            raise _wrong(self.where(name), _CALLED[str], "not a text")
        return Inline(memoryview(raw)[1:-1])

    def needed_inline(self, name: str) -> Inline:
        """Take a text that may be large, and must be there."""
        taken = self.inline(name)
        if taken is None:
            raise self._missing(name)
        return taken

    def flag(self, name: str) -> bool | None:
        """Take true or false."""
        taken: bool | None = self._take(name, bool)
        return taken

    def whole(self, name: str) -> int | None:
        """Take a whole number."""
        taken: int | None = self._take(name, int)
        return taken

    def number(self, name: str) -> float | None:
        """Take a number."""
        taken: float | None = self._take(name, float)
        return taken

    def texts(self, name: str) -> list[str] | None:
        """Take a list of texts."""
        taken: list[str] | None = self._take(name, list[str])
        return taken

    def mapping(self, name: str) -> dict[str, str] | None:
        """Take an object of texts."""
        taken: dict[str, str] | None = self._take(name, dict[str, str])
        return taken

    def inner(self, name: str) -> Self | None:
        """Take an object."""
        raw = self.raw(name)
        return None if raw is None else self._open(raw, self.where(name))

    def inners(self, name: str) -> Iterator[Self]:
        """Take a list of objects."""
        raw = self.raw(name)
        if raw is not None:
            yield from self.each(raw, name)

    def each(self, raw: msgspec.Raw, name: str) -> Iterator[Self]:
        """Read a list of objects that was taken raw."""
        where = self.where(name)
        try:
            listed = _decode_list(raw)
        except msgspec.DecodeError as error:
            raise _wrong(where, "a list", error) from error
        for index, item in enumerate(listed):
            yield self._open(item, f"{where}[{index}]")

    def lose(self, name: str, why: str, *, hint: bool = False) -> None:
        """Take a field that has no neutral meaning, and name it; a field that is not given is no loss."""
        if self.raw(name) is not None:
            self.lost.append(Uncarried(self.where(name), why, hint))

    def ignore(self, *names: str) -> None:
        """Take fields that say nothing which the neutral form would have to carry."""
        for name in names:
            self._fields.pop(name, None)

    def leave(self, why: str) -> None:
        """Name everything that was not taken."""
        for name in tuple(self._fields):
            self.lose(name, why)

    def _missing(self, name: str) -> Malformed:
        where = self.where(name)
        return Malformed(f"`{where}` is missing.", code="missing_field", param=where)

    def _take(self, name: str, kind: Any) -> Any:
        raw = self.raw(name)
        if raw is None:
            return None
        try:
            return _decoders[kind](raw)
        except msgspec.DecodeError as error:
            raise _wrong(self.where(name), _CALLED[kind], error) from error

    def _open(self, raw: msgspec.Raw, where: str) -> Self:
        try:
            return type(self)(_decode_fields(raw), where, self.lost)
        except msgspec.DecodeError as error:
            raise _wrong(where, "an object", error) from error


def is_text(raw: msgspec.Raw) -> bool:
    """Whether a value as it was written is a text."""
    return bytes(memoryview(raw)[:1]) == b'"'


def read_text(raw: msgspec.Raw, where: str) -> str:
    """Read a text that was taken raw.

    Raises:
        Malformed: it is none.
    """
    try:
        return _decode_text(raw)
    except msgspec.DecodeError as error:
        raise _wrong(where, "text", error) from error


def _wrong(where: str, wanted: str, error: msgspec.DecodeError | str) -> Malformed:
    return Malformed(f"`{where}` must be {wanted}.", code="invalid_type", param=where, inside=str(error))
