"""What stands in a prompt beside text: files, pictures, addresses to fetch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline.catalog.requests import Form, Part
from trunkline.messages import Asked

# A name in JSON can be written without its letters only by `\u` escapes; text that speaks of "type" escapes its quotes.
TYPE = b'"type"'
ESCAPE = b"\\u"


class PartUse(msgspec.Struct, frozen=True):
    """A piece of the prompt that is more than text: in which field, what it is, and which feature it uses."""

    field: str
    modality: str | None = None
    feature: str | None = None


def is_plain(messages: bytes) -> bool:
    """Whether messages hold nothing but text for sure, told without reading them."""
    # A single byte is found several times faster than two, and most prompts have no backslash.
    return TYPE not in messages and (ESCAPE[:1] not in messages or ESCAPE not in messages)


def find_parts(form: Form, asked: Asked) -> tuple[PartUse, ...]:
    """Return what the prompt holds beside text, each kind once."""
    raw = asked.fields.get(form.messages or "")
    if raw is None or not form.parts:
        return ()
    text = bytes(raw)
    if is_plain(text):
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
    if piece.get("type") != part.type:
        return None
    feature = part.feature
    if part.at is not None:
        there = _at(piece, part.at)
        if not isinstance(there, str) or (part.unless_begins is not None and there.startswith(part.unless_begins)):
            feature = None
    if feature is None and part.modality is None:
        return None
    return PartUse(form.messages or "", part.modality, feature)


def _at(value: Any, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
