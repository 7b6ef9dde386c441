"""An answer that ended for a reason that only its provider has is told in that one's word, where there is a place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.dialects.test_placed import ASKED, chat_of, found

from trunkline.dialects.deltas import ENDED as ENDING
from trunkline.dialects.gemini.answers import read_answer
from trunkline.dialects.gemini.events import ContentReader
from trunkline.dialects.registry import ALL

MALFORMED = "MALFORMED_FUNCTION_CALL"
CANDIDATE = {"content": {"parts": [{"text": "hi"}], "role": "model"}, "finishReason": MALFORMED, "index": 0}
ENDED = json.dumps({"candidates": [CANDIDATE], "modelVersion": "m", "responseId": "r"}).encode()
DOORS = {dialect.name: dialect for dialect in ALL if dialect.chat is not None}
TOLD = {
    "openai": {"finish_reason": "stop", "native_finish_reason": MALFORMED},
    "responses": {"status": "incomplete", "reason": MALFORMED},
    "anthropic": {"stop_reason": "end_turn"},
    "gemini": {"finishReason": "OTHER", "finishMessage": MALFORMED},
    "cohere": {"finish_reason": "ERROR"},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", sorted(DOORS))
def test_a_reason_that_nobody_else_has_is_told_in_the_providers_word(name: str, stream: bool) -> None:
    chat = chat_of(DOORS[name])
    told: list[Any] = []
    if stream:
        reader, writer = ContentReader(), chat.writer(ASKED)
        deltas = [*reader.take(b"data: " + ENDED + b"\n\n"), ENDING]
        lines = b"".join(writer.write(delta) for delta in deltas).split(b"\n")
        told = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    else:
        told = [json.loads(chat.write_answer(ASKED, read_answer(ENDED)))]
    for field, value in TOLD[name].items():
        assert value in found(told, field)


def test_every_word_for_an_end_has_one_at_every_door() -> None:
    assert set(TOLD) == set(DOORS)
