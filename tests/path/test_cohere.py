"""Cohere's SDK at deployments of every dialect, other SDKs at one that speaks Cohere's, and Mistral's SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import anthropic
import cohere
import openai
import pytest
from cohere import (
    ContentDeltaV2ChatStreamResponse,
    MessageEndV2ChatStreamResponse,
    ToolCallDeltaV2ChatStreamResponse,
    ToolV2,
    ToolV2Function,
    UserChatMessageV2,
)
from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from tests.path.exchange import VENDOR_KEY, Exchange, deployment, estate, exchange
from tests.upstreams import script as scripts
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

WHOLE: Final = Script().text
HI: Final[Any] = [UserChatMessageV2(content="hi")]
SAID: Final[Any] = [{"role": "user", "content": "hi"}]


def root(url: str) -> str:
    """The address without a path."""
    return url.removesuffix("/v1")


def declared(vendor: Upstream, spare: Upstream) -> dict[str, Any]:
    """A deployment that speaks Cohere's at one upstream, and of other dialects at the other."""
    there = {"boundary": "cohere", "dialect": "cohere", "upstream_model": "command-there"}
    vectors = {"capabilities": ["embeddings"], "price": {"input_mtok": 1}}
    deployments = {
        "command": deployment(root(vendor.url), model="cohere/some-model", **there),
        "command-limited": deployment(root(vendor.url), model="cohere/some-model", **there),
        "command-vectors": deployment(root(vendor.url), **there | vectors | {"model": "cohere/some-embedder"}),
        "gpt": deployment(spare.url),
        "claude": deployment(spare.url, model="anthropic/some-model", boundary="claude", dialect="anthropic"),
        "gemini": deployment(root(spare.url), model="google/some-model", boundary="google", dialect="gemini"),
        "vectors": deployment(spare.url, **vectors | {"model": "openai/text-embedding-3-small"}),
    }
    made = estate(deployments, {name: [[name]] for name in deployments})
    for name, provider in (("cohere", "cohere"), ("claude", "anthropic"), ("google", "google")):
        made["boundaries"][name] = made["boundaries"]["vendor"] | {"provider": provider}
    return made


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, spare_of_module: Upstream
) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("cohere"), declared(vendor_of_module, spare_of_module)) as started:
        yield started


@pytest.fixture
def command(running: Exchange, key: str) -> Iterator[cohere.ClientV2]:
    """Cohere's SDK as it comes, but for the address."""
    with cohere.ClientV2(api_key=key, base_url=running.root, timeout=30) as client:
        yield client


@pytest.fixture
def mistral(running: Exchange, key: str) -> Iterator[Mistral]:
    """Mistral's SDK as it comes, but for the address."""
    with Mistral(api_key=key, server_url=running.root, timeout_ms=30_000) as client:
        yield client


def sent(upstream: Upstream) -> dict[str, Any]:
    """The last request that an upstream got."""
    body: dict[str, Any] = json.loads(upstream.received[-1].body)
    return body


@pytest.mark.parametrize("model", ["gpt", "claude", "gemini"])
def test_a_whole_answer_from_a_deployment_of_another_dialect(
    command: cohere.ClientV2, spare: Upstream, model: str
) -> None:
    spare.default = Script(prompt_tokens=1000, cached=400)
    got = command.chat(model=model, messages=HI, temperature=0.5, max_tokens=99)
    assert got.message.content is not None
    assert [part.text for part in got.message.content if part.type == "text"] == [WHOLE]
    assert got.finish_reason == "COMPLETE"
    assert got.usage is not None
    assert got.usage.billed_units is not None
    assert (got.usage.billed_units.input_tokens, got.usage.cached_tokens) == (1000, 400)


@pytest.mark.parametrize("model", ["gpt", "claude", "gemini"])
def test_a_stream_from_a_deployment_of_another_dialect(command: cohere.ClientV2, spare: Upstream, model: str) -> None:
    text, ended = "", None
    for event in command.chat_stream(model=model, messages=HI):
        if isinstance(event, ContentDeltaV2ChatStreamResponse):
            text += event.delta.message.content.text or ""  # type: ignore[union-attr]
        elif isinstance(event, MessageEndV2ChatStreamResponse):
            ended = event.delta
    assert text == WHOLE
    assert ended is not None
    assert ended.finish_reason == "COMPLETE"
    assert ended.usage is not None
    assert ended.usage.billed_units is not None
    assert (ended.usage.billed_units.input_tokens, ended.usage.billed_units.output_tokens) == (7, 5)


@pytest.mark.parametrize("model", ["gpt", "claude", "gemini"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_tool_is_called_by_a_model_of_another_dialect(
    command: cohere.ClientV2, spare: Upstream, model: str, stream: bool
) -> None:
    spare.default = scripts.TOOL_CALL
    tool = ToolV2(function=ToolV2Function(name="get_current_weather", parameters={"type": "object"}))
    if not stream:
        got = command.chat(model=model, messages=HI, tools=[tool])
        assert got.finish_reason == "TOOL_CALL"
        called = [call.function for call in got.message.tool_calls or ()]
        assert called
        assert all(isinstance(json.loads(one.arguments or ""), dict) for one in called if one is not None)
        return
    pieces: dict[int | None, str] = {}
    for event in command.chat_stream(model=model, messages=HI, tools=[tool]):
        if isinstance(event, ToolCallDeltaV2ChatStreamResponse):
            piece = event.delta.message.tool_calls.function.arguments  # type: ignore[union-attr]
            pieces[event.index] = pieces.get(event.index, "") + (piece or "")
    assert pieces
    assert all(isinstance(json.loads(arguments), dict) for arguments in pieces.values())


def test_coheres_sdk_passes_through_to_a_deployment_that_speaks_the_same(
    command: cohere.ClientV2, vendor: Upstream
) -> None:
    got = command.chat(model="command", messages=HI, safety_mode="STRICT")
    assert got.message.content is not None
    assert [part.text for part in got.message.content if part.type == "text"] == [WHOLE]
    assert vendor.received[-1].path == "/v2/chat"
    assert vendor.received[-1].header("authorization") == f"Bearer {VENDOR_KEY}"
    assert (sent(vendor)["model"], sent(vendor)["safety_mode"]) == ("command-there", "STRICT")
    types = [event.type for event in command.chat_stream(model="command", messages=HI)]
    assert types[0] == "message-start"
    assert types[-1] == "message-end"


def test_embeddings_of_coheres_sdk_at_both_dialects(
    command: cohere.ClientV2, vendor: Upstream, spare: Upstream
) -> None:
    for model in ("command-vectors", "vectors"):
        got = command.embed(model=model, texts=["a", "b"], input_type="search_query", embedding_types=["float"])
        assert got.embeddings.float_ is not None
        assert len(got.embeddings.float_) == 2
    assert sent(vendor)["input_type"] == "search_query"
    assert (spare.received[-1].path, sent(spare)["input"]) == ("/v1/embeddings", ["a", "b"])


def test_coheres_sdk_lists_what_may_be_named(command: cohere.ClientV2) -> None:
    listed = {model.name: model for model in command.models.list().models}
    assert {"command", "gpt", "vectors"} <= listed.keys()
    assert (listed["gpt"].endpoints, listed["vectors"].endpoints) == (["chat"], ["embed"])
    one = command.models.get("gpt")
    assert (one.name, one.is_deprecated, one.context_length) == ("gpt", False, 1_047_576)
    with pytest.raises(cohere.NotFoundError):
        command.models.get("nobody")


def test_a_refusal_makes_coheres_sdk_raise_its_own_error(command: cohere.ClientV2) -> None:
    with pytest.raises(cohere.NotFoundError) as missing:
        command.chat(model="nothing-of-this-kind", messages=HI)
    assert missing.value.body["code"] == "model_not_found"
    with pytest.raises(cohere.BadRequestError) as odd:
        command.chat(model="gpt", messages=HI, safety_mode="STRICT")
    assert odd.value.body["param"] == "safety_mode"
    address = str(command._client_wrapper.get_base_url())
    with cohere.ClientV2(api_key="nobody", base_url=address) as stranger, pytest.raises(cohere.UnauthorizedError):
        stranger.chat(model="gpt", messages=HI)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_openais_sdk_at_a_deployment_that_speaks_coheres(
    sdk: openai.OpenAI, running: Exchange, vendor: Upstream, customer: str, stream: bool
) -> None:
    vendor.default = Script(prompt_tokens=18, cached=12)
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    got = sdk.chat.completions.create(model="command", messages=SAID, user=customer, max_tokens=9, top_p=0.5, **options)
    if stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in got if chunk.choices) == WHOLE
    else:
        assert got.choices[0].message.content == WHOLE
        assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (18, 5)
    assert {name: sent(vendor).get(name) for name in ("p", "max_tokens", "user")} == {
        "p": 0.5,
        "max_tokens": 9,
        "user": None,
    }
    (row,) = running.attempts_of(customer, 1)
    booked = (row["tokens_input"], row["tokens_cached"], row["tokens_output"], row["estimated"])
    assert booked == (18, 12, 5, False)


def test_anthropics_sdk_at_a_deployment_that_speaks_coheres(running: Exchange, key: str, vendor: Upstream) -> None:
    with anthropic.Anthropic(api_key=key, base_url=running.root, max_retries=0, timeout=30) as claude:
        thinking: Any = {"type": "enabled", "budget_tokens": 1024}
        got = claude.messages.create(model="command", messages=SAID, max_tokens=2000, thinking=thinking)
    assert [part.type for part in got.content] == ["thinking", "text"]
    assert got.stop_reason == "max_tokens"
    assert sent(vendor)["thinking"] == {"type": "enabled", "token_budget": 1024}


def test_openais_sdk_gets_vectors_from_cohere_and_its_rate_limit(sdk: openai.OpenAI, vendor: Upstream) -> None:
    got = sdk.embeddings.create(model="command-vectors", input=["a gym", "a pool"])
    assert got.data[1].embedding == [0.5, 0.25, -0.125]
    assert got.usage.prompt_tokens == 4
    vendor.default = scripts.RATE_LIMITED
    with pytest.raises(openai.RateLimitError):
        sdk.chat.completions.create(model="command-limited", messages=SAID)


@pytest.mark.parametrize("model", ["gpt", "claude", "gemini", "command"])
def test_mistrals_sdk_at_a_deployment_of_every_dialect(
    mistral: Mistral, vendor: Upstream, spare: Upstream, model: str
) -> None:
    got = mistral.chat.complete(model=model, messages=SAID, max_tokens=50, temperature=0.5)
    assert got.choices[0].message is not None
    assert got.choices[0].message.content == WHOLE
    assert got.choices[0].finish_reason == "stop"
    with mistral.chat.stream(model=model, messages=SAID) as stream:
        chunks = [event.data for event in stream]
    text = "".join(str(chunk.choices[0].delta.content or "") for chunk in chunks if chunk.choices)
    assert text == WHOLE


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_mistrals_sdk_has_a_tool_called(mistral: Mistral, spare: Upstream, model: str) -> None:
    spare.default = scripts.TOOL_CALL
    tools: Any = [{"type": "function", "function": {"name": "get_current_weather", "parameters": {"type": "object"}}}]
    got = mistral.chat.complete(model=model, messages=SAID, tools=tools, tool_choice="any")
    assert got.choices[0].message is not None
    called = got.choices[0].message.tool_calls
    assert called
    assert called[0].function.name.startswith("get_")
    assert got.choices[0].finish_reason == "tool_calls"


def test_mistrals_sdk_gets_vectors_of_another_dialect_and_of_its_own_without_an_id(
    mistral: Mistral, sdk: openai.OpenAI
) -> None:
    vectors = mistral.embeddings.create(model="command-vectors", inputs=["a gym", "a pool"])
    assert [len(one.embedding or ()) for one in vectors.data] == [3, 3]
    passed = mistral.embeddings.create(model="vectors", inputs=["a gym"])
    assert (passed.id, len(passed.data)) == ("", 1)
    raw = sdk.embeddings.with_raw_response.create(model="vectors", input="a gym", encoding_format="float")
    assert "id" not in json.loads(raw.text)


def test_a_refusal_makes_mistrals_sdk_raise_its_own_error(mistral: Mistral) -> None:
    with pytest.raises(SDKError) as missing:
        mistral.chat.complete(model="nothing-of-this-kind", messages=SAID)
    assert missing.value.status_code == 404
