"""The few facts of a GGUF file that decide how it is served, read from its header alone.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian). The `gguf` package
reads every token of the vocabulary for the same answer, which takes a second for a large one.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

from trunkline.errors import EngineUnusable

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MOST_ENTRIES = 100_000


class Header(msgspec.Struct, frozen=True):
    """What a GGUF says of its model.

    Attributes:
        context: the longest context it was trained on, in tokens.
        pooled: it turns a text into one vector: an embedding model, not one to chat with.
    """

    architecture: str
    context: int | None
    pooled: bool


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file.

    Raises:
        EngineUnusable: the file is missing, cannot be read, or is not a GGUF.
    """
    try:
        with path.open("rb") as file:
            facts = _entries(file, path)
    except OSError as fault:
        raise EngineUnusable(
            f"the weights {path} cannot be read: {fault.strerror}; check the path and its rights"
        ) from fault
    except (struct.error, ValueError, KeyError, OverflowError, RecursionError) as fault:
        raise EngineUnusable(f"{path} begins as a GGUF but its header is damaged; fetch the file again") from fault
    architecture = str(facts.get("general.architecture", ""))
    context = facts.get(f"{architecture}.context_length")
    return Header(architecture, int(context) if context else None, f"{architecture}.pooling_type" in facts)


def _entries(file: BinaryIO, path: Path) -> dict[str, str | float]:
    if file.read(4) != _MAGIC:
        raise EngineUnusable(
            f"{path} is not a GGUF file; `engine.weights` takes what llama.cpp reads: a file in that format"
        )
    (version,) = _take(file, "I")
    if version not in _VERSIONS:
        raise EngineUnusable(
            f"{path} is a GGUF of version {version}; versions 2 and 3 are understood: convert it again"
        )
    _tensors, count = _take(file, "QQ")
    facts: dict[str, str | float] = {}
    for _ in range(min(count, _MOST_ENTRIES)):
        key = _text(file)
        (kind,) = _take(file, "I")
        if (value := _value(file, kind)) is not None:
            facts[key] = value
    return facts


def _value(file: BinaryIO, kind: int) -> str | float | None:
    """Read a value; of an array only the place behind it matters."""
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        (number,) = _take(file, _SCALARS[kind])
        return float(number) if isinstance(number, float) else int(number)
    inner, length = _take(file, "IQ")
    if inner in _SCALARS:
        file.seek(struct.calcsize(_SCALARS[inner]) * length, 1)
        return None
    for _ in range(length):
        if inner == _STRING:
            (size,) = _take(file, "Q")
            file.seek(size, 1)
        else:
            _value(file, inner)
    return None


def _text(file: BinaryIO) -> str:
    (size,) = _take(file, "Q")
    return _exactly(file, size).decode()


def _take(file: BinaryIO, layout: str) -> tuple[int, ...]:
    layout = "<" + layout
    return struct.unpack(layout, _exactly(file, struct.calcsize(layout)))


def _exactly(file: BinaryIO, size: int) -> bytes:
    if size > 1 << 26 or len(data := file.read(size)) < size:
        raise struct.error
    return data
