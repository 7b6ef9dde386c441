"""Anthropic's Messages from and to the neutral form: what was asked and answered comes out as it went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.dialects.ways import There, asked_of, deltas_of

from trunkline.dialects.anthropic.answers import read_answer, write_answer
from trunkline.dialects.anthropic.codec import decode, encode
from trunkline.dialects.anthropic.dialect import ANTHROPIC
from trunkline.dialects.anthropic.errors import read_failure
from trunkline.dialects.anthropic.events import MessageReader, MessageWriter
from trunkline.dialects.anthropic.read_messages import read_request
from trunkline.dialects.anthropic.stream import MessageStream
from trunkline.dialects.anthropic.write_messages import write_request
from trunkline.dialects.deltas import Failed
from trunkline.dialects.neutral import (
    Conversation,
    Failure,
    Message,
    Reasoning,
    Role,
    Sampling,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Trouble,
)
from trunkline.errors import Malformed
from trunkline.messages import Operation, Usage
from trunkline.wire.sse import Framer

GOLDEN = Path(__file__).parents[1] / "golden" / "anthropic"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def again(request: dict[str, Any], there: There | None = None) -> tuple[dict[str, Any], dict[str, bool]]:
    """The request as it comes out, and what is lost of it: whether it is only a hint."""
    written = write_request(read_request(asked_of(ANTHROPIC, request)), there or There())
    return json.loads(written.body), {one.field: one.hint for one in written.uncarried}


def written(**fields: Any) -> tuple[dict[str, Any], dict[str, bool]]:
    made = write_request(Conversation(**{"messages": (Message(Role.USER, (Text("hi"),)),), **fields}), There())
    return json.loads(made.body), {one.field: one.hint for one in made.uncarried}


@pytest.mark.parametrize("name", ["request", "request_stream", "request_tools"])
def test_a_golden_request_comes_out_as_it_went_in(name: str) -> None:
    request = golden(name)
    made, lost = again(request)
    assert lost == {}
    for message in request["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block.get("is_error") is False:
                del block["is_error"]
    assert made == request | {"model": "there"}


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"mcp_servers": [{"type": "url"}]}, {"mcp_servers": False}),
        ({"container": "c"}, {"container": False}),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, {"tools[0]": False}),
        ({"tools": [{"name": "f", "input_schema": {}, "input_examples": []}]}, {"tools[0].input_examples": False}),
        ({"messages": [{"role": "user", "content": [{"type": "search_result"}]}]}, {"messages[0].content[0]": False}),
        ({"service_tier": "auto", "speed": "standard", "container": None}, {}),
        ({"diagnostics": {}}, {"diagnostics": True}),
    ],
)
def test_what_only_anthropic_has_is_named_with_its_place(fields: dict[str, Any], lost: dict[str, bool]) -> None:
    assert again(golden("request") | fields)[1] == lost


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_request(asked_of(ANTHROPIC, golden("request") | fields))
    assert caught.value.param == param


def test_a_request_without_an_output_limit_is_refused_as_the_api_does() -> None:
    request = golden("request")
    del request["max_tokens"]
    with pytest.raises(Malformed, match="max_tokens") as caught:
        asked_of(ANTHROPIC, request)
    assert (caught.value.code, caught.value.param) == ("missing_field", "max_tokens")


@pytest.mark.parametrize(
    ("sampling", "lost"),
    [
        (Sampling(temperature=1.5), "temperature"),
        (Sampling(seed=1), "seed"),
        (Sampling(answers=2), "n"),
        (Sampling(logprobs=True), "logprobs"),
        (Sampling(presence_penalty=0.5), "presence_penalty"),
    ],
)
def test_what_anthropic_has_not_is_named_and_not_sent(sampling: Sampling, lost: str) -> None:
    body, named = written(sampling=sampling)
    assert named == {lost: False}
    assert set(body) == {"model", "max_tokens", "messages"}


def test_the_output_limit_of_the_model_is_set_where_the_caller_sets_none() -> None:
    assert written()[0]["max_tokens"] == There().output_bound
    assert written(max_output=7)[0]["max_tokens"] == 7


def test_turns_of_one_speaker_become_one_with_results_of_tools_first() -> None:
    turns = (
        Message(Role.ASSISTANT, (ToolCall("a b", "f", ""), ToolCall("c", "g", "[cut"))),
        Message(Role.USER, (Text("wait"),)),
        Message(Role.USER, (ToolResult("a b", (Text("one"),)), ToolResult("c", is_error=True))),
    )
    body, lost = written(messages=turns)
    assert lost == {}
    assert body["messages"] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a_b", "name": "f", "input": {}},
                {"type": "tool_use", "id": "c", "name": "g", "input": {"INVALID_JSON": "[cut"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a_b", "content": "one"},
                {"type": "tool_result", "tool_use_id": "c", "is_error": True},
                {"type": "text", "text": "wait"},
            ],
        },
    ]


def test_a_system_message_in_the_middle_is_refused_unless_the_model_takes_it() -> None:
    turns = (Message(Role.USER, (Text("a"),)), Message(Role.SYSTEM, (Text("now French"),), at="messages[1]"))
    body, lost = written(messages=turns)
    assert lost == {"messages[1]": False}
    assert body["system"] == "now French"
    able = There(features=frozenset({"system_turns"}))
    assert json.loads(write_request(Conversation(messages=turns), able).body)["messages"][1]["role"] == "system"


@pytest.mark.parametrize(
    ("thinking", "features", "sent"),
    [
        (Thinking(effort="high"), None, ({"type": "adaptive"}, {"effort": "high"})),
        (Thinking(effort="minimal"), None, ({"type": "adaptive"}, {"effort": "low"})),
        (Thinking(effort="none"), None, ({"type": "disabled"}, None)),
        (Thinking(effort="high"), {"reasoning", "effort"}, ({"type": "adaptive"}, {"effort": "high"})),
        (Thinking(effort="medium"), {"reasoning"}, ({"type": "enabled", "budget_tokens": 8192}, None)),
        (Thinking(effort="high"), {"reasoning"}, ({"type": "enabled", "budget_tokens": 9999}, None)),
        (Thinking(on=True, budget=8000), {"reasoning", "effort"}, ({"type": "adaptive"}, {"effort": "medium"})),
        (Thinking(effort="none"), {"reasoning", "effort"}, (None, None)),
        (Thinking(on=True, budget=2000), None, ({"type": "enabled", "budget_tokens": 2000}, None)),
    ],
)
def test_how_much_to_think_is_said_as_the_model_takes_it(thinking: Thinking, features: Any, sent: Any) -> None:
    there = There(features=None if features is None else frozenset(features))
    conversation = Conversation(messages=(), thinking=thinking, max_output=10_000)
    body = json.loads(write_request(conversation, there).body)
    assert (body.get("thinking"), body.get("output_config")) == sent


def test_a_thought_goes_back_only_to_the_provider_that_signed_it() -> None:
    foreign, own = Reasoning("x", "sig", origin="gemini"), Reasoning("y", "sig", origin="anthropic")
    body, lost = written(messages=(Message(Role.ASSISTANT, (foreign, own, Text("z")), at="messages[0]"),))
    assert lost == {"messages[0].content[0]": True}
    assert body["messages"][0]["content"][0] == {"type": "thinking", "thinking": "y", "signature": "sig"}


@pytest.mark.parametrize("name", ["message", "message_tools", "message_thinking"])
def test_a_golden_answer_comes_out_as_it_went_in(name: str) -> None:
    answer = golden(name)
    made = json.loads(write_answer(asked_of(ANTHROPIC, golden("request")), read_answer(json.dumps(answer).encode())))
    answer["usage"].pop("service_tier", None)
    assert made == answer


def test_a_refusal_tells_its_explanation() -> None:
    read = read_answer((GOLDEN / "message_refusal.json").read_bytes())
    made = json.loads(write_answer(asked_of(ANTHROPIC, golden("request")), read))
    assert made["stop_reason"] == "refusal"
    assert "break into systems" in made["content"][0]["text"]


@pytest.mark.parametrize("name", ["stream", "stream_tools", "stream_thinking"])
def test_a_golden_stream_tells_the_same_when_it_is_written_again(name: str) -> None:
    told = deltas_of(MessageReader(), (GOLDEN / f"{name}.sse").read_bytes())
    write = MessageWriter(asked_of(ANTHROPIC, golden("request_stream"))).write
    again = deltas_of(MessageReader(), b"".join(map(write, told)))
    assert [one for one in again if type(one).__name__ != "Used"] == [
        one for one in told if type(one).__name__ != "Used"
    ]
    used = [one for one in told if type(one).__name__ == "Used"]
    assert again[-2] == used[-1]


def test_a_stream_that_ends_with_an_error_tells_what_it_means() -> None:
    told = deltas_of(MessageReader(), (GOLDEN / "stream_error.sse").read_bytes())
    assert told[-1] == Failed(Failure(Trouble.OVERLOADED, "Overloaded", "overloaded_error"))


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("message", Usage(input=2009, cached=1800, cache_write=188, output=393, cache_write_long=88)),
        ("message_thinking", Usage(input=40, output=60, reasoning=45)),
    ],
)
def test_every_prompt_token_counts_as_input_whether_cached_or_not(name: str, usage: Usage) -> None:
    body = (GOLDEN / f"{name}.json").read_bytes()
    assert ANTHROPIC.read_answer(asked_of(ANTHROPIC, golden("request")), body).usage == usage
    assert read_answer(body).usage == usage


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("stream", Usage(input=40, cached=5, cache_write=10, output=15)),
        ("stream_tools", Usage(input=472, output=89)),
        ("stream_thinking", Usage(input=40, output=60, reasoning=45)),
    ],
)
def test_a_stream_of_the_same_dialect_passes_and_is_metered(name: str, usage: Usage) -> None:
    stream = MessageStream(asked_of(ANTHROPIC, golden("request_stream")))
    events = Framer().feed((GOLDEN / f"{name}.sse").read_bytes())
    assert [stream.take(event) for event in events] == events
    assert (stream.used(complete=True), stream.done, stream.whole) == (usage, True, True)
    assert stream.model == "claude-haiku-4-5-20251001"


def test_a_cut_stream_counts_what_came_and_is_marked() -> None:
    stream = MessageStream(asked_of(ANTHROPIC, golden("request_stream")))
    for event in Framer().feed((GOLDEN / "stream.sse").read_bytes())[:5]:
        stream.take(event)
    used = stream.used(complete=False)
    assert (used.input, used.cached, used.estimated, stream.whole) == (40, 5, True, False)
    assert used.output > 1


@pytest.mark.parametrize(
    ("status", "name", "trouble"),
    [
        (400, "error_invalid_request", Trouble.INVALID),
        (400, "error_context", Trouble.CONTEXT),
        (401, "error_authentication", Trouble.AUTHENTICATION),
        (404, "error_not_found", Trouble.NOT_FOUND),
        (429, "error_rate_limit", Trouble.RATE),
        (500, "error_server", Trouble.SERVER),
        (529, "error_overloaded", Trouble.OVERLOADED),
    ],
)
def test_an_error_means_what_its_type_and_words_say(status: int, name: str, trouble: Trouble) -> None:
    failure = read_failure(status, (GOLDEN / f"{name}.json").read_bytes())
    assert (failure.trouble, failure.request_id) == (trouble, "req_011CSHoEeqs5C35K2UUqR7Fy")
    assert read_failure(status, b"<html>").trouble in {trouble, Trouble.INVALID}


@pytest.mark.parametrize(
    ("system", "sent"),
    [
        (None, "be kind"),
        ("be brief", [{"type": "text", "text": "be kind"}, {"type": "text", "text": "be brief"}]),
        (
            [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
            [
                {"type": "text", "text": "be kind"},
                {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}},
            ],
        ),
    ],
)
def test_instructions_go_before_the_callers_own_words(system: Any, sent: Any) -> None:
    request = golden("request") | {"system": system, "x_new": {"a": 1.50}}
    body = encode(asked_of(ANTHROPIC, request), "there", "be kind")
    assert json.loads(body)["system"] == sent
    assert json.loads(body)["x_new"] == {"a": 1.5}


def test_a_customer_is_known_by_the_user_id() -> None:
    assert decode(Operation.CHAT, json.dumps(golden("request_stream")).encode()).end_customer == "customer-17"
