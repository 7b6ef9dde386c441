"""The official SDK through the exchange, with an upstream in good health."""

from __future__ import annotations

import json

import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from tests.path.exchange import VENDOR_KEY, Exchange
from tests.path.raw import HELLO, Answer, ask
from tests.upstreams import script as scripts
from tests.upstreams.answers import GOLDEN, answer
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
WHOLE = Script().text
REQUEST_ID = "x-trunkline-request-id"


def fields(body: bytes) -> dict[str, bytes]:
    """The top-level fields of a body, each as it was written."""
    return {name: bytes(value) for name, value in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


def test_a_whole_answer(sdk: openai.OpenAI, vendor: Upstream) -> None:
    got = sdk.chat.completions.create(model="chat", messages=HI)
    assert got.choices[0].message.content == WHOLE
    assert got.usage is not None
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (7, 5)
    assert vendor.received[0].path == "/v1/chat/completions"


async def test_a_whole_answer_to_the_asynchronous_sdk(asdk: openai.AsyncOpenAI, vendor: Upstream) -> None:
    got = await asdk.chat.completions.create(model="chat", messages=HI)
    assert got.choices[0].message.content == WHOLE


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_with_usage_only_when_asked_for(sdk: openai.OpenAI, vendor: Upstream, usage: bool) -> None:
    options: dict[str, bool] = {"include_usage": usage}
    stream = sdk.chat.completions.create(
        model="chat", messages=HI, stream=True, extra_body={"stream_options": options} if usage else None
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == WHOLE
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [usage]
    assert all(chunk.choices for chunk in chunks[: len(chunks) - usage])
    assert json.loads(vendor.received[0].body)["stream_options"] == {"include_usage": True}


async def test_a_stream_to_the_asynchronous_sdk(asdk: openai.AsyncOpenAI, vendor: Upstream) -> None:
    stream = await asdk.chat.completions.create(model="chat", messages=HI, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == WHOLE


@pytest.mark.parametrize(
    "script",
    [scripts.BYTE_BY_BYTE, scripts.ALL_AT_ONCE, Script(write_size=7), Script(newline="\r\n"), Script(comments=True)],
    ids=["byte by byte", "all at once", "seven bytes", "CR LF", "with comments"],
)
def test_a_stream_is_whole_however_it_is_cut_into_writes(sdk: openai.OpenAI, vendor: Upstream, script: Script) -> None:
    vendor.default = script
    chunks = list(sdk.chat.completions.create(model="chat", messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == WHOLE
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_chunks_are_passed_on_as_they_come(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = Script(hang="body", hang_after=3)
    stream = sdk.chat.completions.create(model="chat", messages=HI, stream=True)
    # The upstream never ends this answer, so what comes now was not held back.
    assert [next(stream).choices[0].delta.content for _ in range(3)] == ["", "The ", "answer "]
    stream.close()


def test_tools_are_passed_through_untouched(running: Exchange, key: str, vendor: Upstream) -> None:
    vendor.default = scripts.TOOL_CALL
    asked = json.loads((GOLDEN / "chat_request_tools.json").read_text()) | {"model": "chat"}
    got = ask(running.port, key, asked)
    assert got.json["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "get_current_weather"
    sent = json.loads(vendor.received[0].body)
    for name in ("tools", "tool_choice", "messages"):
        assert sent[name] == asked[name]


def test_a_tool_call_in_pieces_reaches_the_sdk(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = scripts.TOOL_CALL
    arguments = ""
    for chunk in sdk.chat.completions.create(model="chat", messages=HI, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            arguments += call.function.arguments or ""
    assert json.loads(arguments) == {"location": "Boston, MA"}


def test_several_answers_at_once(sdk: openai.OpenAI, vendor: Upstream) -> None:
    got = sdk.chat.completions.create(model="chat", messages=HI, n=3)
    assert [choice.message.content for choice in got.choices] == [WHOLE] * 3
    texts = dict.fromkeys(range(3), "")
    for chunk in sdk.chat.completions.create(model="chat", messages=HI, n=3, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert set(texts.values()) == {WHOLE}


def test_embeddings_come_to_the_sdk_packed_or_as_numbers(sdk: openai.OpenAI, vendor: Upstream) -> None:
    packed = sdk.embeddings.create(model="embed", input=["a", "b"])
    plain = sdk.embeddings.create(model="embed", input="a", encoding_format="float")
    assert len(packed.data) == 2
    assert packed.data[0].embedding == plain.data[0].embedding
    assert packed.usage.prompt_tokens == 7
    assert {received.path for received in vendor.received} == {"/v1/embeddings"}


def test_unknown_fields_pass_untouched_both_ways(running: Exchange, key: str, vendor: Upstream) -> None:
    vendor.default = scripts.UNKNOWN_FIELDS
    odd = b'{"model":"chat","x_float":1.50,"x_big":123456789012345678901234567890,"messages":[ {"role":"user" ,'
    odd += b'"content":"\\u00fc \\ud83d\\ude00"}],"x_deep":{"a":[null, 1e3]},"logprobs":true}'
    got = ask(running.port, key, odd)
    assert got.json["x_vendor"] == {"deep": [1, 2.5, "ü"]}
    sent = fields(vendor.received[0].body)
    for name, value in fields(odd).items():
        if name != "model":
            assert sent[name] == value, name


@pytest.mark.parametrize("stream", [False, True])
def test_the_answers_bytes_are_the_upstreams_own(running: Exchange, key: str, vendor: Upstream, stream: bool) -> None:
    script = scripts.UNKNOWN_FIELDS
    vendor.default = script
    asked = HELLO | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})
    got = ask(running.port, key, asked)
    made = answer(script, "/v1/chat/completions", vendor.received[0].body)
    assert got.body == b"".join(made.units)
    assert got.headers["content-type"] == made.content_type


def test_a_stream_loses_nothing_but_the_usage_that_nobody_asked_for(
    running: Exchange, key: str, vendor: Upstream
) -> None:
    got = ask(running.port, key, HELLO | {"stream": True})
    assert "usage" not in got.body.decode() or all(chunk.get("usage") is None for chunk in got.chunks)
    made = answer(
        Script(), "/v1/chat/completions", json.dumps(HELLO | {"model": "gpt-4.1-mini", "stream": True}).encode()
    )
    direct = Answer(200, {}, b"".join(made.units), whole=True)
    assert [chunk["choices"] for chunk in got.chunks] == [chunk["choices"] for chunk in direct.chunks]
    assert got.data[-1] == "[DONE]"


def test_the_upstream_gets_its_own_model_name_and_key_and_none_of_the_callers(
    running: Exchange, key: str, vendor: Upstream
) -> None:
    ask(
        running.port,
        key,
        HELLO | {"model": "alias"},
        headers={"cookie": "session=1", "x-trunkline-data-class": "internal"},
    )
    ask(running.port, key, HELLO)
    renamed, plain = vendor.received
    assert json.loads(renamed.body)["model"] == "vendor-name"
    assert json.loads(plain.body)["model"] == "gpt-4.1-mini"
    assert renamed.header("authorization") == f"Bearer {VENDOR_KEY}"
    assert renamed.header("content-length") == str(len(renamed.body))
    everything = repr(renamed.headers).lower()
    assert key not in everything
    assert "cookie" not in everything
    assert "x-trunkline" not in everything


def test_headers_name_request_deployment_pattern_and_cost(running: Exchange, key: str, vendor: Upstream) -> None:
    whole = ask(running.port, key, HELLO)
    assert whole.headers[REQUEST_ID].startswith("req_")
    assert (whole.headers["x-trunkline-deployment"], whole.headers["x-trunkline-pattern"]) == ("gpt", "saas")
    assert whole.headers["x-trunkline-cost"] == "0.000017"  # 7 tokens in at 1, 5 out at 2 per million
    stream = ask(running.port, key, HELLO | {"stream": True})
    assert stream.headers[REQUEST_ID] != whole.headers[REQUEST_ID]
    assert (stream.headers["x-trunkline-deployment"], stream.headers["x-trunkline-pattern"]) == ("gpt", "saas")
    assert "x-trunkline-cost" not in stream.headers


def test_every_kind_of_token_is_in_the_ledger_at_its_price(
    running: Exchange, key: str, vendor: Upstream, customer: str
) -> None:
    vendor.default = Script(prompt_tokens=1000, cached=400, reasoning=30)
    got = ask(running.port, key, HELLO | {"user": customer})
    (row,) = running.attempts_of(customer, 1)
    assert row["request_id"] == got.headers[REQUEST_ID]
    assert (row["tokens_input"], row["tokens_cached"], row["tokens_output"], row["tokens_reasoning"]) == (
        1000,
        400,
        35,
        30,
    )
    assert (row["unit"], row["cost_centre"], row["use_case"]) == ("finance", "CC-1200", "chat")
    assert (row["deployment"], row["boundary"], row["pattern"]) == ("gpt", "vendor", "saas")
    assert (row["status"], row["http_status"], row["estimated"], row["attempt"]) == ("ok", 200, False, 1)
    assert row["model_served"] == "gpt-4.1-mini-2025-04-14"
    # 600 fresh at 1, 400 cached at 0.5, 35 out at 2, per million
    assert row["cost"] == pytest.approx(0.00087, abs=1e-12)
    assert got.headers["x-trunkline-cost"] == "0.00087"


@pytest.mark.parametrize(
    ("script", "estimated", "output"),
    [
        (scripts.USAGE_IN_EVERY_CHUNK, False, 5),
        (scripts.USAGE_IN_THE_TEXT, False, 4),
        (scripts.BYTE_BY_BYTE, False, 5),
        (scripts.ALL_AT_ONCE, False, 5),
        (scripts.NO_USAGE, True, None),
        (Script(usage="none", pieces=scripts.TRAP), True, None),
    ],
    ids=["every chunk", "in the text", "byte by byte", "all at once", "none", "none but in the text"],
)
def test_a_streams_usage_is_read_from_its_events_or_counted_and_marked(
    running: Exchange, key: str, vendor: Upstream, customer: str, script: Script, estimated: bool, output: int | None
) -> None:
    vendor.default = script
    got = ask(running.port, key, HELLO | {"stream": True, "user": customer})
    assert got.text == script.text
    (row,) = running.attempts_of(customer, 1)
    assert row["status"] == "ok"
    assert row["estimated"] is estimated
    if output is None:
        assert 0 < row["tokens_output"] < 1000
    else:
        assert (row["tokens_input"], row["tokens_output"]) == (7, output)


def test_a_whole_answer_without_usage_is_counted_and_marked(
    running: Exchange, key: str, vendor: Upstream, customer: str
) -> None:
    vendor.default = scripts.NO_USAGE
    assert ask(running.port, key, HELLO | {"user": customer}).status == 200
    (row,) = running.attempts_of(customer, 1)
    assert row["estimated"] is True
    assert 0 < row["tokens_output"] < 1000


def test_usage_in_the_text_reaches_the_caller_word_for_word(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = scripts.USAGE_IN_THE_TEXT
    chunks = list(sdk.chat.completions.create(model="chat", messages=HI, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "".join(scripts.TRAP)


def test_a_direct_model_is_answered_under_its_use_case(
    running: Exchange, key: str, vendor: Upstream, customer: str
) -> None:
    assert ask(running.port, key, HELLO | {"model": "openai/gpt-4.1-mini", "user": customer}).status == 200
    (row,) = running.attempts_of(customer, 1)
    assert (row["use_case"], row["model_asked"]) == ("direct", "openai/gpt-4.1-mini")


def test_the_models_are_those_that_this_caller_may_use(sdk: openai.OpenAI, running: Exchange, key: str) -> None:
    names = {model.id for model in sdk.models.list()}
    assert {"chat", "embed", "direct", "openai/gpt-4.1-mini"} <= names
    assert "drafts" not in names
    listed = json.loads(running.get("/v1/models", key)[1])["data"]
    chat = next(model for model in listed if model["id"] == "chat")
    assert chat["object"] == "model"
    assert "internal" in json.dumps(chat)
    assert "saas" in json.dumps(chat)
