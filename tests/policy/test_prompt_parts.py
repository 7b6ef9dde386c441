from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from trunkline.catalog.requests import Form, load_forms
from trunkline.messages import Asked, Operation
from trunkline.policy.prompt_parts import PartUse, find_parts, is_plain

CHAT = load_forms()["openai", "chat"]


@pytest.mark.parametrize(("messages", "plain"), [
    (rb'[{"role":"user","content":"hello"}]', True),
    (rb'[{"role":"user","content":"a\nb and \"type\""}]', True),
    (rb'[{"role":"user","content":[{"type":"text"}]}]', False),
    (rb'[{"role":"user","content":[{"\u0074ype":"text"}]}]', False),
    (rb'[{"role":"user","content":"caf\u00e9"}]', False),
])  # fmt: skip
def test_messages_are_plain_where_nothing_in_them_can_be_a_piece(messages: bytes, plain: bool) -> None:
    assert is_plain(messages, CHAT.marks) is plain


def parts(*pieces: Any, form: Form = CHAT) -> tuple[PartUse, ...]:
    raw = msgspec.Raw(json.dumps([{"role": "user", "content": list(pieces)}]).encode())
    return find_parts(form, Asked(Operation.CHAT, "openai", "m", {"messages": raw}))


GEMINI = load_forms()["gemini", "chat"]


@pytest.mark.parametrize(("piece", "found"), [
    ({"text": "inlineData"}, set()),
    ({"inlineData": {"mimeType": "image/png"}}, {("image", None)}),
    ({"inline_data": {"mime_type": "AUDIO/wav"}}, {("audio", None)}),
    ({"inlineData": {"mimeType": "application/pdf"}}, {("file", None)}),
    ({"inlineData": None}, set()),
    ({"fileData": {"fileUri": "https://a.example/x.png"}}, {("file", None), (None, "files"), (None, "fetched_url")}),
    (
        {"functionResponse": {"parts": [{"file_data": {"mime_type": "image/png"}}]}},
        {("image", None), (None, "files"), (None, "fetched_url")},
    ),
])  # fmt: skip
def test_pieces_without_a_type_are_known_by_the_field_that_they_have(piece: Any, found: set[Any]) -> None:
    raw = msgspec.Raw(json.dumps([{"parts": [piece]}]).encode())
    uses = find_parts(GEMINI, Asked(Operation.CHAT, "gemini", "m", {"contents": raw}))
    assert {(use.modality, use.feature) for use in uses} == found


def test_each_kind_of_piece_is_found_once_with_what_it_is_and_uses() -> None:
    kept = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    away = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    file = {"type": "file", "file": {"file_id": "file-1"}}
    picture, fetched = PartUse("messages", modality="image"), PartUse("messages", feature="fetched_url")
    assert parts({"type": "text", "text": "hi"}) == ()
    assert parts(kept) == (picture,)
    assert set(parts(kept, away, away)) == {picture, fetched}
    assert len(parts(kept, away, away)) == 2
    assert set(parts(file)) == {PartUse("messages", modality="file"), PartUse("messages", feature="files")}
    assert parts({"type": "file", "file": {"file_data": "AAAA"}}) == (PartUse("messages", modality="file"),)
    deep = {"type": "tool_result", "content": [{"deeper": [away]}]}
    assert set(parts(deep)) == {picture, fetched}


def test_where_nothing_is_known_of_pieces_none_is_found() -> None:
    piece = {"type": "image_url", "image_url": "https://example.org/a.png"}
    assert parts(piece, form=msgspec.structs.replace(CHAT, parts=())) == ()
    assert parts(piece, form=msgspec.structs.replace(CHAT, messages=None)) == ()
    assert find_parts(CHAT, Asked(Operation.CHAT, "openai", "m", {})) == ()
