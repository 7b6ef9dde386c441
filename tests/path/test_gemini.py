"""Google's SDK at deployments of every dialect, and other SDKs at deployments that speak Google's."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from google import genai
from google.genai import errors, types
from tests.path.exchange import VENDOR_KEY, Exchange, deployment, estate, exchange
from tests.upstreams import script as scripts
from tests.upstreams.contents import GOLDEN
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

WHOLE = Script().text
PIXEL = b"\x89PNG\r\n\xff\xfe\xfb"
HI: Any = [{"role": "user", "content": "hi"}]
WEATHER = types.FunctionDeclaration(
    name="get_current_weather",
    description="The weather.",
    parameters=types.Schema(type=types.Type.OBJECT, properties={"location": types.Schema(type=types.Type.STRING)}),
)
TOOLS: Any = [types.Tool(function_declarations=[WEATHER])]


def root(url: str) -> str:
    """The address without a path."""
    return url.removesuffix("/v1")


def declared(vendor: Upstream, spare: Upstream) -> dict[str, Any]:
    """A deployment that speaks Gemini at one upstream, and of each other dialect at the other."""
    there = {"boundary": "google", "dialect": "gemini", "upstream_model": "gemini-there"}
    deployments = {
        "gemini": deployment(root(vendor.url), model="google/some-model", **there),
        "gpt": deployment(spare.url),
        "claude": deployment(spare.url, model="anthropic/some-model", boundary="claude", dialect="anthropic"),
    }
    vectors = {"capabilities": ["embeddings"], "price": {"input_mtok": 1}}
    deployments |= {
        "vectors": deployment(spare.url, model="openai/text-embedding-3-small", **vectors),
        "gemini-vectors": deployment(root(vendor.url), **there | vectors | {"model": "google/some-embedder"}),
    }
    tiers = {"gemini": [["gemini"]], "gpt": [["gpt"]], "claude": [["claude"]], "kind": [["gemini"]]}
    tiers |= {"embed": [["vectors"]], "embed-there": [["gemini-vectors"]]}
    made = estate(deployments, tiers)
    made["boundaries"]["google"] = made["boundaries"]["vendor"] | {"provider": "google"}
    made["boundaries"]["claude"] = made["boundaries"]["vendor"] | {"provider": "anthropic"}
    made["use_cases"]["kind"]["instructions"] = "Be kind."
    made["use_cases"]["direct"] = made["use_cases"]["gpt"] | {"direct": ["openai/gpt-4.1-mini"]}
    return made


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, spare_of_module: Upstream
) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("gemini"), declared(vendor_of_module, spare_of_module)) as started:
        yield started


@pytest.fixture
def gemini(running: Exchange, key: str) -> Iterator[genai.Client]:
    """Google's SDK as it comes, but for the address."""
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=running.root, timeout=30_000))
    yield client
    client.close()


@pytest.fixture
def claude(running: Exchange, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key=key, base_url=running.root, max_retries=0, timeout=30) as client:
        yield client


def sent(upstream: Upstream) -> dict[str, Any]:
    """The last request that an upstream got."""
    body: dict[str, Any] = json.loads(upstream.received[-1].body)
    return body


def post(running: Exchange, path: str, body: Any, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """Ask without an SDK."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, raw, headers)
    got = connection.getresponse()
    answer = got.status, {name.lower(): value for name, value in got.getheaders()}, got.read()
    connection.close()
    return answer


@pytest.mark.parametrize("model", ["gpt", "claude", "gemini", "openai/gpt-4.1-mini"])
def test_a_whole_answer_from_a_deployment_of_any_dialect(
    gemini: genai.Client, vendor: Upstream, spare: Upstream, model: str
) -> None:
    vendor.default = spare.default = Script(prompt_tokens=1000, cached=400)
    config = types.GenerateContentConfig(
        system_instruction="Be brief.", temperature=0.5, max_output_tokens=99, stop_sequences=["END"]
    )
    got = gemini.models.generate_content(model=model, contents="hi", config=config)
    assert got.text == WHOLE
    assert got.candidates is not None
    assert got.candidates[0].finish_reason is types.FinishReason.STOP
    used = got.usage_metadata
    assert used is not None
    assert (used.prompt_token_count, used.cached_content_token_count, used.candidates_token_count) == (1000, 400, 5)
    assert used.total_token_count == 1005


def test_what_an_openai_deployment_gets(gemini: genai.Client, spare: Upstream) -> None:
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.5,
        max_output_tokens=99,
        seed=7,
        response_mime_type="application/json",
        response_schema=types.Schema(
            type=types.Type.OBJECT, nullable=True, properties={"a": types.Schema(type=types.Type.STRING)}
        ),
        tools=TOOLS,
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
        ),
    )
    picture = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
    gemini.models.generate_content(model="gpt", contents=["look", picture], config=config)
    assert spare.received[-1].path == "/v1/chat/completions"
    assert sent(spare) == {
        "model": "gpt-4.1-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K//77"}},
                ],
            },
        ],
        "temperature": 0.5,
        "max_completion_tokens": 99,
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": {"type": ["object", "null"], "properties": {"a": {"type": "string"}}},
            },
        },
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_current_weather",
                    "description": "The weather.",
                    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
                },
            }
        ],
        "tool_choice": "required",
    }


@pytest.mark.parametrize("model", ["gpt", "claude", "gemini"])
def test_a_stream_from_a_deployment_of_any_dialect(
    gemini: genai.Client, vendor: Upstream, spare: Upstream, model: str
) -> None:
    chunks = list(gemini.models.generate_content_stream(model=model, contents="hi"))
    assert "".join(chunk.text or "" for chunk in chunks) == WHOLE
    assert len(chunks) > 3
    ends = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert ends == [None] * (len(ends) - 1) + [types.FinishReason.STOP]
    used = chunks[-1].usage_metadata
    assert used is not None
    assert (used.prompt_token_count, used.candidates_token_count) == (7, 5)


async def test_a_stream_to_the_asynchronous_sdk(running: Exchange, key: str, spare: Upstream) -> None:
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=running.root, timeout=30_000))
    async with client.aio as aio:
        stream = await aio.models.generate_content_stream(model="gpt", contents="hi")
        assert "".join([chunk.text or "" async for chunk in stream]) == WHOLE


@pytest.mark.parametrize("model", ["gpt", "gemini"])
@pytest.mark.parametrize("query", ["", "?alt=json"])
def test_a_stream_without_events_is_one_array(
    running: Exchange, key: str, vendor: Upstream, spare: Upstream, model: str, query: str
) -> None:
    path = f"/v1beta/models/{model}:streamGenerateContent{query}"
    contents = {"contents": [{"parts": [{"text": "hi"}]}]}
    status, headers, body = post(running, path, contents, {"x-goog-api-key": key})
    assert (status, headers["content-type"]) == (200, "application/json")
    chunks = json.loads(body)
    texts = [part["text"] for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(texts) == WHOLE
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("query", ["", "?alt=sse"])
@pytest.mark.parametrize("model", ["gpt", "gemini"])
def test_a_broken_stream_ends_with_an_error_in_its_own_framing(
    running: Exchange, key: str, vendor: Upstream, spare: Upstream, model: str, query: str
) -> None:
    vendor.default = spare.default = Script(cut=900)
    path = f"/v1beta/models/{model}:streamGenerateContent{query}"
    body = post(running, path, {"contents": [{"parts": [{"text": "hi"}]}]}, {"x-goog-api-key": key})[2]
    items = [json.loads(line[6:]) for line in body.splitlines() if line] if query else json.loads(body)
    assert items[-1]["error"]["status"] == "UNAVAILABLE"
    assert "candidates" in items[0]


def test_an_error_in_the_midst_of_a_stream_raises(gemini: genai.Client, spare: Upstream, vendor: Upstream) -> None:
    vendor.default = spare.default = Script(error_after=2)
    for model in ("gpt", "gemini"):
        got: list[types.GenerateContentResponse] = []
        with pytest.raises(errors.ServerError):
            got.extend(gemini.models.generate_content_stream(model=model, contents="hi"))


@pytest.mark.parametrize(("model", "name"), [("gpt", "get_current_weather"), ("claude", "get_weather")])
@pytest.mark.parametrize("stream", [False, True])
def test_calls_reach_the_sdk_and_their_results_go_back(
    gemini: genai.Client, spare: Upstream, model: str, name: str, stream: bool
) -> None:
    spare.default = scripts.TOOL_CALL
    off = types.AutomaticFunctionCallingConfig(disable=True)
    config = types.GenerateContentConfig(tools=TOOLS, automatic_function_calling=off)
    chat = gemini.chats.create(model=model, config=config)
    answers = list(chat.send_message_stream("hi")) if stream else [chat.send_message("hi")]
    calls = [call for answer in answers for call in answer.function_calls or ()]
    assert (calls[0].name, calls[0].args is not None) == (name, True)
    spare.default = scripts.NORMAL
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"}))
        for call in calls
    ]
    assert chat.send_message(results).text == WHOLE
    body = json.dumps(sent(spare))
    assert calls[0].id is not None
    assert body.count(calls[0].id) == 2
    assert "sunny" in body


def test_a_pydantic_schema_is_kept_to(gemini: genai.Client, spare: Upstream) -> None:
    class Cookie(pydantic.BaseModel):
        name: str
        grams: int | None

    spare.default = Script(pieces=('{"name": "x", ', '"grams": 3}'))
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Cookie)
    got = gemini.models.generate_content(model="gpt", contents="hi", config=config)
    assert got.parsed == Cookie(name="x", grams=3)
    schema = sent(spare)["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["grams"]["type"] == ["integer", "null"]


def test_thoughts_and_their_signatures_go_on_in_a_conversation(
    gemini: genai.Client, claude: anthropic.Anthropic, vendor: Upstream
) -> None:
    vendor.default = Script(body=(GOLDEN / "answer_thinking.json").read_bytes())
    first: Any = claude.messages.create(model="gemini", max_tokens=99, messages=HI)
    assert [block.type for block in first.content] == ["thinking", "thinking", "text"]
    vendor.default = scripts.NORMAL
    turns: Any = [*HI, {"role": "assistant", "content": first.content}, {"role": "user", "content": "and?"}]
    claude.messages.create(model="gemini", max_tokens=99, messages=turns)
    assert sent(vendor)["contents"][1]["parts"] == [{"text": "Hello!", "thoughtSignature": "CiQBVKhc7gY="}]


def test_a_chat_is_answered_by_a_gemini_deployment(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = Script(prompt_tokens=100, cached=30, reasoning=11)
    got = sdk.chat.completions.create(
        model="gemini",
        messages=[{"role": "system", "content": "Be brief."}, *HI],
        max_completion_tokens=99,
        n=2,
        seed=3,
        reasoning_effort="low",
    )
    assert [choice.message.content for choice in got.choices] == [WHOLE, WHOLE]
    assert got.usage is not None
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (100, 21)
    assert got.usage.completion_tokens_details is not None
    assert got.usage.completion_tokens_details.reasoning_tokens == 11
    assert got.model == "gemini-there-001"
    request = vendor.received[-1]
    assert request.path == "/v1beta/models/gemini-there:generateContent"
    assert request.header("x-goog-api-key") == VENDOR_KEY
    assert request.header("authorization") is None
    assert sent(vendor) == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "seed": 3,
            "candidateCount": 2,
            "thinkingConfig": {"thinkingLevel": "LOW"},
            "maxOutputTokens": 99,
        },
    }


def test_a_chat_is_streamed_from_a_gemini_deployment(sdk: openai.OpenAI, vendor: Upstream) -> None:
    options: Any = {"stream_options": {"include_usage": True}}
    chunks = list(sdk.chat.completions.create(model="gemini", messages=HI, stream=True, extra_body=options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == WHOLE
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (7, 5)
    assert vendor.received[-1].path == "/v1beta/models/gemini-there:streamGenerateContent?alt=sse"


def test_parallel_calls_of_gemini_reach_openais_and_anthropics_helpers(
    sdk: openai.OpenAI, claude: anthropic.Anthropic, vendor: Upstream
) -> None:
    vendor.default = scripts.TOOL_CALL
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    with sdk.chat.completions.stream(model="gemini", messages=HI, tools=tools) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    wanted = [("get_weather", {"location": "Boston, MA"}), ("get_time", {})]
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == wanted
    assert final.choices[0].finish_reason == "tool_calls"
    theirs: Any = [{"name": "get_weather", "input_schema": {"type": "object"}}]
    with claude.messages.stream(model="gemini", max_tokens=99, messages=HI, tools=theirs) as messages:
        message = messages.get_final_message()
    assert [(block.name, block.input) for block in message.content if block.type == "tool_use"] == wanted
    assert message.stop_reason == "tool_use"


def test_a_message_is_answered_by_a_gemini_deployment(claude: anthropic.Anthropic, vendor: Upstream) -> None:
    vendor.default = Script(prompt_tokens=100, cached=30)
    got = claude.messages.create(model="gemini", max_tokens=99, system="Be brief.", messages=HI)
    assert [block.text for block in got.content if block.type == "text"] == [WHOLE]
    assert (got.usage.input_tokens, got.usage.cache_read_input_tokens) == (70, 30)


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_dialect_passes_byte_for_byte(running: Exchange, key: str, vendor: Upstream, stream: bool) -> None:
    vendor.default = scripts.UNKNOWN_FIELDS
    odd = b'{"x_float":1.50,"contents":[ {"role":"user" ,"parts":[{"text":"\\u00fc"}]}],"safetySettings":[]}'
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    status, headers, body = post(running, f"/v1beta/models/gemini:{method}", odd, {"x-goog-api-key": key})
    assert (status, headers["x-trunkline-deployment"]) == (200, "gemini")
    assert vendor.received[-1].body == odd
    assert vendor.received[-1].path == f"/v1beta/models/gemini-there:{method}"
    assert "deep" in body.decode()
    assert not stream or body.count(b"data: ") == body.count(b"x_vendor")


def test_instructions_of_the_use_case_come_first(gemini: genai.Client, vendor: Upstream) -> None:
    config = types.GenerateContentConfig(system_instruction="Be brief.")
    gemini.models.generate_content(model="kind", contents="hi", config=config)
    assert [part["text"] for part in sent(vendor)["systemInstruction"]["parts"]] == ["Be kind.", "Be brief."]


@pytest.mark.parametrize("stream", [False, True])
def test_every_kind_of_token_is_in_the_ledger(
    running: Exchange, gemini: genai.Client, vendor: Upstream, customer: str, stream: bool
) -> None:
    vendor.default = Script(prompt_tokens=1000, cached=400, reasoning=30)
    headers = {"x-trunkline-end-customer": customer}
    options = types.GenerateContentConfig(http_options=types.HttpOptions(headers=headers))
    if stream:
        list(gemini.models.generate_content_stream(model="gemini", contents="hi", config=options))
    else:
        gemini.models.generate_content(model="gemini", contents="hi", config=options)
    (row,) = running.attempts_of(customer, 1)
    counted = [row[f"tokens_{kind}"] for kind in ("input", "cached", "output", "reasoning")]
    assert counted == [1000, 400, 35, 30]
    assert (row["estimated"], row["model_served"], row["use_case"]) == (False, "gemini-there-001", "gemini")
    assert row["cost"] == pytest.approx(0.00087, abs=1e-12)


@pytest.mark.parametrize(
    ("status", "raised", "code"),
    [
        (400, errors.ClientError, 400),
        (401, errors.ServerError, 502),
        (404, errors.ServerError, 502),
        (429, errors.ClientError, 429),
        (500, errors.ServerError, 502),
        (503, errors.ServerError, 503),
    ],
)
@pytest.mark.parametrize("model", ["gpt", "gemini"])
def test_errors_reach_the_sdk_as_its_own(
    gemini: genai.Client, vendor: Upstream, spare: Upstream, status: int, raised: Any, code: int, model: str
) -> None:
    vendor.default = spare.default = Script(status=status)
    with pytest.raises(raised) as caught:
        gemini.models.generate_content(model=model, contents="hi")
    assert caught.value.code == code
    assert caught.value.status in {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}
    assert len(vendor.received) + len(spare.received) == 1


def test_a_prompt_too_long_for_gemini_means_the_same_at_an_openai_door(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = Script(status=400, body=(GOLDEN / "error_context.json").read_bytes())
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="gemini", messages=HI)
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("asked", "code", "status", "reason"),
    [
        ({"model": "nobody", "contents": "hi"}, 404, "NOT_FOUND", "MODEL_NOT_FOUND"),
        (
            {
                "model": "gpt",
                "contents": "hi",
                "config": {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]},
            },
            400,
            "INVALID_ARGUMENT",
            "NOT_CARRIED",
        ),
    ],
)
def test_refusals_have_googles_shape(
    gemini: genai.Client, asked: dict[str, Any], code: int, status: str, reason: str
) -> None:
    with pytest.raises(errors.ClientError) as caught:
        gemini.models.generate_content(**asked)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.details["error"]["details"][0]["reason"] == reason


def test_a_wrong_key_is_refused_in_googles_shape_wherever_it_stands(running: Exchange) -> None:
    for path in ("/v1beta/models/gpt:generateContent", "/v1beta/models/gpt:generateContent?key=tl-wrong"):
        status, _, body = post(running, path, {"contents": []}, {"x-goog-api-key": "tl-wrong"})
        assert (status, json.loads(body)["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_a_key_in_the_query_opens_the_door_and_stays_out_of_the_log(
    running: Exchange, key: str, spare: Upstream
) -> None:
    contents = {"contents": [{"parts": [{"text": "hi"}]}]}
    assert post(running, f"/v1beta/models/gpt:generateContent?key={key}", contents, {})[0] == 200
    assert post(running, f"/v1beta/models/nobody:generateContent?key={key}", contents, {})[0] == 404
    for kept in running.folder.rglob("*"):
        assert not kept.is_file() or key.encode() not in kept.read_bytes(), kept


def test_models_are_listed_and_shown_in_googles_shape(gemini: genai.Client) -> None:
    models = {model.name: model for model in gemini.models.list()}
    assert {"models/gpt", "models/gemini", "models/openai/gpt-4.1-mini"} <= models.keys()
    assert "generateContent" in (models["models/gpt"].supported_actions or ())
    assert gemini.models.get(model="gpt").name == "models/gpt"
    with pytest.raises(errors.ClientError) as caught:
        gemini.models.get(model="nobody")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.parametrize("model", ["embed", "embed-there"])
def test_vectors_from_a_deployment_of_any_dialect(
    gemini: genai.Client, vendor: Upstream, spare: Upstream, model: str
) -> None:
    config = types.EmbedContentConfig(output_dimensionality=8)
    got = gemini.models.embed_content(model=model, contents=["a", "b"], config=config)
    vectors = [one.values for one in got.embeddings or ()]
    assert [len(vector or ()) for vector in vectors] == [8, 8]
    assert vectors[1] == [2 / 2**place for place in range(8)]
    assert got.usage_metadata is not None
    assert got.usage_metadata.prompt_token_count == 7
    if model == "embed":
        wanted = {"model": "text-embedding-3-small", "input": ["a", "b"], "encoding_format": "float", "dimensions": 8}
        assert sent(spare) == wanted
    else:
        assert vendor.received[-1].path == "/v1beta/models/gemini-there:batchEmbedContents"
        assert {request["model"] for request in sent(vendor)["requests"]} == {"models/gemini-there"}


@pytest.mark.parametrize("packed", [False, True])
def test_vectors_of_a_gemini_deployment_reach_openais_sdk(sdk: openai.OpenAI, vendor: Upstream, packed: bool) -> None:
    more: Any = {} if packed else {"encoding_format": "float"}
    got = sdk.embeddings.create(model="embed-there", input=["a", "b"], dimensions=8, **more)
    assert [one.embedding[:3] for one in got.data] == [[1.0, 0.5, 0.25], [2.0, 1.0, 0.5]]
    assert got.usage.prompt_tokens == 7
    assert sent(vendor)["requests"][1] == {
        "model": "models/gemini-there",
        "content": {"parts": [{"text": "b"}]},
        "outputDimensionality": 8,
    }


def test_one_vector_is_asked_for_as_it_came(running: Exchange, key: str, vendor: Upstream, spare: Upstream) -> None:
    odd = b'{"content":{"parts":[ {"text":"\\u00fc"}]},"x_float":1.50}'
    for model in ("embed", "embed-there"):
        status, _, body = post(running, f"/v1beta/models/{model}:embedContent", odd, {"x-goog-api-key": key})
        assert (status, "NOT_CARRIED" in body.decode()) == ((400, True) if model == "embed" else (200, False))
    assert len(json.loads(body)["embedding"]["values"]) == 8
    assert vendor.received[-1].body == odd
    assert vendor.received[-1].path == "/v1beta/models/gemini-there:embedContent"
    plain = {"model": "models/embed", "content": {"parts": [{"text": "a"}, {"text": "b"}]}}
    body = post(running, "/v1beta/models/embed:embedContent", plain, {"x-goog-api-key": key})[2]
    assert len(json.loads(body)["embedding"]["values"]) == 8
    assert sent(spare)["input"] == ["a\nb"]


@pytest.mark.parametrize("fields", [{"task_type": "RETRIEVAL_QUERY"}, {"title": "x"}])
def test_what_only_geminis_vectors_have_is_refused_with_its_name(gemini: genai.Client, fields: Any) -> None:
    with pytest.raises(errors.ClientError) as caught:
        gemini.models.embed_content(model="embed", contents="a", config=types.EmbedContentConfig(**fields))
    assert caught.value.code == 400
    assert "requests[0]." in str(caught.value)


def test_tokens_mean_nothing_to_gemini(sdk: openai.OpenAI, vendor: Upstream) -> None:
    with pytest.raises(openai.BadRequestError, match="tokens mean nothing to another model"):
        sdk.embeddings.create(model="embed-there", input=[1, 2, 3])
    assert vendor.received == []


def test_tokens_are_counted_there_and_cost_nothing(
    running: Exchange, gemini: genai.Client, vendor: Upstream, customer: str
) -> None:
    vendor.default = Script(prompt_tokens=31)
    headers = {"x-trunkline-end-customer": customer}
    options = types.CountTokensConfig(http_options=types.HttpOptions(headers=headers))
    assert gemini.models.count_tokens(model="gemini", contents="hi", config=options).total_tokens == 31
    assert vendor.received[-1].path == "/v1beta/models/gemini-there:countTokens"
    assert sent(vendor) == {"contents": [{"parts": [{"text": "hi"}], "role": "user"}]}
    (row,) = running.attempts_of(customer, 1)
    assert (row["cost"], row["tokens_input"]) == (0, 0)


def test_tokens_of_a_whole_request_are_counted_with_its_instructions(
    running: Exchange, key: str, vendor: Upstream
) -> None:
    whole = {"model": "models/kind", "contents": [{"parts": [{"text": "hi"}]}], "tools": []}
    body = {"generateContentRequest": whole}
    status, _, answer = post(running, "/v1beta/models/kind:countTokens", body, {"x-goog-api-key": key})
    assert (status, json.loads(answer)["totalTokens"]) == (200, 7)
    request = sent(vendor)["generateContentRequest"]
    assert request["model"] == "models/gemini-there"
    assert request["systemInstruction"] == {"parts": [{"text": "Be kind."}]}


def test_tokens_are_estimated_where_the_deployment_does_not_count(running: Exchange, key: str, spare: Upstream) -> None:
    contents = {"contents": [{"parts": [{"text": "x" * 400}]}]}
    path = "/v1beta/models/gpt:countTokens"
    status, headers, body = post(running, path, contents, {"x-goog-api-key": key})
    assert (status, headers["x-trunkline-estimated"]) == (200, "true")
    assert 100 <= json.loads(body)["totalTokens"] <= 120
    assert spare.received == []
