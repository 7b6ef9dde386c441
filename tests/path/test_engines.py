"""The official SDK against the real embedded models, through the exchange: nothing here is scripted."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import MessageParam
from google import genai
from google.genai import types
from openai.types.chat import ChatCompletionMessageParam
from tests.path.exchange import Exchange, estate, exchange

WITHIN = 120.0
COLD = {"temperature": 0}
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France? One word."}]
DECLARED = estate(
    {
        "smol": {
            "model": "huggingface/smollm2-135m-instruct",
            "pattern": "self_managed",
            "boundary": "vendor",
            "engine": {"kind": "embedded", "weights": "builtin", "slots": 2},
            "price": {"input_mtok": 1, "output_mtok": 2},
        },
        "minilm": {
            "model": "sentence-transformers/all-minilm-l6-v2",
            "pattern": "self_managed",
            "boundary": "vendor",
            "engine": {"kind": "embedded", "weights": "builtin"},
            "price": {"input_mtok": 1},
        },
    },
    {"chat": [["smol"]], "embed": [["minilm"]]},
)
DECLARED["use_cases"]["chat"]["keeps"] = {"days": 1}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """The product with its embedded engines."""
    pytest.importorskip("xllamacpp", reason="the extra `engine` is not installed")
    with exchange(tmp_path_factory.mktemp("engines"), DECLARED, "--host", "127.0.0.1", within=WITHIN) as started:
        yield started


@pytest.fixture(scope="module")
def key(running: Exchange) -> str:
    return running.key("finance")


@pytest.fixture
async def asdk(running: Exchange, key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=60) as client:
        yield client


def near(one: list[float], other: list[float]) -> float:
    """The cosine of two vectors."""
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def test_a_real_conversation_goes_on_from_what_the_exchange_kept(running: Exchange, key: str) -> None:
    customer = secrets.token_hex(4)
    with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=60) as sdk:
        first = sdk.responses.create(model="chat", input="My name is Ada.", max_output_tokens=16, temperature=0)
        alone = sdk.responses.create(model="chat", input="Hi.", max_output_tokens=4, user=customer)
        then: Any = sdk.responses.create(
            model="chat", input="Hi.", max_output_tokens=4, previous_response_id=first.id, user=customer
        )
        assert (then.previous_response_id, then.store) == (first.id, True)
        assert [item.type for item in sdk.responses.input_items.list(then.id).data] == ["message"] * 3
    assert alone.usage is not None
    assert then.usage is not None
    assert then.usage.input_tokens > alone.usage.input_tokens  # The engine read all that was said before.


def test_a_real_answer_is_priced_and_in_the_ledger(running: Exchange, key: str) -> None:
    customer = secrets.token_hex(4)
    with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=60) as sdk:
        got = sdk.chat.completions.create(model="chat", messages=ASKED, max_tokens=16, temperature=0, user=customer)
    assert "Paris" in (got.choices[0].message.content or "")
    assert got.usage is not None
    (row,) = running.attempts_of(customer, 1)
    assert (row["tokens_input"], row["tokens_output"]) == (got.usage.prompt_tokens, got.usage.completion_tokens)
    assert (row["status"], row["estimated"], row["pattern"]) == ("ok", False, "self_managed")
    assert row["cost"] == pytest.approx((row["tokens_input"] + 2 * row["tokens_output"]) / 1e6, abs=1e-12)


async def test_a_real_stream_comes_in_pieces_with_the_same_text(running: Exchange, asdk: openai.AsyncOpenAI) -> None:
    customer = secrets.token_hex(4)
    whole = await asdk.chat.completions.create(model="chat", messages=ASKED, max_tokens=16, temperature=0)
    stream = await asdk.chat.completions.create(
        model="chat", messages=ASKED, max_tokens=16, temperature=0, stream=True, user=customer
    )
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len([piece for piece in pieces if piece]) > 1
    (row,) = running.attempts_of(customer, 1)
    assert whole.usage is not None
    assert (row["estimated"], row["tokens_output"]) == (False, whole.usage.completion_tokens)


async def test_more_parallel_chats_than_slots_are_all_answered(asdk: openai.AsyncOpenAI) -> None:
    answers = await asyncio.gather(
        *(asdk.chat.completions.create(model="chat", messages=ASKED, max_tokens=8) for _ in range(5))
    )
    assert all(answer.choices[0].message.content for answer in answers)


async def test_a_client_that_leaves_frees_its_slot(running: Exchange, asdk: openai.AsyncOpenAI) -> None:
    customer = secrets.token_hex(4)
    story: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a very long story about the sea."}]
    for _ in range(3):
        stream = await asdk.chat.completions.create(
            model="chat", messages=story, max_tokens=1500, stream=True, user=customer
        )
        await anext(stream)
        await stream.close()
    answer = await asdk.chat.completions.create(model="chat", messages=ASKED, max_tokens=4)
    assert answer.choices[0].message.content
    rows = await asyncio.to_thread(running.attempts_of, customer, 3)
    assert {row["status"] for row in rows} == {"left"}
    assert all(row["tokens_output"] < 1500 for row in rows)


async def test_real_embeddings_place_what_means_the_same_close_together(asdk: openai.AsyncOpenAI) -> None:
    texts = ["A cat sits on the mat.", "A kitten is lying on the rug.", "The central bank raised interest rates."]
    got = await asdk.embeddings.create(model="embed", input=texts)
    cat, kitten, bank = (item.embedding for item in got.data)
    assert len(cat) == 384
    assert near(cat, kitten) > near(cat, bank) + 0.2
    assert got.usage.prompt_tokens > 0


async def test_a_schema_binds_the_real_model(asdk: openai.AsyncOpenAI) -> None:
    got = await asdk.chat.completions.create(
        model="chat",
        messages=ASKED,
        max_tokens=60,
        temperature=0,
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            },
        },
    )
    assert (got.choices[0].message.content or "").lstrip().startswith("{")


async def test_a_prompt_longer_than_the_context_is_the_callers_error(asdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        await asdk.chat.completions.create(model="chat", messages=[{"role": "user", "content": "word " * 5000}])


def chat_engine(running: Exchange) -> int:
    """The process of the chat engine: of the exchange's children, the one of most memory."""
    tasks = Path(f"/proc/{running.process.pid}/task").iterdir()
    children = {int(pid) for task in tasks for pid in (task / "children").read_text().split()}
    return max(children, key=lambda pid: int(Path(f"/proc/{pid}/statm").read_text().split()[1]))


async def test_an_engine_that_dies_breaks_its_streams_honestly_and_is_back_within_seconds(
    running: Exchange, asdk: openai.AsyncOpenAI
) -> None:
    customer = secrets.token_hex(4)
    story: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a very long story about the sea."}]
    stream = await asdk.chat.completions.create(
        model="chat", messages=story, max_tokens=1500, stream=True, user=customer
    )
    await anext(stream)
    os.kill(chat_engine(running), signal.SIGKILL)
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in stream:
            pass
    said = []
    async with asyncio.timeout(60):
        while True:
            said.append(await asyncio.to_thread(running.get, "/readyz"))
            try:
                answer = await asdk.chat.completions.create(model="chat", messages=ASKED, max_tokens=4)
            except openai.InternalServerError as refused:
                assert refused.status_code in {502, 503}  # noqa: PT017 - what happens meanwhile is the point
                await asyncio.sleep(0.05)
            else:
                break
    assert answer.choices[0].message.content
    (row,) = await asyncio.to_thread(running.attempts_of, customer, 1)
    assert (row["status"], row["estimated"]) == ("broken", True)
    assert any(status == 503 and "smol" in body for status, body in said), said
    assert (await asyncio.to_thread(running.get, "/readyz"))[0] == 200


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_an_engine_that_hangs_costs_its_callers_a_time_out_that_names_it_and_is_replaced(
    running: Exchange, asdk: openai.AsyncOpenAI
) -> None:
    hung = chat_engine(running)
    os.kill(hung, signal.SIGSTOP)
    hasty = {"x-trunkline-timeout": "2"}
    with pytest.raises(openai.InternalServerError, match="smol") as caught:
        await asdk.chat.completions.create(model="chat", messages=ASKED, max_tokens=4, extra_headers=hasty)
    assert caught.value.status_code == 504
    said = set()
    async with asyncio.timeout(120):
        while True:
            said.add((await asyncio.to_thread(running.get, "/readyz"))[0])
            try:
                await asdk.chat.completions.create(model="chat", messages=ASKED, max_tokens=4, extra_headers=hasty)
            except openai.InternalServerError:
                await asyncio.sleep(0.05)
            else:
                break
    assert said == {200, 503}
    assert chat_engine(running) != hung


def test_anthropics_sdk_is_answered_by_the_embedded_model(running: Exchange, key: str) -> None:
    hi: list[MessageParam] = [{"role": "user", "content": "What is the capital of France? One word."}]
    with anthropic.Anthropic(api_key=key, base_url=running.root, max_retries=0, timeout=60) as client:
        whole = client.messages.create(model="chat", max_tokens=8, messages=hi, extra_body=COLD)
        with client.messages.stream(model="chat", max_tokens=8, messages=hi, extra_body=COLD) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        counted = client.messages.count_tokens(model="chat", messages=hi)
    said = "".join(block.text for block in whole.content if block.type == "text")
    assert said
    assert text == said
    assert whole.stop_reason in {"end_turn", "max_tokens"}
    assert whole.usage.output_tokens == final.usage.output_tokens > 0
    assert counted.input_tokens == final.usage.input_tokens + (final.usage.cache_read_input_tokens or 0)


def test_openais_responses_are_answered_by_the_embedded_model(sdk: openai.OpenAI) -> None:
    question = "What is the capital of France? One word."
    whole = sdk.responses.create(model="chat", input=question, temperature=0, max_output_tokens=16)
    with sdk.responses.stream(model="chat", input=question, temperature=0, max_output_tokens=16) as stream:
        final = stream.get_final_response()
    assert "Paris" in whole.output_text
    assert final.output_text == whole.output_text
    assert whole.usage is not None
    assert final.usage is not None
    assert whole.usage.output_tokens == final.usage.output_tokens > 0


def test_googles_sdk_is_answered_by_the_embedded_models(running: Exchange, key: str) -> None:
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=running.root, timeout=60_000))
    cold = types.GenerateContentConfig(temperature=0, max_output_tokens=16)
    question = "What is the capital of France? One word."
    got = client.models.generate_content(model="chat", contents=question, config=cold)
    chunks = list(client.models.generate_content_stream(model="chat", contents=question, config=cold))
    assert "Paris" in (got.text or "")
    assert "".join(chunk.text or "" for chunk in chunks) == got.text
    used, streamed = got.usage_metadata, chunks[-1].usage_metadata
    assert used is not None
    assert streamed is not None
    counted = (streamed.prompt_token_count, streamed.candidates_token_count)
    assert counted == (used.prompt_token_count, used.candidates_token_count)
    assert counted != (0, 0)
    vectors = client.models.embed_content(model="embed", contents=["a dog", "a puppy", "tax law"]).embeddings or []
    dog, puppy, law = (vector.values or [] for vector in vectors)
    assert near(dog, puppy) > near(dog, law)
    assert (client.models.count_tokens(model="chat", contents=question).total_tokens or 0) > 5
    client.close()
