"""What stands in a prompt beside text: files, pictures, addresses to fetch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline.catalog.requests import Form, Part
from trunkline.messages import Asked

# A name in JSON can be written without its letters only by `\u` escapes; text that speaks of "type" escapes its quotes.
ESCAPE = b"\\u"


class PartUse(msgspec.Struct, frozen=True):
    """A piece of the prompt that is more than text: in which field, what it is, and which feature it uses."""

    field: str
    modality: str | None = None
    feature: str | None = None


def is_plain(messages: bytes, marks: tuple[bytes, ...]) -> bool:
    """Whether messages hold nothing but text for sure, told without reading them.

    Args:
        messages: as JSON.
        marks: of their form.
    """
    for mark in marks:
        if mark in messages:
            return False
    # A single byte is found several times faster than two, and most prompts have no backslash.
    return ESCAPE[:1] not in messages or ESCAPE not in messages


def find_parts(form: Form, asked: Asked) -> tuple[PartUse, ...]:
    """Return what the prompt holds beside text, each kind once."""
    raw = asked.fields.get(form.messages or "")
    if raw is None or not form.parts:
        return ()
    text = bytes(raw)
    if is_plain(text, form.marks):
        return ()
    found = (_use(form, part, piece) for piece in _pieces(msgspec.json.decode(text)) for part in form.parts)
    return tuple(dict.fromkeys(use for use in found if use is not None))


def _pieces(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a value, at whatever depth: providers take pieces within tool results, too."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _use(form: Form, part: Part, piece: dict[str, Any]) -> PartUse | None:
    if not _is_meant(part, piece):
        return None
    feature = part.feature
    if part.at is not None:
        there = _at(piece, part.at)
        if not isinstance(there, str) or (part.unless_begins is not None and there.startswith(part.unless_begins)):
            feature = None
    if feature is None and part.modality is None:
        return None
    return PartUse(form.messages or "", part.modality, feature)


def _is_meant(part: Part, piece: dict[str, Any]) -> bool:
    if part.type is not None:
        return piece.get("type") == part.type
    inside = next((piece[name] for name in part.names if name in piece), None)
    if not isinstance(inside, dict):
        return False
    mime = str(next((inside[name] for name in part.mime_in if name in inside), "")).lower()
    return (not part.mimes or mime.startswith(part.mimes)) and not mime.startswith(part.other_mimes)


def _at(value: Any, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
