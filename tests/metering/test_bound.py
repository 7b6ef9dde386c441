from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.dialects.registry import find_door
from trunkline.estate.unit_prices import MediaPrice, UnitPrice, Variant
from trunkline.messages import Asked
from trunkline.metering.bound import holds_media
from trunkline.metering.price_call import hold
from trunkline.money import Pico

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
COHERE, GEMINI = "/v2/chat", "/v1beta/models/m:generateContent"
FUNCTION = {"name": "weather", "description": "Says whether it rains.", "parameters": {"type": "object"}}
HEARD = MediaPrice(Pico(1_000), Pico(700), Pico(900), Pico(30), Pico(9_000), Pico(2_500))
PRICE = UnitPrice(input=Pico(300), output=Pico(2_500), cache_read=Pico(30), media=HEARD)


def asked(path: str, fields: dict[str, Any]) -> Asked:
    door = find_door(path)
    assert door is not None
    return door.dialect.decode(door.operation, json.dumps({"model": "m"} | fields).encode(), path, "")


def said(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]} | more


def gemini(part: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [part]}]} | more


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, said("An \"image\" of audio, ü, a file \\\\ and 'video'?")),
        (CHAT, said([{"type": "text", "text": "hi"}], tools=[{"type": "function", "function": FUNCTION}])),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}),
        (MESSAGES, said([{"type": "text", "text": "hi"}], max_tokens=9, system="Be kind.")),
        (COHERE, said("hi")),
        (GEMINI, gemini({"text": "hi"}, tools=[{"functionDeclarations": [FUNCTION]}])),
    ],
)
def test_a_prompt_of_text_alone_is_told_from_others(path: str, fields: dict[str, Any]) -> None:
    assert not holds_media(asked(path, fields))


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, said([{"type": "image_url", "image_url": {"url": "https://a.example"}}])),
        (CHAT, said([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}])),
        (CHAT, said([{"type": "file", "file": {"file_id": "f"}}])),
        (CHAT, said("hi", modalities=["text", "audio"])),
        (CHAT, said([{"type": "video_url", "video_url": {"url": "https://a.example"}}])),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        (RESPONSES, {"input": "hi", "previous_response_id": "resp_1"}),
        (RESPONSES, {"input": "hi", "conversation": "conv_1"}),
        (RESPONSES, {"prompt": {"id": "p"}}),
        (RESPONSES, {"input": "hi", "tools": [{"type": "web_search"}]}),
        (MESSAGES, said([{"type": "image", "source": {"type": "url", "url": "https://a.example"}}], max_tokens=9)),
        (MESSAGES, said([{"type": "document", "source": {"type": "file", "file_id": "f"}}], max_tokens=9)),
        (COHERE, said([{"type": "image_url", "image_url": {"url": "https://a.example"}}])),
        (GEMINI, gemini({"inlineData": {"mimeType": "audio/wav", "data": ""}})),
        (GEMINI, gemini({"inline_data": {"mime_type": "audio/wav", "data": ""}})),
        (GEMINI, gemini({"fileData": {"fileUri": "f"}})),
        (GEMINI, gemini({"text": "hi"}, cachedContent="cachedContents/1")),
        (GEMINI, gemini({"text": "hi"}, tools=[{"urlContext": {}}])),
    ],
)
def test_what_may_bring_sound_or_pictures_into_a_prompt_is_never_taken_for_text(
    path: str, fields: dict[str, Any]
) -> None:
    assert holds_media(asked(path, fields))


def test_a_name_that_is_spelt_with_escapes_is_no_way_around() -> None:
    door = find_door(CHAT)
    assert door is not None
    body = b'{"model":"m","messages":[{"role":"user","content":[{"\\u0069nput_\\u0061udio":{}}]}]}'
    assert holds_media(door.dialect.decode(door.operation, body, CHAT, ""))


def test_text_is_held_at_its_own_price_and_an_answer_may_always_be_sound() -> None:
    assert hold(1_000, 0, 1, PRICE, media=False) == 1_000 * 300 // 1_000
    assert hold(1_000, 0, 1, PRICE) == 1_000 * 1_000 // 1_000
    assert hold(0, 1_000, 1, PRICE, media=False) == 1_000 * 9_000 // 1_000
    variant = Variant(above=500, price=UnitPrice(input=Pico(600), output=Pico(1), media=HEARD))
    long = UnitPrice(input=Pico(300), output=Pico(1), media=HEARD, variants=(variant,))
    assert hold(1_000, 0, 1, long, media=False) == 1_000 * 600 // 1_000
