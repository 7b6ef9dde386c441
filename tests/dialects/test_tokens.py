from __future__ import annotations

import base64

import msgspec
import pytest

from trunkline.dialects.tokens import PICTURE, estimate_prompt, estimate_tokens

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60_000)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(60_000)).decode()
WEBP = base64.b64encode(b"RIFF\x00\x01\x02\x03WEBP" + bytes(60_000)).decode()
WAVE = base64.b64encode(b"RIFF\x00\x01\x02\x03WAVE" + bytes(60_000)).decode()


def raw(*texts: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(list(texts)))


@pytest.mark.parametrize("picture", [PNG, JPEG, WEBP, f"data:image/jpeg;base64,{JPEG}", JPEG.replace("/", "_")])
def test_a_picture_is_estimated_as_one_and_not_as_text(picture: str) -> None:
    text = "x" * 4_000
    expected = estimate_tokens(len(text)) + 2 * PICTURE
    assert abs(estimate_prompt((raw(text, picture, picture),)) - expected) < 30


def test_a_picture_with_escapes_is_one_too() -> None:
    assert estimate_prompt((msgspec.Raw(b'["\\/9j\\/%b"]' % (b"A" * 60_000)),)) < PICTURE + 10


def test_all_else_is_estimated_by_its_bytes() -> None:
    for other in (WAVE, "iVBORw0KGgo " * 1_000, "x" * 9_000):
        assert abs(estimate_prompt((raw(other),)) - estimate_tokens(len(other))) < 3
