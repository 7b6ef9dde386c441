"""Pictures in requests: how often their bytes stand in memory, and that they come out as they went in."""

from __future__ import annotations

import base64
import json
import tracemalloc
from itertools import product
from typing import Any

import pytest
from tests.dialects.ways import There, door_of

from trunkline.dialects.dialect import Dialect
from trunkline.dialects.registry import ALL
from trunkline.dialects.translate import translate
from trunkline.messages import Asked, Operation

CHATS = {dialect.name: dialect for dialect in ALL if dialect.chat is not None}
PICTURE = base64.b64encode(b"\xfb\xef\xbe" * 300_000).decode()
URL = f"data:image/png;base64,{PICTURE}"
LOOK = "look"
IMAGE_URL: dict[str, Any] = {"type": "image_url", "image_url": {"url": URL}}
REQUESTS: dict[str, dict[str, Any]] = {
    "openai": {"messages": [{"role": "user", "content": [{"type": "text", "text": LOOK}, IMAGE_URL]}]},
    "cohere": {"messages": [{"role": "user", "content": [{"type": "text", "text": LOOK}, IMAGE_URL]}]},
    "anthropic": {
        "max_tokens": 9,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": LOOK},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
                ],
            }
        ],
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": LOOK}, {"inlineData": {"mimeType": "image/png", "data": PICTURE}}]}
        ]
    },
    "responses": {
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": LOOK}, {"type": "input_image", "image_url": URL}],
            }
        ]
    },
}
PAIRS = list(product(CHATS, CHATS))


def body_of(name: str) -> bytes:
    return json.dumps({"model": "m", **REQUESTS[name]}).encode()


def read(dialect: Dialect, body: bytes) -> Asked:
    return dialect.decode(Operation.CHAT, body, door_of(dialect), "")


def send(here: Dialect, there: Dialect, body: bytes, instructions: str | None) -> bytes:
    """What comes of a request on its way from its caller to a deployment."""
    asked = read(here, body)
    if here is there:
        return here.encode(asked, "there", instructions, ())
    return translate(asked, (here, there), There(), instructions, ()).body


def added(here: Dialect, there: Dialect, body: bytes, instructions: str | None) -> tuple[float, bytes]:
    """How much memory a request takes at the worst moment beside its own bytes, in its size."""
    tracemalloc.start()
    try:
        sent = send(here, there, body, instructions)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak / len(body), sent


@pytest.mark.parametrize(("instructions", "most"), [(None, 1.1), ("Be kind.", 2.1)], ids=["alone", "instructed"])
@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_a_picture_stands_in_memory_twice_more_at_the_most(
    here: str, there: str, instructions: str | None, most: float
) -> None:
    times, sent = added(CHATS[here], CHATS[there], body_of(here), instructions)
    assert times < most
    assert PICTURE.encode() in sent
    assert LOOK.encode() in sent


@pytest.mark.parametrize("there", sorted(CHATS))
def test_a_picture_in_the_alphabet_of_addresses_does_so_too(there: str) -> None:
    body = body_of("gemini").replace(b"+", b"-").replace(b"/", b"_").replace(b"image_png", b"image/png")
    times, sent = added(CHATS["gemini"], CHATS[there], body, None)
    assert times < 2.1
    assert (PICTURE.encode() in sent) == (there != "gemini")


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_a_picture_written_with_escapes_is_the_same_picture(here: str, there: str) -> None:
    """As PHP and .NET write it by default."""
    body = body_of(here).replace(b"/", b"\\/").replace(b"+", b"\\u002B")
    sent = read(CHATS[there], send(CHATS[here], CHATS[there], body, None))
    plain = read(CHATS[there], send(CHATS[here], CHATS[there], body_of(here), None))
    assert {name: json.loads(bytes(raw)) for name, raw in sent.fields.items()} == {
        name: json.loads(bytes(raw)) for name, raw in plain.fields.items()
    }
