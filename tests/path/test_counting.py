"""Counting a prompt's tokens: each door that can ask, at deployments of every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

HI: Final[Any] = [{"role": "user", "content": "hi"}]
TOOL: Final[Any] = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
COUNTED: Final = 31
ASKED: Final = {
    "claude": "/v1/messages/count_tokens",
    "gemini": "/v1beta/models/there:countTokens",
    "native": "/v1/responses/input_tokens",
    "both": "/v1/responses/input_tokens",
}
"""Where deployments are asked that count."""
ESTIMATED: Final = ("gpt", "command")
"""Those that do not: what speaks OpenAI's chat alone, and Cohere."""


def declared(vendor: Upstream) -> dict[str, Any]:
    root = vendor.url.removesuffix("/v1")
    there = {"upstream_model": "there"}
    both = deployment(vendor.url, **there)
    del both["dialect"]
    deployments = {
        "gpt": deployment(vendor.url, **there),
        "both": both,
        "native": deployment(vendor.url, dialect="responses", **there),
        "claude": deployment(vendor.url, model="anthropic/some-model", boundary="claude", dialect="anthropic", **there),
        "gemini": deployment(root, model="google/some-model", boundary="google", dialect="gemini", **there),
        "command": deployment(root, model="cohere/some-model", boundary="cohere", dialect="cohere", **there),
    }
    made = estate(deployments, {name: [[name]] for name in deployments})
    for name, provider in (("cohere", "cohere"), ("claude", "anthropic"), ("google", "google")):
        made["boundaries"][name] = made["boundaries"]["vendor"] | {"provider": provider}
    for use_case in made["use_cases"].values():
        use_case["instructions"] = "Be kind."
    return made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("counting"), declared(vendor_of_module)) as started:
        yield started


@pytest.fixture
def counting(vendor: Upstream) -> Upstream:
    """The upstream of all, which counts so many tokens."""
    vendor.default = Script(prompt_tokens=COUNTED)
    return vendor


def told(upstream: Upstream) -> str:
    """What the last request said, in whichever words."""
    return upstream.received[-1].body.decode()


@pytest.mark.parametrize("model", ASKED)
def test_anthropics_sdk_is_told_what_the_deployment_counts(
    running: Exchange, key: str, counting: Upstream, model: str
) -> None:
    with anthropic.Anthropic(api_key=key, base_url=running.root, max_retries=0, timeout=30) as claude:
        raw = claude.messages.with_raw_response.count_tokens(model=model, messages=HI, system="Be brief.", tools=[TOOL])
    assert raw.parse().input_tokens == COUNTED
    assert "x-trunkline-estimated" not in raw.headers
    assert counting.received[-1].path == ASKED[model]
    assert all(word in told(counting) for word in ("Be kind.", "Be brief.", '"hi"', '"f"'))
    assert all(word not in told(counting) for word in ("max_tokens", "max_output_tokens", "store", "stream"))


@pytest.mark.parametrize("model", ASKED)
def test_googles_sdk_is_told_what_the_deployment_counts(
    running: Exchange, key: str, counting: Upstream, model: str
) -> None:
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=running.root, timeout=30_000))
    assert client.models.count_tokens(model=model, contents="hi").total_tokens == COUNTED
    assert counting.received[-1].path == ASKED[model]
    client.close()


def test_what_bears_on_the_answer_alone_is_not_sent_to_count(running: Exchange, key: str, counting: Upstream) -> None:
    config = {"temperature": 0.5, "maxOutputTokens": 9, "topK": 3, "seed": 1, "stopSequences": ["END"]}
    whole = {"model": "models/claude", "contents": [{"parts": [{"text": "hi"}]}], "generationConfig": config}
    headers = {"x-goog-api-key": key}
    got = ask(
        running.port, key, {"generateContentRequest": whole}, "/v1beta/models/claude:countTokens", headers=headers
    )
    assert (got.status, got.json["totalTokens"]) == (200, COUNTED)
    assert json.loads(told(counting)) == {"model": "there", "system": "Be kind.", "messages": HI}


@pytest.mark.parametrize("model", ASKED)
def test_openais_sdk_is_told_what_the_deployment_counts(
    running: Exchange, sdk: openai.OpenAI, counting: Upstream, customer: str, model: str
) -> None:
    got = sdk.responses.input_tokens.count(
        model=model, input="hi", extra_headers={"x-trunkline-end-customer": customer}
    )
    assert (got.input_tokens, got.object) == (COUNTED, "response.input_tokens")
    assert counting.received[-1].path == ASKED[model]
    (row,) = running.attempts_of(customer, 1)
    assert (row["tokens_input"], row["cost"], row["status"]) == (0, 0, "ok")


@pytest.mark.parametrize("model", ESTIMATED)
@pytest.mark.parametrize(
    ("path", "prompt", "field"),
    [
        ("/v1/messages/count_tokens", {"messages": HI}, "input_tokens"),
        ("/v1beta/models/{model}:countTokens", {"contents": [{"parts": [{"text": "hi"}]}]}, "totalTokens"),
        ("/v1/responses/input_tokens", {"input": "hi"}, "input_tokens"),
    ],
)
def test_where_nobody_counts_the_answer_says_that_it_is_an_estimate(
    running: Exchange, key: str, counting: Upstream, model: str, path: str, prompt: dict[str, Any], field: str
) -> None:
    got = ask(running.port, key, {"model": model, **prompt}, path.format(model=model))
    assert (got.status, got.headers["x-trunkline-estimated"]) == (200, "true")
    assert 0 < got.json[field] < 30
    assert counting.received == []


def test_what_the_counting_dialect_cannot_carry_is_refused_by_its_name(
    running: Exchange, key: str, counting: Upstream
) -> None:
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}
    got = ask(running.port, key, {"contents": [{"parts": [sound]}]}, "/v1beta/models/claude:countTokens")
    assert got.status == 400
    assert "Anthropic takes no audio" in got.json["error"]["message"]
    assert counting.received == []
