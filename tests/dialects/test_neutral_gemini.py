"""Gemini's contents from and to the neutral form: what was asked and answered comes out as it went in."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.dialects.ways import There, deltas_of

from trunkline.dialects.deltas import ENDED, Cited, Failed, Kind, PartStarted, Piece, Signed, Stopped, Used
from trunkline.dialects.gemini.answers import read_answer, write_answer
from trunkline.dialects.gemini.codec import WIDEST, decode, encode, find_door, limit, path
from trunkline.dialects.gemini.errors import read_failure, refusal_body
from trunkline.dialects.gemini.events import ContentReader, ContentWriter
from trunkline.dialects.gemini.names import MODELS
from trunkline.dialects.gemini.proto import seal_bytes, unseal_bytes
from trunkline.dialects.gemini.read_generate import read_request
from trunkline.dialects.gemini.schema import as_json_schema
from trunkline.dialects.gemini.stream import ContentStream
from trunkline.dialects.gemini.write_generate import write_request
from trunkline.dialects.neutral import (
    Candidate,
    Choice,
    Citation,
    Conversation,
    Document,
    Failure,
    Image,
    Inline,
    Message,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Source,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Trouble,
)
from trunkline.errors import Garbled, Malformed, OverBudget
from trunkline.messages import Asked, Operation, Usage
from trunkline.wire.sse import Framer

GOLDEN = Path(__file__).parents[1] / "golden" / "gemini"
DOOR = f"{MODELS}/m:generateContent"
STREAM = f"{MODELS}/m:streamGenerateContent"
HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def asked(request: dict[str, Any] | None = None, door: str = DOOR, query: str = "") -> Asked:
    return decode(Operation.CHAT, json.dumps(request or HI).encode(), door, query)


def again(request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bool]]:
    """The request as it comes out, and what is lost of it: whether it is only a hint."""
    written = write_request(read_request(asked(request)), There())
    return json.loads(written.body), {one.field: one.hint for one in written.uncarried}


def written(**fields: Any) -> tuple[dict[str, Any], dict[str, bool]]:
    made = write_request(Conversation(**{"messages": (Message(Role.USER, (Text("hi"),)),), **fields}), There())
    return json.loads(made.body), {one.field: one.hint for one in made.uncarried}


@pytest.mark.parametrize("name", ["request", "request_schema", "request_media", "request_tools"])
def test_a_golden_request_comes_out_as_it_went_in(name: str) -> None:
    assert again(golden(name)) == (golden(name), {})


def test_either_spelling_a_single_part_and_googles_own_schemas_are_read() -> None:
    body, lost = again(golden("request_open_api"))
    assert lost == {}
    assert body["systemInstruction"] == {"parts": [{"text": "Be exact."}]}
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"] == {
        "type": "object",
        "properties": {
            "location": {
                "type": ["string", "null"],
                "description": "The city name, e.g. San Francisco",
                "minLength": 2,
            }
        },
        "required": ["location"],
    }


@pytest.mark.parametrize(
    ("schema", "json_schema"),
    [
        ({"type": "STRING", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        (
            {"anyOf": [{"type": "INTEGER"}], "nullable": True},
            {"anyOf": [{"anyOf": [{"type": "integer"}]}, {"type": "null"}]},
        ),
        ({"any_of": [{"type": "NUMBER"}], "max_items": "3"}, {"anyOf": [{"type": "number"}], "maxItems": 3}),
        (
            {"type": "OBJECT", "properties": {"type": {"type": "STRING"}, "max_items": {"type": "ARRAY", "items": {}}}},
            {
                "type": "object",
                "properties": {"type": {"type": "string"}, "max_items": {"type": "array", "items": {}}},
            },
        ),
        (
            {"type": "TYPE_UNSPECIFIED", "example": 1, "additionalProperties": False},
            {"examples": [1], "additionalProperties": False},
        ),
    ],
)
def test_a_schema_in_googles_words_means_the_same_in_json_schema(schema: Any, json_schema: Any) -> None:
    assert json.loads(bytes(as_json_schema(msgspec.Raw(json.dumps(schema).encode()), "x"))) == json_schema


def test_a_conversation_without_ids_is_paired_by_name_and_order() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    other = {"functionCall": {"name": "g"}}
    conversation = read_request(
        asked(
            {
                "contents": [
                    {"parts": [{"text": "go"}]},
                    {"role": "model", "parts": [{"text": "so"}]},
                    {"role": "model", "parts": [{"text": "me"}, call, other, call]},
                    {
                        "role": "user",
                        "parts": [
                            {"functionResponse": {"name": "g", "response": {"output": "two"}}},
                            {"functionResponse": {"name": "f", "response": {"error": "no"}}},
                            {"functionResponse": {"name": "f", "response": {"deep": [1]}}},
                        ],
                    },
                ]
            }
        )
    )
    _, called, results = conversation.messages
    assert called.parts == (
        Text("some"),
        ToolCall("call_0", "f", '{"a": 1}'),
        ToolCall("call_1", "g", "{}"),
        ToolCall("call_2", "f", '{"a": 1}'),
    )
    assert results.parts == (
        ToolResult("call_1", (Text("two"),), name="g"),
        ToolResult("call_0", (Text("no"),), is_error=True, name="f"),
        ToolResult("call_2", (Text('{"deep": [1]}'),), name="f"),
    )


def test_pieces_of_a_thought_are_one_up_to_its_signature_and_that_of_a_call_stays_the_calls() -> None:
    turn = {
        "role": "model",
        "parts": [
            {"text": "first, ", "thought": True},
            {"text": "then", "thought": True},
            {"text": "", "thought": True, "thoughtSignature": seal_bytes("anthropic", "sig")},
            {"text": "hm", "thought": True},
            {"functionCall": {"id": "c", "name": "f"}, "thoughtSignature": "AAAA"},
        ],
    }
    (message,) = read_request(asked({"contents": [turn]})).messages
    assert message.parts == (
        Reasoning("first, then", "sig", origin="anthropic"),
        Reasoning("hm", origin="gemini"),
        Reasoning(signature="AAAA", origin="gemini"),
        ToolCall("c", "f", "{}"),
    )


@pytest.mark.parametrize("redacted", [False, True])
@pytest.mark.parametrize("origin", ["openai", "anthropic", "responses", "gemini"])
def test_signatures_made_elsewhere_survive_a_client_that_writes_bytes_its_own_way(origin: str, redacted: bool) -> None:
    sealed = seal_bytes(origin, "sig/+=ü", redacted=redacted) if redacted or origin != "gemini" else "EskGCsYGAb4="
    through_sdk = base64.urlsafe_b64encode(base64.b64decode(sealed)).decode()
    got_origin, signature, got_redacted = unseal_bytes(through_sdk)
    assert (got_origin, got_redacted) == (origin, redacted)
    assert signature == ("sig/+=ü" if redacted or origin != "gemini" else "EskGCsYGAb4=")


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"safetySettings": [{"category": "X", "threshold": "BLOCK_NONE"}]}, {"safetySettings": False}),
        ({"cachedContent": "cachedContents/x"}, {"cachedContent": False}),
        ({"tools": [{"googleSearch": {}}]}, {"tools[0].googleSearch": False}),
        (
            {"tools": [{"code_execution": {}, "functionDeclarations": [{"name": "f"}]}]},
            {"tools[0].codeExecution": False},
        ),
        ({"toolConfig": {"retrievalConfig": {"languageCode": "de"}}}, {"toolConfig.retrievalConfig": False}),
        ({"generationConfig": {"responseModalities": ["AUDIO"]}}, {"generationConfig.responseModalities": False}),
        ({"generationConfig": {"responseModalities": ["TEXT"], "mediaResolution": None}}, {}),
        ({"generationConfig": {"speechConfig": {}}}, {"generationConfig.speechConfig": False}),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, {"generationConfig.responseMimeType": False}),
        ({"labels": {"team": "a"}}, {"metadata.team": True}),
        (
            {"contents": [{"parts": [{"executableCode": {"code": "1"}}, {"text": "x"}]}]},
            {"contents[0].parts[0].executableCode": False},
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}, {"text": "x"}]}]},
            {"contents[0].parts[0].inlineData": False},
        ),
        ({"store": False}, {}),
        ({"x": 1}, {"x": False}),
    ],
)
def test_what_only_gemini_has_is_named_with_its_place(fields: dict[str, Any], lost: dict[str, bool]) -> None:
    assert again(HI | fields)[1] == lost


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"generationConfig": {"maxOutputTokens": "many"}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 0}}, "generationConfig.candidateCount"),
        ({"generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 2}}, "generationConfig.max_output_tokens"),
        ({"tool_config": {}, "toolConfig": {}}, "tool_config"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"role": "robot", "parts": []}]}, "contents[0].role"),
        ({"contents": 7}, "contents"),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_request(asked(HI | fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("given", "model", "operation"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", Operation.CHAT),
        ("/v1/models/m:streamGenerateContent", "m", Operation.CHAT),
        ("/v1beta/models/models/m:generateContent", "m", Operation.CHAT),
        ("/v1beta/models/openai%2Fgpt-4.1:generateContent", "openai/gpt-4.1", Operation.CHAT),
        ("/v1beta/models/openai/gpt-4.1:generateContent", "openai/gpt-4.1", Operation.CHAT),
        ("/v1beta/models/llama3:8b:generateContent", "llama3:8b", Operation.CHAT),
        ("/v1beta/models/m:batchGenerateContent", None, None),
        ("/v1beta/models/m", None, None),
        ("/v1beta/models:generateContent", None, None),
        ("/v1/chat/completions", None, None),
    ],
)
def test_the_path_names_model_and_operation(given: str, model: str | None, operation: Operation | None) -> None:
    assert find_door(given) is operation
    if model is not None:
        assert decode(Operation.CHAT, json.dumps(HI).encode(), given, "").model == model


@pytest.mark.parametrize(
    ("query", "events"), [("alt=sse", True), ("key=x&alt=sse", True), ("", False), ("alt=json", False)]
)
def test_a_stream_comes_as_events_only_where_they_are_asked_for(query: str, events: bool) -> None:
    got = asked(door=STREAM, query=query)
    assert (got.stream, got.events) == (True, events)
    assert path(got, "m") == "/models/m:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("model", "there"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash:generateContent"),
        ("tunedModels/mine", "/tunedModels/mine:generateContent"),
        (
            "projects/p/locations/eu/publishers/google/models/g",
            "/projects/p/locations/eu/publishers/google/models/g:generateContent",
        ),
        ("a b\r\nx: y", "/models/a%20b%0D%0Ax:%20y:generateContent"),
    ],
)
def test_the_upstreams_model_stands_in_the_path(model: str, there: str) -> None:
    assert path(asked(), model) == there


def test_the_same_dialect_keeps_every_field_as_it_was_written() -> None:
    raw = b'{"contents":[ {"parts":[{"text":"\\u00fc"}]}],"x_y":{"a_b":1e3},'
    raw += b'"generation_config":{"temperature":0.10000000000000000555}}'
    kept = raw.replace(b"generation_config", b"generationConfig")
    assert encode(decode(Operation.CHAT, raw, DOOR, ""), "there", None) == kept


@pytest.mark.parametrize(
    ("system", "parts"),
    [
        (None, [{"text": "Be kind."}]),
        ({"parts": [{"text": "a", "x": 1}], "role": "user"}, [{"text": "Be kind."}, {"text": "a", "x": 1}]),
        ({"parts": {"text": "a"}}, [{"text": "Be kind."}, {"text": "a"}]),
        ({}, [{"text": "Be kind."}]),
        ("a", [{"text": "Be kind."}, {"text": "a"}]),
    ],
)
def test_instructions_go_before_the_callers_own(system: Any, parts: Any) -> None:
    request = HI | ({} if system is None else {"system_instruction": system})
    made = json.loads(encode(asked(request), "there", "Be kind."))
    assert made["systemInstruction"]["parts"] == parts


def test_a_budgets_limit_stands_beside_what_the_caller_configured() -> None:
    request = HI | {"generationConfig": {"temperature": 0.5, "max_output_tokens": None}}
    field, value = limit(asked(request), There(), 9)
    assert (field, json.loads(value)) == ("generationConfig", {"temperature": 0.5, "maxOutputTokens": 9})


def test_a_prompt_that_brings_in_more_than_its_bytes_is_bounded_by_the_widest_window() -> None:
    assert asked(HI).prompt_bound < 100
    more: dict[str, Any]
    for more in ({"cached_content": "x"}, {"tools": [{"url_context": {}}]}):
        assert asked(HI | more).prompt_bound > WIDEST
    file = {"fileData": {"fileUri": "files/x"}}
    assert asked({"contents": [{"parts": [file]}]}).prompt_bound > WIDEST


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"parallel_tools": False}, {"parallel_tool_calls": False}),
        ({"parallel_tools": True}, {}),
        ({"verbosity": "high"}, {"verbosity": False}),
        ({"end_customer": "c"}, {"user": True}),
        ({"sampling": Sampling(top_logprobs=50)}, {"top_logprobs": False}),
        ({"messages": (Message(Role.SYSTEM, (Text("x"),), at="messages[3]"),)}, {"messages[3]": False}),
        ({"messages": (Message(Role.USER, (Text("x"),), name="ann", at="m"),)}, {"m.name": False}),
        ({"messages": (Message(Role.USER, (ToolResult("c", (Text("x"),)),), at="m"),)}, {"m.parts[0]": False}),
        (
            {"messages": (Message(Role.USER, (Document(Source(file_id="file-1")),), at="m"),)},
            {"m.parts[0]": False},
        ),
        (
            {"messages": (Message(Role.ASSISTANT, (Reasoning("x", "s", origin="anthropic"), Text("y")), at="m"),)},
            {"m": True},
        ),
    ],
)
def test_what_gemini_has_not_is_named(fields: dict[str, Any], lost: dict[str, bool]) -> None:
    assert written(**fields)[1] == lost


@pytest.mark.parametrize(
    ("thinking", "config"),
    [
        (Thinking(on=False), {"thinkingBudget": 0}),
        (Thinking(effort="none"), {"thinkingBudget": 0}),
        (Thinking(on=True), {"thinkingBudget": -1}),
        (Thinking(on=True, budget=99, shown=True), {"includeThoughts": True, "thinkingBudget": 99}),
        (Thinking(effort="minimal"), {"thinkingLevel": "MINIMAL"}),
        (Thinking(effort="max"), {"thinkingLevel": "HIGH"}),
    ],
)
def test_how_much_to_think_is_said_in_geminis_words(thinking: Thinking, config: dict[str, Any]) -> None:
    assert written(thinking=thinking)[0]["generationConfig"]["thinkingConfig"] == config


@pytest.mark.parametrize(
    ("effort", "config"),
    [("low", {"thinkingBudget": 1024}), ("high", {"thinkingBudget": 24576}), ("none", {"thinkingBudget": 0})],
)
def test_a_model_that_knows_no_levels_is_given_a_budget(effort: str, config: dict[str, Any]) -> None:
    there = There(features=frozenset({"reasoning"}))
    body = json.loads(write_request(Conversation(messages=(), thinking=Thinking(effort=effort)), there).body)
    assert body["generationConfig"]["thinkingConfig"] == config


@pytest.mark.parametrize(
    ("features", "signed"),
    [
        (None, [None, None]),
        ({"tools"}, [None, None]),
        ({"tools", "signed_calls"}, ["skip_thought_signature_validator", None]),
    ],
)
def test_calls_that_another_model_made_are_marked_for_models_that_look_for_signatures(
    features: set[str] | None, signed: list[str | None]
) -> None:
    there = There(features=None if features is None else frozenset(features))
    turn = Message(Role.ASSISTANT, (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))
    body = json.loads(write_request(Conversation(messages=(turn,)), there).body)
    assert [part.get("thoughtSignature") for part in body["contents"][0]["parts"]] == signed
    own = msgspec.structs.replace(turn, parts=(Reasoning(signature="S", origin="gemini"), *turn.parts))
    body = json.loads(write_request(Conversation(messages=(own,)), there).body)
    assert [part.get("thoughtSignature") for part in body["contents"][0]["parts"]] == ["S", None]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice(Choice.AUTO), {"mode": "AUTO"}),
        (ToolChoice(Choice.NONE), {"mode": "NONE"}),
        (ToolChoice(Choice.REQUIRED), {"mode": "ANY"}),
        (ToolChoice(Choice.NAMED, ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice(Choice.REQUIRED, ("f", "g")), {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
        (ToolChoice(Choice.AUTO, ("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_which_tools_may_be_called_is_said_in_geminis_words(choice: ToolChoice, config: dict[str, Any]) -> None:
    assert written(tool_choice=choice, tools=(Tool("f"),))[0]["toolConfig"] == {"functionCallingConfig": config}


def test_results_of_parallel_calls_are_one_turn_with_the_tools_names() -> None:
    calls = (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "not json"))
    results = tuple(
        Message(Role.USER, (ToolResult(number, (Text(text),), is_error=wrong),))
        for number, text, wrong in (("a", '{"deep":1}', False), ("b", "bad", True))
    )
    body, lost = written(messages=(Message(Role.ASSISTANT, calls), *results))
    assert lost == {}
    model, user = body["contents"]
    assert [part["functionCall"]["args"] for part in model["parts"]] == [{"x": 1}, {"INVALID_JSON": "not json"}]
    assert [part["functionResponse"] for part in user["parts"]] == [
        {"id": "a", "name": "f", "response": {"deep": 1}},
        {"id": "b", "name": "g", "response": {"error": "bad"}},
    ]


@pytest.mark.parametrize(
    ("parts", "signed"),
    [
        ((Reasoning(signature="S", origin="gemini"), Text("x"), ToolCall("a", "f", "")), [None, "S"]),
        ((Reasoning(signature="S", origin="gemini"), Text("x")), ["S"]),
        ((Text("x"), Reasoning(signature="S", origin="gemini")), [None, "S"]),
        (
            (
                Reasoning(signature="S", origin="gemini"),
                Text("x"),
                Reasoning(signature="T", origin="gemini"),
                ToolCall("a", "f", ""),
            ),
            ["S", "T"],
        ),
    ],
)
def test_a_signature_finds_its_part_even_where_a_dialect_gave_thoughts_first(parts: Any, signed: Any) -> None:
    body, _ = written(messages=(Message(Role.ASSISTANT, parts),))
    assert [part.get("thoughtSignature") for part in body["contents"][0]["parts"]] == signed


def test_media_by_address_and_plain_documents_are_written() -> None:
    parts = (
        Image(Source(url="https://a.example/b.webp"), detail="high"),
        Document(Source(text="words"), title="T"),
        Document(Source(mime="application/pdf", data=Inline(b"AAAA"))),
    )
    body, lost = written(messages=(Message(Role.USER, parts, at="m"),), response_format=ResponseFormat())
    assert lost == {"m.parts[0].detail": True}
    assert body["contents"][0]["parts"] == [
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://a.example/b.webp"}},
        {"text": "T\n\nwords"},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
    ]
    assert body["generationConfig"] == {"responseMimeType": "application/json"}


@pytest.mark.parametrize("name", ["answer", "answer_tools", "answer_thinking", "answer_usage"])
def test_a_golden_answer_comes_out_as_it_went_in(name: str) -> None:
    made = json.loads(write_answer(asked(), read_answer(json.dumps(golden(name)).encode())))
    expected = golden(name)
    for kind in ("promptTokensDetails", "toolUsePromptTokenCount"):
        tools = expected["usageMetadata"].pop(kind, 0)
        if kind == "toolUsePromptTokenCount":
            expected["usageMetadata"]["promptTokenCount"] += tools
    assert made == expected


def test_usage_is_counted_as_it_is_billed() -> None:
    usage = read_answer(json.dumps(golden("answer_usage")).encode()).usage
    assert usage == Usage(input=2050, cached=1500, output=1000, reasoning=700)


def test_a_blocked_prompt_is_a_filtered_answer() -> None:
    (candidate,) = read_answer(json.dumps(golden("answer_blocked")).encode()).candidates
    assert candidate.stop is Stop.FILTERED
    assert json.loads(bytes(candidate.safety or b"")) == {"blockReason": "PROHIBITED_CONTENT"}
    event = b"data: " + json.dumps(golden("answer_blocked")).encode() + b"\n\n"
    told = deltas_of(ContentReader(), event)
    (stopped,) = [one for one in told if isinstance(one, Stopped)]
    assert (stopped.stop, stopped.safety) == (Stop.FILTERED, candidate.safety)
    stream = ContentStream(asked(door=STREAM))
    assert stream.take(event) == event
    assert stream.whole
    assert stream.used(complete=True) == Usage(input=9)


def test_what_an_answer_rests_on_is_counted_in_characters() -> None:
    (candidate,) = read_answer(json.dumps(golden("answer_grounded")).encode()).candidates
    (text,) = candidate.parts
    assert isinstance(text, Text)
    assert [(one.url, text.text[one.start : one.end], one.quote) for one in text.citations] == [
        ("https://vertexaisearch.cloud.google.com/a", "Spain won Euro 2024.", "Spain won Euro 2024."),
        ("https://vertexaisearch.cloud.google.com/b", "Spain won Euro 2024.", "Spain won Euro 2024."),
    ]
    answer = read_answer(json.dumps(golden("answer_grounded")).encode())
    grounding = json.loads(write_answer(asked(), answer))["candidates"][0]["groundingMetadata"]
    assert [one["segment"]["startIndex"] for one in grounding["groundingSupports"]] == [27, 27]
    assert grounding["groundingChunks"] == golden("answer_grounded")["candidates"][0]["groundingMetadata"]["groundingChunks"]  # fmt: skip  # noqa: E501


def test_log_probabilities_come_out_as_they_went_in() -> None:
    made = json.loads(write_answer(asked(), read_answer(json.dumps(golden("answer_logprobs")).encode())))
    wanted = golden("answer_logprobs")["candidates"][0]["logprobsResult"]
    for one in (*wanted["chosenCandidates"], *wanted["topCandidates"][0]["candidates"]):
        del one["tokenId"]
    assert made["candidates"][0]["logprobsResult"] == wanted


@pytest.mark.parametrize(
    ("stop", "parts", "reason"),
    [
        (Stop.TOOL, (), "STOP"),
        (Stop.SEQUENCE, (), "STOP"),
        (Stop.CONTEXT, (), "MAX_TOKENS"),
        (Stop.FILTERED, (), "SAFETY"),
        (Stop.REFUSED, (), "SAFETY"),
        (Stop.OTHER, (), "OTHER"),
    ],
)
def test_why_an_answer_ended_is_said_in_geminis_words(stop: Stop, parts: Any, reason: str) -> None:
    answer = msgspec.structs.replace(
        read_answer(json.dumps(golden("answer")).encode()), candidates=(Candidate(parts, stop),)
    )
    assert json.loads(write_answer(asked(), answer))["candidates"][0]["finishReason"] == reason


@pytest.mark.parametrize("name", ["stream", "stream_tools", "stream_thinking"])
def test_a_golden_stream_tells_the_same_when_it_is_written_again(name: str) -> None:
    told = deltas_of(ContentReader(), (GOLDEN / f"{name}.sse").read_bytes())
    writer = ContentWriter(asked(door=STREAM))
    out = b"".join(map(writer.write, told)) + writer.write(ENDED)
    again = deltas_of(ContentReader(), out)
    last = [one for one in told if isinstance(one, Used)][-1:]
    assert [one for one in again if not isinstance(one, Used)] == [one for one in told if not isinstance(one, Used)]
    assert [one for one in again if isinstance(one, Used)] == last


def test_a_stream_with_calls_tells_parts_in_order_and_that_it_stopped_for_them() -> None:
    told = deltas_of(ContentReader(), (GOLDEN / "stream_tools.sse").read_bytes())
    kinds = [(one.part, one.kind, one.id, one.name) for one in told if isinstance(one, PartStarted)]
    assert kinds == [
        (0, Kind.TEXT, "", ""),
        (1, Kind.REASONING, "", ""),
        (2, Kind.TOOL_CALL, "fc_1", "get_weather"),
        (3, Kind.TOOL_CALL, "fc_2", "get_time"),
    ]
    assert Signed(0, 1, "EskGCsYGAb4=", "gemini") in told
    assert [one.text for one in told if isinstance(one, Piece) and one.kind is Kind.TOOL_CALL] == [
        '{"location": "Boston, MA"}',
        "{}",
    ]
    assert Stopped(0, Stop.TOOL) in told


def test_citations_of_a_stream_come_with_its_last_event() -> None:
    writer = ContentWriter(asked(door=STREAM))
    text = b'data: {"candidates":[{"content":{"parts":[{"text":"\xc3\xbc is"}]},"index":0}]}\n\n'
    told = deltas_of(ContentReader(), text)
    cited = Cited(0, 0, Citation("answer", 0, 1, url="https://a.example"))
    out = b"".join(map(writer.write, [*told, cited, ENDED]))
    last = json.loads(Framer().feed(out)[-1][6:])
    (support,) = last["candidates"][0]["groundingMetadata"]["groundingSupports"]
    assert support["segment"] == {"startIndex": 0, "endIndex": 2, "text": "ü"}


def test_an_error_in_a_stream_is_told_as_what_it_means() -> None:
    told = deltas_of(ContentReader(), (GOLDEN / "stream_error.sse").read_bytes())
    assert told[-1] == Failed(Failure(Trouble.OVERLOADED, "The model is overloaded. Please try again later.", "UNAVAILABLE"))  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_cut_stream_counts_the_upstreams_last_word(cut: int) -> None:
    stream = ContentStream(asked(door=STREAM))
    for event in Framer().feed((GOLDEN / "stream_thinking.sse").read_bytes())[:cut]:
        stream.take(event)
    used = stream.used(complete=False)
    assert (used.input, used.estimated, stream.whole) == (4, True, False)
    assert used.output >= (5, 12, 14)[cut - 1]
    assert stream.model == "gemini-2.5-flash"


def test_a_whole_stream_counts_as_billed_even_where_the_caller_left_at_its_end() -> None:
    stream = ContentStream(asked(door=STREAM))
    for event in Framer().feed((GOLDEN / "stream_thinking.sse").read_bytes()):
        assert stream.take(event) == event
    assert stream.whole
    assert stream.used(complete=False) == Usage(input=4, output=22, reasoning=12)


@pytest.mark.parametrize(
    ("status", "name", "trouble"),
    [
        (400, "invalid_request", Trouble.INVALID),
        (400, "key", Trouble.AUTHENTICATION),
        (400, "context", Trouble.CONTEXT),
        (403, "permission", Trouble.PERMISSION),
        (404, "not_found", Trouble.NOT_FOUND),
        (429, "rate_limit", Trouble.RATE),
        (429, "quota", Trouble.QUOTA),
        (500, "server", Trouble.SERVER),
        (503, "overloaded", Trouble.OVERLOADED),
        (504, "deadline", Trouble.TIMEOUT),
    ],
)
def test_an_error_means_the_same_whichever_words_it_uses(status: int, name: str, trouble: Trouble) -> None:
    body = golden(f"error_{name}")
    for raw in (body, [body]):
        failure = read_failure(status, json.dumps(raw).encode())
        assert (failure.trouble, failure.message) == (trouble, body["error"]["message"])


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'{"error": 7}', b"[" * 100_000])
def test_an_error_that_cannot_be_read_means_what_its_status_says(raw: bytes) -> None:
    assert read_failure(429, raw).trouble is Trouble.RATE
    assert read_failure(599, raw).trouble is Trouble.SERVER


def test_a_refusal_has_googles_shape() -> None:
    body = json.loads(refusal_body(OverBudget("no money left", param="model", retry_after=9)))
    assert (body["error"]["code"], body["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    info, bad, retry = body["error"]["details"]
    assert (info["reason"], info["domain"]) == ("INSUFFICIENT_QUOTA", "trunkline")
    assert bad["fieldViolations"][0]["field"] == "model"
    assert retry["retryDelay"] == "9s"


@pytest.mark.parametrize("raw", [b"{}", b'{"candidates": 1}', b"[]", b'{"x":' + b"[" * 100_000])
def test_what_is_no_answer_is_told_apart(raw: bytes) -> None:
    with pytest.raises(Garbled):
        read_answer(raw)
