from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import pytest

from trunkline.dialects.bodies import write_fields
from trunkline.dialects.fields import LARGE
from trunkline.messages import Asked, Operation


def asked(size: int) -> Asked:
    return Asked(Operation.CHAT, "openai", "m", {}, prompt_bound=size)


@pytest.mark.parametrize("fields", [{}, {"a": 1}, {"a": [1, 2.50], 'b"\u00fc': None, "c": {"d": "e"}}])
def test_a_large_body_is_the_same_as_a_small_one(fields: dict[str, Any]) -> None:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    assert write_fields(asked(LARGE + 1), raw) == write_fields(asked(0), raw) == msgspec.json.encode(fields)


def test_a_large_body_is_written_in_one_copy() -> None:
    value = msgspec.Raw(b'"%b"' % (b"x" * 3 * LARGE))
    tracemalloc.start()
    try:
        body = write_fields(asked(4 * LARGE), {"model": msgspec.Raw(b'"m"'), "input": value})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * len(body)
