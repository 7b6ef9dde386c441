"""Requests whose tools and pieces have no type, and whose limits stand within another field."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from trunkline.dialects.gemini.dialect import GEMINI
from trunkline.errors import NotPermitted
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.stages import Permitted
from trunkline.estate.use_cases import Parameters
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.permit import permit
from trunkline.policy.surroundings import Surroundings
from trunkline.tenancy.callers import Caller

CALLER = Caller(key=KeyId("key_1"), unit="sales", cost_centre="CC-1400")
DOOR = "/v1beta/models/general-chat:generateContent"
HELLO: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "hello"}]}]
FUNCTIONS = {"functionDeclarations": [{"name": "f"}]}


def asked(data_class: str | None = "restricted", **fields: Any) -> Asked:
    body = {"contents": HELLO, **fields}
    return msgspec.structs.replace(
        GEMINI.decode(Operation.CHAT, json.dumps(body).encode(), DOOR, ""), data_class=data_class
    )


def piece(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "parts": [part]}]


def sent(permitted: Permitted, deployment: str) -> dict[str, Any]:
    rewrites = [(one.field, one.value) for one in permitted.rewrites if one.holds_at(deployment)]
    body: dict[str, Any] = json.loads(GEMINI.encode(permitted.asked, "m", None, rewrites))
    return body


@pytest.fixture(scope="module")
def snapshot(acme: Estate, surroundings: Surroundings, now: int) -> Snapshot:
    return compile_estate(acme, surroundings, now)


def limited(acme: Estate, surroundings: Surroundings, now: int, **limits: Any) -> Snapshot:
    chat = msgspec.structs.replace(acme.use_cases["general-chat"], data_class="public", parameters=Parameters(**limits))
    estate = msgspec.structs.replace(acme, use_cases=acme.use_cases | {"general-chat": chat})
    return compile_estate(estate, surroundings, now)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [FUNCTIONS]},
        {"tools": [{"function_declarations": []}, {"googleSearch": None}]},
        {"contents": piece({"text": 'say "fileData" and \\"fileUri\\"'})},
        {"contents": piece({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})},
        {"store": None},
        {"safetySettings": []},
    ],
)
def test_what_stays_within_the_call_goes_everywhere(snapshot: Snapshot, fields: dict[str, Any]) -> None:
    permitted = permit(snapshot, CALLER, asked(**fields))
    assert permitted.rewrites == ()
    assert [one.deployment for one in permitted.decision.all_allowed] == ["gpt-reserved", "mistral-house", "smol"]


@pytest.mark.parametrize(
    ("field", "value", "feature"),
    [
        ("tools", [{"googleSearch": {}}], "web_search"),
        ("tools", [{"google_search": {}}], "web_search"),
        ("tools", [{"google_search_retrieval": {}}], "web_search"),
        ("tools", [FUNCTIONS | {"urlContext": {}}], "fetched_url"),
        ("tools", [FUNCTIONS, {"code_execution": {}}], "code_interpreter"),
        ("tools", [{"fileSearch": {}}], "file_search"),
        ("tools", [{"googleMaps": {}}], "maps_grounding"),
        ("tools", [{"mindReading": {}}], "remote_tool"),
        ("tools", {"googleSearch": {}}, "remote_tool"),
        ("tools", "everything", "remote_tool"),
        ("cached_content", "cachedContents/x", "extended_prompt_cache"),
        ("contents", piece({"fileData": {"fileUri": "x"}}), "files"),
        ("contents", piece({"file_data": {"file_uri": "x", "mime_type": "image/png"}}), "fetched_url"),
    ],
)
def test_what_reaches_out_is_refused_where_no_claim_covers_it(
    snapshot: Snapshot, field: str, value: Any, feature: str
) -> None:
    with pytest.raises(NotPermitted) as refusal:
        permit(snapshot, CALLER, asked(**{field: value}))
    named = {"cached_content": "cachedContent"}.get(field, field)
    assert (refusal.value.code, refusal.value.param) == ("request_not_permitted", named)
    if field != "contents":
        assert f"uses {feature} in `{named}`" in str(refusal.value)


def test_an_answer_is_not_stored_where_the_class_forbids_it(snapshot: Snapshot) -> None:
    permitted = permit(snapshot, CALLER, asked(store=True))
    assert sent(permitted, "gpt-reserved")["store"] is False


@pytest.mark.parametrize(
    ("config", "becomes"),
    [
        (None, {"maxOutputTokens": 200}),
        ({}, {"maxOutputTokens": 200}),
        ({"temperature": 0.5}, {"temperature": 0.5, "maxOutputTokens": 200}),
        ({"maxOutputTokens": 500, "topK": 3}, {"maxOutputTokens": 200, "topK": 3}),
        ({"max_output_tokens": 500}, {"maxOutputTokens": 200}),
        ({"maxOutputTokens": 50}, {"maxOutputTokens": 50}),
        ({"maxOutputTokens": None}, {"maxOutputTokens": 200}),
    ],
)
def test_an_output_limit_is_kept_beside_all_else_that_is_configured(
    acme: Estate, surroundings: Surroundings, now: int, config: Any, becomes: dict[str, Any]
) -> None:
    fields = {} if config is None else {"generationConfig": config}
    permitted = permit(limited(acme, surroundings, now, max_output_tokens=200), CALLER, asked(None, **fields))
    assert sent(permitted, "smol")["generationConfig"] == becomes
    assert permitted.asked.output_limit == becomes["maxOutputTokens"]


@pytest.mark.parametrize(
    ("limits", "given"),
    [
        ({"tools": False}, {"tools": [FUNCTIONS]}),
        ({"tools": ("function",)}, {"tools": [{"codeExecution": {}}]}),
        ({"answers": 1}, {"generationConfig": {"candidateCount": 2}}),
        ({"modalities": ("text",)}, {"contents": piece({"inline_data": {"mime_type": "image/png"}})}),
        ({"modalities": ("image",)}, {"contents": piece({"inlineData": {"mimeType": "audio/wav"}})}),
        ({"modalities": ("image",)}, {"generationConfig": {"responseModalities": ["AUDIO"]}}),
        ({"modalities": ("image",)}, {"generationConfig": {"response_modalities": ["AUDIO"]}}),
    ],
)
def test_what_the_use_case_does_not_let_a_request_ask_for_is_refused(
    acme: Estate, surroundings: Surroundings, now: int, limits: dict[str, Any], given: dict[str, Any]
) -> None:
    with pytest.raises(NotPermitted) as refusal:
        permit(limited(acme, surroundings, now, **limits), CALLER, asked(None, **given))
    assert refusal.value.code == "parameter_not_permitted"


@pytest.mark.parametrize(
    ("limits", "given"),
    [
        ({"tools": ("function",)}, {"tools": [FUNCTIONS]}),
        ({"tools": ("codeExecution",)}, {"tools": [{"codeExecution": {}}]}),
        ({"modalities": ("image",)}, {"contents": piece({"inlineData": {"mimeType": "image/png"}})}),
        ({"modalities": ("image",)}, {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}),
    ],
)
def test_what_the_use_case_lets_a_request_ask_for_passes_as_it_is(
    acme: Estate, surroundings: Surroundings, now: int, limits: dict[str, Any], given: dict[str, Any]
) -> None:
    assert permit(limited(acme, surroundings, now, **limits), CALLER, asked(None, **given)).rewrites == ()
