"""Reads single values, strictly: text is not guessed to be a number, nor a number to be text."""

from __future__ import annotations

import re
from datetime import date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final

from trunkline.config.document import Scalar

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2200
MOST_WHOLE: Final = 10**18
MOST_AMOUNT: Final = Decimal(10) ** 12
MOST_PLACES: Final = 18
MOST_CHARACTERS: Final = 40

_BEYOND = MOST_AMOUNT * 2
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[-+]\d{2}:\d{2})?\Z")
_PLAIN_NUMBER = re.compile(r"[-+]?\d{1,30}(\.\d{1,30})?\Z")
_ENDLESS = re.compile(r"inf|nan", re.IGNORECASE)
_SWITCHES = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


class Misread(ValueError):
    """A value is not what is wanted; the message continues a sentence that starts with the field's name."""


def read_text(node: Scalar) -> str:
    """Return text. A number or `true` must stand in quotes to be text."""
    if node.kind == "nothing":
        raise Misread("has no value")
    if node.kind != "text":
        raise Misread(f"wants text; this is {node.kind}: put it in quotes")
    if not node.text.strip():
        raise Misread("is empty")
    return node.text


def read_boolean(node: Scalar) -> bool:
    """Return true or false, written as such."""
    if node.kind == "true or false":
        return node.text.lower() == "true"
    if (switch := _SWITCHES.get(node.text.lower())) is not None:
        raise Misread(f"wants true or false; write {switch}")
    raise _unlike(node, "true or false")


def read_whole(node: Scalar) -> int:
    """Return a whole number of at most 18 digits."""
    if node.kind != "a whole number":
        raise _unlike(node, "a whole number")
    base = {"0x": 16, "0o": 8}.get(node.text[:2], 10)
    if len(node.text) > MOST_CHARACTERS or abs(value := int(node.text, base)) > MOST_WHOLE:
        raise Misread("is too large")
    return value


def read_decimal(node: Scalar) -> Decimal:
    """Return a number exactly as it is written: never by way of a float, up to a million million."""
    if node.kind == "a whole number":
        return Decimal(read_whole(node))
    if node.kind != "a number":
        raise _unlike(node, "a number")
    if len(node.text) > MOST_CHARACTERS:
        raise Misread(f"is longer than {MOST_CHARACTERS} characters")
    if _ENDLESS.search(node.text):
        raise Misread("must be a finite number")
    try:
        value = Decimal(node.text)
    except InvalidOperation:  # an exponent of more than 18 digits
        value = _BEYOND
    places = value.as_tuple().exponent
    if value.copy_abs() > MOST_AMOUNT or not isinstance(places, int) or abs(places) > MOST_PLACES:
        raise Misread(f"is out of range; write at most {MOST_AMOUNT:,f}, with at most {MOST_PLACES} decimals")
    return value


def read_moment(node: Scalar, zone: tzinfo) -> datetime:
    """Return an aware time: an RFC 3339 time as it is, a date as the end of that day in `zone`."""
    bare = is_bare_date(node)
    if not bare and _MOMENT.match(node.text) is None:
        raise Misread("wants a date such as 2027-04-02, or a time such as 2027-04-02T18:00:00+02:00")
    try:
        if bare:
            moment = datetime.combine(date.fromisoformat(node.text), time.max, zone)
        else:
            moment = datetime.fromisoformat(node.text.upper().replace(" ", "T"))
    except ValueError as problem:
        raise Misread(f'"{node.text[:40]}" is no date: {problem}') from None
    if moment.tzinfo is None:
        raise Misread("has a time without a zone; end it with Z or an offset such as +02:00")
    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise Misread(f"is out of range; years run from {FIRST_YEAR} to {LAST_YEAR}")
    return moment


def _unlike(node: Scalar, wanted: str) -> Misread:
    """Say what stands there instead, and what to write where that can be told."""
    if node.kind != "text":
        found = node.text if node.kind == "a number" else node.kind
        return Misread("has no value" if node.kind == "nothing" else f"wants {wanted}; this is {found}")
    bare = node.text.strip().replace("_", "").replace(",", "").replace(" ", "")
    if wanted == "true or false":
        return Misread(
            f"wants true or false{', without quotes' if bare.lower() in {'true', 'false'} else '; this is text'}"
        )
    if bare.endswith("%") and _PLAIN_NUMBER.match(bare[:-1]):
        return Misread(f"wants {wanted}; write {Decimal(bare[:-1]) / 100} for {bare}")
    if _PLAIN_NUMBER.match(bare):
        return Misread(f"wants {wanted}; write {bare}, without {'separators' if bare != node.text else 'quotes'}")
    return Misread(f"wants {wanted}; this is text")


def is_bare_date(node: Scalar) -> bool:
    """Say whether a time was written as a date alone."""
    return _DATE.match(node.text) is not None
