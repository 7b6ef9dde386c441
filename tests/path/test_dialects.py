"""Official SDKs of one dialect at deployments of another, over real HTTP on both sides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from tests.path.exchange import VENDOR_KEY, Exchange, deployment, estate, exchange
from tests.path.raw import ask
from tests.upstreams import script as scripts
from tests.upstreams.messages import GOLDEN
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

WHOLE = Script().text
OPENAI_TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
    }
]
PIXEL = "iVBORw0KGgo="
CLAUDE = {"model": "anthropic/some-model", "boundary": "claude", "dialect": "anthropic", "upstream_model": "claude-x"}
HI: Any = [{"role": "user", "content": "hi"}]


def declared(vendor: Upstream, spare: Upstream) -> dict[str, Any]:
    """A deployment of each dialect; `claude` and `gpt` lead to one, `either` to one after the other."""
    deployments = {
        "claude": deployment(vendor.url, **CLAUDE),
        "gpt": deployment(spare.url),
        "blind": deployment(spare.url, model="deepseek/deepseek-v4-pro"),
    }
    made = estate(
        deployments,
        {
            "claude": [["claude"]],
            "gpt": [["gpt"]],
            "either": [["claude"], ["gpt"]],
            "loose": [["claude"]],
            "kind": [["claude"]],
            "blind": [["blind"]],
        },
    )
    made["boundaries"]["claude"] = made["boundaries"]["vendor"] | {"provider": "anthropic"}
    made["use_cases"]["either"]["substitutes"] = ["openai/gpt-4.1-mini"]
    made["use_cases"]["loose"]["uncarried"] = "drop"
    made["use_cases"]["kind"]["instructions"] = "Be kind."
    return made


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, spare_of_module: Upstream
) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("dialects"), declared(vendor_of_module, spare_of_module)) as started:
        yield started


@pytest.fixture
def claude(running: Exchange, key: str) -> Iterator[anthropic.Anthropic]:
    """Anthropic's SDK; it does not retry, so that every request is seen once."""
    with anthropic.Anthropic(api_key=key, base_url=running.root, max_retries=0, timeout=30) as client:
        yield client


def sent(upstream: Upstream) -> dict[str, Any]:
    """The last request that an upstream got."""
    body: dict[str, Any] = json.loads(upstream.received[-1].body)
    return body


def test_a_chat_is_answered_by_an_anthropic_deployment(sdk: openai.OpenAI, vendor: Upstream) -> None:
    got = sdk.chat.completions.create(
        model="claude",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        max_completion_tokens=99,
        temperature=0.5,
        stop=["END"],
    )
    assert got.choices[0].message.content == WHOLE
    assert got.choices[0].finish_reason == "stop"
    assert got.model == "claude-x-20251001"
    assert got.created > 1_700_000_000
    assert sent(vendor) == {
        "model": "claude-x",
        "max_tokens": 99,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "stop_sequences": ["END"],
    }
    request = vendor.received[-1]
    assert request.path == "/v1/messages"
    assert request.header("x-api-key") == VENDOR_KEY
    assert request.header("anthropic-version") == "2023-06-01"
    assert request.header("authorization") is None


@pytest.mark.parametrize("usage", [False, True])
def test_a_chat_is_streamed_from_an_anthropic_deployment(sdk: openai.OpenAI, vendor: Upstream, usage: bool) -> None:
    vendor.default = Script(cached=3)
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(sdk.chat.completions.create(model="claude", messages=HI, stream=True, extra_body=options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == WHOLE
    assert chunks[0].choices[0].delta.role == "assistant"
    ends = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert ends == [None] * (len(ends) - 1) + ["stop"]
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [usage]
    if usage and chunks[-1].usage is not None and chunks[-1].usage.prompt_tokens_details is not None:
        assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (7, 5)
        assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 3


def test_parallel_tool_calls_with_streamed_arguments_reach_openais_helper(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = scripts.TOOL_CALL
    with sdk.chat.completions.stream(model="claude", messages=HI, tools=OPENAI_TOOLS) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("get_weather", {"location": "San Francisco, CA"}),
        ("get_time", {}),
    ]
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.choices[0].message.content == "Okay"


def test_a_conversation_with_tools_and_a_picture_goes_on(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = scripts.TOOL_CALL
    first = sdk.chat.completions.create(model="claude", messages=HI, tools=OPENAI_TOOLS, tool_choice="required")
    said = first.choices[0].message
    results: list[Any] = [
        {"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in said.tool_calls or ()
    ]
    picture: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    look: Any = {"role": "user", "content": [{"type": "text", "text": "and here?"}, picture]}
    vendor.default = scripts.NORMAL
    answer: Any = said.model_dump(exclude_none=True)
    sdk.chat.completions.create(model="claude", messages=[*HI, answer, *results, look], tools=OPENAI_TOOLS)
    _, assistant, user = sent(vendor)["messages"]
    assert [block["type"] for block in assistant["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["type"] for block in user["content"]] == ["tool_result", "tool_result", "text", "image"]
    assert user["content"][3]["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert sent(vendor)["tools"] == [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]


def test_a_message_is_answered_by_an_openai_deployment(claude: anthropic.Anthropic, spare: Upstream) -> None:
    spare.default = Script(prompt_tokens=1000, cached=400)
    got = claude.messages.create(model="gpt", max_tokens=99, system="Be brief.", messages=HI)
    assert [block.text for block in got.content if block.type == "text"] == [WHOLE]
    assert (got.stop_reason, got.role, got.type) == ("end_turn", "assistant", "message")
    assert (got.usage.input_tokens, got.usage.cache_read_input_tokens, got.usage.output_tokens) == (600, 400, 5)
    assert sent(spare) == {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_completion_tokens": 99,
    }
    assert spare.received[-1].path == "/v1/chat/completions"


def test_a_message_is_streamed_from_an_openai_deployment(claude: anthropic.Anthropic, spare: Upstream) -> None:
    with claude.messages.stream(model="gpt", max_tokens=99, messages=HI) as stream:
        assert "".join(stream.text_stream) == WHOLE
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 7, 5)
    assert sent(spare)["stream_options"] == {"include_usage": True}


def test_streamed_tool_calls_reach_anthropics_helper(claude: anthropic.Anthropic, spare: Upstream) -> None:
    spare.default = scripts.TOOL_CALL
    tools: Any = [{"name": "get_current_weather", "input_schema": {"type": "object"}}]
    with claude.messages.stream(model="gpt", max_tokens=99, messages=HI, tools=tools) as stream:
        final = stream.get_final_message()
    (call,) = final.content
    assert call.type == "tool_use"
    assert (call.name, call.input, final.stop_reason) == ("get_current_weather", {"location": "Boston, MA"}, "tool_use")
    assert sent(spare)["tools"][0]["function"]["name"] == "get_current_weather"


def test_a_message_to_an_anthropic_deployment_passes_byte_for_byte(
    running: Exchange, key: str, vendor: Upstream
) -> None:
    vendor.default = scripts.UNKNOWN_FIELDS
    odd = (
        b'{"model":"claude","max_tokens":9,"x_float":1.50,"messages":[ {"role":"user" ,"content":"\\u00fc"}],"top_k":3}'
    )
    got = ask(running.port, key, odd, path="/v1/messages", headers={"anthropic-beta": "new-thing-2026-11-01"})
    assert got.json["x_vendor"] == {"deep": [1, 2.5, "ü"]}
    assert vendor.received[-1].body == odd.replace(b'"claude"', b'"claude-x"')
    assert vendor.received[-1].header("anthropic-beta") == "new-thing-2026-11-01"


def test_a_stream_of_the_same_dialect_passes_byte_for_byte(running: Exchange, key: str, vendor: Upstream) -> None:
    asked = {"model": "claude", "max_tokens": 9, "stream": True, "messages": HI}
    vendor.default = scripts.UNKNOWN_FIELDS
    got = ask(running.port, key, asked, path="/v1/messages")
    assert got.body.count(b"event: ") == got.body.count(b"x_vendor")
    assert got.body.endswith(b"\n\n")
    assert b"message_stop" in got.body


def test_instructions_of_the_use_case_come_first(
    claude: anthropic.Anthropic, sdk: openai.OpenAI, vendor: Upstream
) -> None:
    claude.messages.create(model="kind", max_tokens=9, system="Be brief.", messages=HI)
    assert [block["text"] for block in sent(vendor)["system"]] == ["Be kind.", "Be brief."]
    sdk.chat.completions.create(model="kind", messages=HI)
    assert sent(vendor)["system"] == "Be kind."


def test_what_cannot_be_carried_is_refused_with_its_name(sdk: openai.OpenAI, vendor: Upstream) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="claude", messages=HI, seed=7)
    assert (caught.value.code, caught.value.param) == ("not_carried", "seed")
    assert "claude: `seed`: Anthropic has no such field" in str(caught.value)
    assert vendor.received == []


def test_what_cannot_be_carried_goes_where_it_can(sdk: openai.OpenAI, vendor: Upstream, spare: Upstream) -> None:
    got = sdk.chat.completions.create(model="either", messages=HI, seed=7)
    assert got.choices[0].message.content == WHOLE
    assert (vendor.received, sent(spare)["seed"]) == ([], 7)


def test_what_cannot_be_carried_is_dropped_where_the_use_case_says_so(sdk: openai.OpenAI, vendor: Upstream) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model="loose", messages=HI, seed=7, metadata={"a": "b"})
    assert raw.headers["x-trunkline-dropped"] == "seed, metadata.a"
    assert "seed" not in sent(vendor)


def test_hints_are_left_out_and_named(claude: anthropic.Anthropic, spare: Upstream) -> None:
    system: Any = [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}]
    raw = claude.messages.with_raw_response.create(model="gpt", max_tokens=9, system=system, messages=HI)
    assert raw.headers["x-trunkline-dropped"] == "system"
    assert sent(spare)["messages"][0] == {"role": "system", "content": "long"}


def test_a_picture_never_reaches_a_model_that_sees_none(claude: anthropic.Anthropic, spare: Upstream) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    look: Any = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    with pytest.raises(anthropic.BadRequestError, match="its model sees no images"):
        claude.messages.create(model="blind", max_tokens=9, messages=look)
    assert spare.received == []


def test_a_picture_is_kept_from_it_in_its_own_dialect_too(sdk: openai.OpenAI, spare: Upstream) -> None:
    picture: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    with pytest.raises(openai.BadRequestError, match="its model sees no images"):
        sdk.chat.completions.create(model="blind", messages=[{"role": "user", "content": [picture]}])
    assert spare.received == []
    sdk.chat.completions.create(model="blind", messages=[{"role": "user", "content": "what is an image?"}], seed=3)
    assert sent(spare)["seed"] == 3


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.InternalServerError),
        (404, anthropic.InternalServerError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
    ],
)
@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_errors_reach_anthropics_sdk_as_its_own(
    claude: anthropic.Anthropic, vendor: Upstream, spare: Upstream, status: int, raised: Any, model: str
) -> None:
    vendor.default = spare.default = Script(status=status)
    with pytest.raises(raised) as caught:
        claude.messages.create(model=model, max_tokens=9, messages=HI)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["message"]


def test_a_prompt_too_long_means_the_same_at_an_openai_door(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = Script(status=400, body=(GOLDEN / "error_context.json").read_bytes())
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="claude", messages=HI)
    assert caught.value.code == "context_length_exceeded"
    assert "200251 tokens > 200000 maximum" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "raised"),
    [
        ({"model": "nobody"}, anthropic.NotFoundError),
        ({"max_tokens": "many"}, anthropic.BadRequestError),
    ],
)
def test_refusals_have_anthropics_shape(claude: anthropic.Anthropic, fields: dict[str, Any], raised: Any) -> None:
    with pytest.raises(raised) as caught:
        claude.messages.create(**{"model": "gpt", "max_tokens": 9, "messages": HI, **fields})
    assert caught.value.body["error"]["type"] in {"not_found_error", "invalid_request_error"}
    assert caught.value.response.headers["x-trunkline-request-id"].startswith("req_")


def test_a_wrong_key_is_refused_in_anthropics_shape(running: Exchange) -> None:
    with (
        anthropic.Anthropic(api_key="tl-wrong", base_url=running.root, max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        client.messages.create(model="gpt", max_tokens=9, messages=HI)
    body: Any = caught.value.body
    assert body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_a_stream_that_breaks_raises_in_anthropics_sdk(
    claude: anthropic.Anthropic, vendor: Upstream, spare: Upstream, model: str
) -> None:
    vendor.default = spare.default = Script(cut=900)
    with (
        pytest.raises(anthropic.APIStatusError, match="broke off"),
        claude.messages.stream(model=model, max_tokens=9, messages=HI) as stream,
    ):
        list(stream)


def test_an_error_in_the_midst_of_a_stream_is_told_in_the_callers_dialect(
    sdk: openai.OpenAI, claude: anthropic.Anthropic, vendor: Upstream, spare: Upstream
) -> None:
    vendor.default = Script(error_after=4, pace=0.05)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(sdk.chat.completions.create(model="claude", messages=HI, stream=True))
    spare.default = Script(error_after=3, pace=0.05)
    with pytest.raises(anthropic.APIStatusError), claude.messages.stream(model="gpt", max_tokens=9, messages=HI) as one:
        list(one)


@pytest.mark.parametrize("stream", [False, True])
def test_usage_across_dialects_is_booked_as_billed(
    running: Exchange, sdk: openai.OpenAI, vendor: Upstream, customer: str, stream: bool
) -> None:
    vendor.default = Script(prompt_tokens=1000, cached=400)
    answer: Any = sdk.chat.completions.create(model="claude", messages=HI, stream=stream, user=customer)
    list(answer)
    (row,) = running.attempts_of(customer, 1)
    assert (row["tokens_input"], row["tokens_cached"], row["tokens_output"], row["estimated"]) == (1000, 400, 5, False)
    assert (row["status"], row["deployment"], row["model_served"]) == ("ok", "claude", "claude-x-20251001")
    assert row["cost"] == pytest.approx(
        0.00081, abs=1e-12
    )  # 600 fresh at 1, 400 cached at 0.5, 5 out at 2, per million


def test_a_client_that_leaves_in_the_midst_pays_for_what_came(
    running: Exchange, claude: anthropic.Anthropic, spare: Upstream, customer: str
) -> None:
    spare.default = Script(hang="body", hang_after=4)
    metadata: Any = {"user_id": customer}
    with claude.messages.stream(model="gpt", max_tokens=9, messages=HI, metadata=metadata) as stream:
        next(iter(stream.text_stream))
    (row,) = running.attempts_of(customer, 1)
    assert (row["status"], row["estimated"]) == ("left", True)
    assert row["tokens_output"] > 0


def test_tokens_are_counted_by_the_deployment_where_it_can(
    running: Exchange, claude: anthropic.Anthropic, vendor: Upstream, customer: str
) -> None:
    got = claude.messages.count_tokens(
        model="claude", messages=HI, extra_headers={"x-trunkline-end-customer": customer}
    )
    assert got.input_tokens == 7
    assert (vendor.received[-1].path, sent(vendor)) == (
        "/v1/messages/count_tokens",
        {"model": "claude-x", "messages": HI},
    )
    (row,) = running.attempts_of(customer, 1)
    assert (row["tokens_input"], row["tokens_output"], row["cost"], row["status"]) == (0, 0, 0, "ok")


def test_tokens_are_estimated_and_marked_where_the_deployment_cannot_count(
    claude: anthropic.Anthropic, spare: Upstream
) -> None:
    raw = claude.messages.with_raw_response.count_tokens(model="gpt", messages=HI)
    assert raw.headers["x-trunkline-estimated"] == "true"
    assert 0 < raw.parse().input_tokens < 100
    assert spare.received == []


def test_a_refusal_of_the_request_names_the_upstreams_own_status_and_id(
    running: Exchange, key: str, vendor: Upstream
) -> None:
    vendor.default = Script(status=400)
    got = ask(running.port, key, {"model": "claude", "messages": HI})
    assert got.headers["x-trunkline-upstream-status"] == "400"
    assert got.headers["x-trunkline-upstream-request-id"] == "req_upstream"


def test_models_are_listed_in_the_shape_of_the_client(
    claude: anthropic.Anthropic, sdk: openai.OpenAI, running: Exchange
) -> None:
    listed = claude.models.list()
    assert {"claude", "gpt"} <= {model.id for model in listed.data}
    assert listed.has_more is False
    one = claude.models.retrieve("gpt")
    assert (one.id, one.type, one.max_tokens) == ("gpt", "model", 32768)
    retrieved = sdk.models.retrieve("gpt")
    assert (retrieved.object, getattr(retrieved, "tokeniser", None)) == ("model", "o200k_base")
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("nobody")
