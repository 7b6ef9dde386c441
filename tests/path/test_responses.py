"""OpenAI's SDK on `/v1/responses` before deployments of every dialect, and on the others before one that speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel
from tests.path.exchange import VENDOR_KEY, Exchange, deployment, estate, exchange
from tests.path.raw import ask
from tests.upstreams import script as scripts
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

WHOLE = Script().text
CLAUDE = {"model": "anthropic/some-model", "boundary": "claude", "dialect": "anthropic", "upstream_model": "claude-x"}
TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
        "strict": False,
    }
]
DOORS = ["claude", "gpt", "native", "both"]


def declared(vendor: Upstream, spare: Upstream) -> dict[str, Any]:
    """A deployment of each dialect, and one that speaks two."""
    both = deployment(spare.url)
    del both["dialect"]
    deployments = {
        "claude": deployment(vendor.url, **CLAUDE),
        "gpt": deployment(spare.url),
        "native": deployment(spare.url, dialect="responses"),
        "both": both,
    }
    names = {name: [[name]] for name in deployments}
    more = {"either": [["gpt"], ["both"]], "kind": [["native"]], "loose": [["gpt"]]}
    made = estate(deployments, names | more)
    made["boundaries"]["claude"] = made["boundaries"]["vendor"] | {"provider": "anthropic"}
    made["use_cases"]["kind"]["instructions"] = "Be kind."
    made["use_cases"]["loose"]["uncarried"] = "drop"
    for name in ("gpt", "loose", "native", "both"):
        made["use_cases"][name]["keeps"] = {"by": "deployment"}
    return made


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, spare_of_module: Upstream
) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("responses"), declared(vendor_of_module, spare_of_module)) as started:
        yield started


@pytest.fixture(autouse=True)
def quiet(vendor: Upstream, spare: Upstream) -> None:
    """Both upstreams as good as new."""


def sent(upstream: Upstream) -> dict[str, Any]:
    """The last request that an upstream got."""
    body: dict[str, Any] = json.loads(upstream.received[-1].body)
    return body


@pytest.mark.parametrize("model", DOORS)
def test_a_response_comes_from_a_deployment_of_any_dialect(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, model: str
) -> None:
    vendor.default = spare.default = Script(prompt_tokens=1000, cached=400)
    got = sdk.responses.create(model=model, instructions="Be brief.", input="hi", max_output_tokens=99)
    assert got.output_text == WHOLE
    assert (got.status, got.object, got.error, got.incomplete_details) == ("completed", "response", None, None)
    assert got.usage is not None
    assert (got.usage.input_tokens, got.usage.input_tokens_details.cached_tokens) == (1000, 400)
    assert (got.usage.output_tokens, got.usage.total_tokens) == (5, 1005)


def test_a_request_is_written_as_a_chat_deployment_takes_it(sdk: openai.OpenAI, spare: Upstream) -> None:
    got = sdk.responses.create(
        model="gpt",
        instructions="Be brief.",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        temperature=0.5,
        tools=TOOLS,
        tool_choice="required",
        max_output_tokens=99,
    )
    assert (got.instructions, got.temperature, got.tool_choice) == ("Be brief.", 0.5, "required")
    assert spare.received[-1].path == "/v1/chat/completions"
    assert sent(spare) == {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "tools": [
            {
                "type": "function",
                "function": {"name": "get_weather", "parameters": TOOLS[0]["parameters"], "strict": False},
            }
        ],
        "tool_choice": "required",
        "temperature": 0.5,
        "max_completion_tokens": 99,
    }


@pytest.mark.parametrize("model", ["native", "both"])
def test_a_deployment_that_speaks_responses_gets_the_callers_own_bytes(
    running: Exchange, key: str, spare: Upstream, model: str
) -> None:
    spare.default = scripts.UNKNOWN_FIELDS
    odd = b'{"model":"%b","x_float":1.50,"input":[ {"role":"user" ,"content":"\\u00fc"}],"store":true}'
    got = ask(running.port, key, odd % model.encode(), path="/v1/responses")
    assert got.json["x_vendor"] == {"deep": [1, 2.5, "ü"]}
    assert spare.received[-1].path == "/v1/responses"
    assert spare.received[-1].body == odd % b"gpt-4.1-mini"
    assert spare.received[-1].header("authorization") == f"Bearer {VENDOR_KEY}"


def test_a_deployment_that_speaks_both_takes_chat_as_chat(sdk: openai.OpenAI, spare: Upstream) -> None:
    sdk.chat.completions.create(model="both", messages=[{"role": "user", "content": "hi"}])
    assert spare.received[-1].path == "/v1/chat/completions"


def test_hosted_tools_go_where_the_provider_runs_them(sdk: openai.OpenAI, spare: Upstream) -> None:
    tools: Any = [{"type": "web_search"}]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model="gpt", input="news?", tools=tools)
    assert (caught.value.code, caught.value.param) == ("not_carried", "tools[0]")
    assert spare.received == []
    sdk.responses.create(model="either", input="news?", tools=tools)
    assert (spare.received[-1].path, sent(spare)["tools"]) == ("/v1/responses", tools)


@pytest.mark.parametrize("model", DOORS)
def test_the_streaming_helper_follows_a_stream_of_any_dialect(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, model: str
) -> None:
    vendor.default = spare.default = Script(prompt_tokens=1000, cached=400)
    with sdk.responses.stream(model=model, input="hi") as stream:
        seen = list(stream)
        final = stream.get_final_response()
    assert [event.type for event in seen[:2]] == ["response.created", "response.in_progress"]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == WHOLE
    assert [event.snapshot for event in seen if event.type == "response.output_text.delta"][-1] == WHOLE
    assert (final.output_text, final.status, seen[-1].type) == (WHOLE, "completed", "response.completed")
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.input_tokens_details.cached_tokens) == (1000, 400)
    assert final.usage.output_tokens == 5


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", DOORS)
def test_a_conversation_with_tools_goes_on(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, model: str, stream: bool
) -> None:
    vendor.default = spare.default = scripts.TOOL_CALL
    asked: list[Any] = [{"role": "user", "content": "Is it raining?"}]
    first: Any
    if stream:
        with sdk.responses.stream(model=model, input=asked, tools=TOOLS) as events:
            first = events.get_final_response()
    else:
        first = sdk.responses.create(model=model, input=asked, tools=TOOLS)
    calls = [item for item in first.output if item.type == "function_call"]
    assert calls
    assert all(isinstance(json.loads(call.arguments), dict) for call in calls)
    asked += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    asked += [{"type": "function_call_output", "call_id": call.call_id, "output": "no"} for call in calls]
    vendor.default = spare.default = scripts.NORMAL
    second = sdk.responses.create(model=model, input=asked, tools=TOOLS)
    assert second.output_text == WHOLE
    upstream = vendor if model == "claude" else spare
    assert all(call.call_id.encode() in upstream.received[-1].body for call in calls)


class Distance(BaseModel):
    """What an answer is parsed into."""

    km: int


@pytest.mark.parametrize("model", DOORS)
def test_an_answer_is_parsed_by_its_schema(sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, model: str) -> None:
    vendor.default = spare.default = Script(pieces=('{"km"', ":384400}"))
    got = sdk.responses.parse(model=model, input="How far is the moon?", text_format=Distance)
    assert got.output_parsed == Distance(km=384400)
    with sdk.responses.stream(model=model, input="How far is the moon?", text_format=Distance) as stream:
        assert stream.get_final_response().output_parsed == Distance(km=384400)
    upstream = vendor if model == "claude" else spare
    assert b'"additionalProperties":false' in upstream.received[-1].body


def test_what_was_said_before_is_kept_by_nobody_unless_the_deployment_keeps_it(
    sdk: openai.OpenAI, spare: Upstream
) -> None:
    for model in ("gpt", "loose"):
        with pytest.raises(openai.BadRequestError, match="send the whole conversation as items") as caught:
            sdk.responses.create(model=model, input="and then?", previous_response_id="resp_1")
        assert (caught.value.code, caught.value.param) == ("not_carried", "previous_response_id")
        assert "uncarried: drop" not in caught.value.message  # It would not help.
    assert spare.received == []
    sdk.responses.create(model="both", input="and then?", previous_response_id="resp_1")
    assert sent(spare)["previous_response_id"] == "resp_1"


def test_an_answer_in_the_background_is_refused_where_its_deployment_keeps_it(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model="native", input="hi", background=True)
    assert (caught.value.code, caught.value.param) == ("not_supported", "background")


def test_instructions_of_the_use_case_come_before_the_callers(sdk: openai.OpenAI, spare: Upstream) -> None:
    sdk.responses.create(model="kind", instructions="Be brief.", input="hi")
    assert sent(spare)["instructions"] == "Be kind.\n\nBe brief."
    sdk.responses.create(model="kind", input="hi")
    assert sent(spare)["instructions"] == "Be kind."


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_answered_by_a_deployment_that_speaks_responses_alone(
    sdk: openai.OpenAI, spare: Upstream, stream: bool
) -> None:
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    got: Any
    if stream:
        with sdk.chat.completions.stream(
            model="native", messages=messages, stream_options={"include_usage": True}
        ) as chunks:
            got = chunks.get_final_completion()
    else:
        got = sdk.chat.completions.create(model="native", messages=messages, max_tokens=99, seed=None)
    assert (got.choices[0].message.content, got.choices[0].finish_reason) == (WHOLE, "stop")
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (7, 5)
    assert spare.received[-1].path == "/v1/responses"
    told = sent(spare)
    assert (told["instructions"], told["input"]) == ("Be brief.", [{"role": "user", "content": "hi"}])
    assert told["store"] is False


def test_a_message_with_a_thought_goes_on_at_the_provider_that_had_it(
    running: Exchange, key: str, spare: Upstream
) -> None:
    spare.default = scripts.TOOL_CALL
    tools: Any = [{"name": "get_weather", "input_schema": {"type": "object"}}]
    hi: Any = [{"role": "user", "content": "hi"}]
    with anthropic.Anthropic(api_key=key, base_url=running.root, max_retries=0, timeout=30) as client:
        first = client.messages.create(model="native", max_tokens=99, messages=hi, tools=tools)
        kinds = [block.type for block in first.content]
        assert (kinds, first.stop_reason) == (["thinking", "tool_use", "tool_use"], "tool_use")
        results: Any = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "no"}
            for block in first.content
            if block.type == "tool_use"
        ]
        said: Any = [block.model_dump() for block in first.content]
        more: Any = [*hi, {"role": "assistant", "content": said}, {"role": "user", "content": results}]
        client.messages.create(model="native", max_tokens=99, messages=more, tools=tools)
    thought = sent(spare)["input"][1]
    assert (thought["id"], thought["type"]) == ("rs_6876cf02e0bc8192b74af0fb64b715ff", "reasoning")
    assert thought["encrypted_content"] == "gAAAAABodK5xY3dhrZ"


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, openai.BadRequestError),
        (401, openai.InternalServerError),
        (404, openai.InternalServerError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("model", ["claude", "gpt", "native"])
def test_errors_reach_the_sdk_as_its_own(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, status: int, raised: Any, model: str
) -> None:
    vendor.default = spare.default = Script(status=status)
    with pytest.raises(raised) as caught:
        sdk.responses.create(model=model, input="hi")
    assert caught.value.body["message"]


@pytest.mark.parametrize(
    ("fields", "raised", "param"),
    [
        ({"model": "nobody"}, openai.NotFoundError, "model"),
        ({"input": 7}, openai.BadRequestError, "input"),
        ({"input": [{"id": "msg_1"}]}, openai.BadRequestError, "input[0].type"),
        ({"max_output_tokens": "many"}, openai.BadRequestError, "max_output_tokens"),
    ],
)
def test_refusals_name_the_field(sdk: openai.OpenAI, fields: dict[str, Any], raised: Any, param: str) -> None:
    with pytest.raises(raised) as caught:
        sdk.responses.create(**{"model": "gpt", "input": "hi", **fields})
    assert caught.value.param == param


@pytest.mark.parametrize("model", DOORS)
def test_a_stream_that_breaks_raises_in_the_sdk(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, model: str
) -> None:
    vendor.default = spare.default = Script(cut=3000 if model in ("native", "both") else 900)
    with (
        pytest.raises(openai.APIError, match="broke off"),
        sdk.responses.stream(model=model, input="hi") as stream,
    ):
        list(stream)


def test_an_error_in_the_midst_of_a_stream_is_told_in_the_callers_dialect(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream
) -> None:
    vendor.default = Script(error_after=4, pace=0.05)
    with pytest.raises(openai.APIError, match="Overloaded"), sdk.responses.stream(model="claude", input="hi") as one:
        list(one)
    spare.default = Script(error_after=5, pace=0.05)
    messages: Any = [{"role": "user", "content": "hi"}]
    with pytest.raises(openai.APIError, match="Rate limit reached"):
        list(sdk.chat.completions.create(model="native", messages=messages, stream=True))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["claude", "gpt", "native"])
def test_usage_is_booked_as_billed(
    running: Exchange, sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, customer: str, model: str, stream: bool
) -> None:
    vendor.default = spare.default = Script(prompt_tokens=1000, cached=400)
    answer: Any = sdk.responses.create(model=model, input="hi", stream=stream, user=customer)
    list(answer)
    (row,) = running.attempts_of(customer, 1)
    assert (row["tokens_input"], row["tokens_cached"], row["tokens_output"], row["estimated"]) == (1000, 400, 5, False)
    assert (row["status"], row["deployment"]) == ("ok", model)


@pytest.mark.parametrize("model", ["gpt", "native"])
def test_a_client_that_leaves_in_the_midst_pays_for_what_came(
    running: Exchange, sdk: openai.OpenAI, spare: Upstream, customer: str, model: str
) -> None:
    spare.default = Script(hang="body", hang_after=7)
    with sdk.responses.stream(model=model, input="hi", user=customer) as stream:
        next(event for event in stream if event.type == "response.output_text.delta")
    (row,) = running.attempts_of(customer, 1)
    assert (row["status"], row["estimated"]) == ("left", True)
    assert row["tokens_output"] > 0
