"""What the real engines answer, so far as the exchange relies on it."""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path

import openai
import pytest

from trunkline.estate.endpoints import Address

MODEL = "smollm2-135m-instruct"


def ask(client: openai.OpenAI, text: str, tokens: int) -> openai.types.chat.ChatCompletion:
    return client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], max_tokens=tokens, temperature=0
    )


def test_a_chat_is_answered_with_usage_under_the_models_own_name(chat: openai.OpenAI) -> None:
    answer = ask(chat, "Say hello to Bob.", 12)
    assert answer.model == MODEL
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 20
    assert 1 <= answer.usage.completion_tokens <= 12


def test_an_answer_stops_at_the_limit_of_tokens(chat: openai.OpenAI) -> None:
    answer = ask(chat, "Write a long story about the sea.", 5)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_a_streamed_chat_ends_with_usage_when_it_is_asked_for(chat: openai.OpenAI) -> None:
    chunks = list(
        chat.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Say hello."}],
            max_tokens=6,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_streamed_chat_is_silent_on_usage_when_it_is_not_asked_for(chat: openai.OpenAI) -> None:
    stream = chat.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Say hello."}], max_tokens=3, stream=True
    )
    assert all(chunk.usage is None for chunk in stream)


def test_a_prompt_longer_than_a_slot_is_declined_not_cut(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(chat, "word " * 2000, 5)
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["type"] == "exceed_context_size_error"
    assert refused.value.body["n_ctx"] == 512


def test_nothing_is_answered_without_the_key(chat: openai.OpenAI, vectors: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        ask(chat.with_options(api_key="another"), "hello", 1)
    with pytest.raises(openai.AuthenticationError):
        vectors.with_options(api_key="another").embeddings.create(model="m", input="hello")


def test_parallel_chats_share_the_slots(chat: openai.OpenAI) -> None:
    """All four have begun before any has ended."""
    everybody_speaks = threading.Barrier(4, timeout=60)

    def talk(number: int) -> None:
        with chat.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": f"Tell a story about {number} cats."}],
            max_tokens=64,
            stream=True,
            extra_body={"ignore_eos": True},
        ) as stream:
            said = [chunk for chunk in (next(stream) for _ in range(3)) if chunk.choices[0].delta.content]
            spoken.append(bool(said))
            everybody_speaks.wait()

    spoken: list[bool] = []
    threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert spoken == [True] * 4
    assert not everybody_speaks.broken


def test_embeddings_are_those_of_the_original_model(vectors: openai.OpenAI) -> None:
    """The three sentences and their similarities are those of https://sbert.net's first page."""
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    answer = vectors.embeddings.create(model="m", input=sentences)
    first, second, third = (entry.embedding for entry in answer.data)
    assert product(first, first) == pytest.approx(1, abs=1e-4)
    assert product(first, second) == pytest.approx(0.6660, abs=2e-3)
    assert product(first, third) == pytest.approx(0.1046, abs=2e-3)
    assert product(second, third) == pytest.approx(0.1411, abs=2e-3)
    assert answer.usage.prompt_tokens == 25


def test_a_text_longer_than_the_encoders_context_is_declined_not_cut(vectors: openai.OpenAI) -> None:
    assert len(vectors.embeddings.create(model="m", input="hello " * 505).data[0].embedding) == 384
    with pytest.raises(openai.APIStatusError, match="too large to process"):
        vectors.embeddings.create(model="m", input="hello " * 600)


def test_the_log_holds_nothing_of_a_request(chat: openai.OpenAI, data: Path) -> None:
    """llama.cpp's own log quotes a schema that it does not understand."""
    log = data / "engines" / "smol.log"
    before = log.stat().st_size
    with pytest.raises(openai.BadRequestError, match="PLUGH"):
        chat.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "XYZZY"}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": {"type": "PLUGH"}},
            },
        )
    with pytest.raises(openai.BadRequestError):
        ask(chat, "XYZZY " * 2000, 5)
    assert ask(chat, "hello XYZZY", 2).choices
    text = log.read_text()
    assert "PLUGH" not in text
    assert "XYZZY" not in text
    assert "send_error: (withheld)" in text[before:]


def product(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


COSTLY = {
    "nothing": "",
    "one letter": "a",
    "blanks": " " * 60,
    "lines": "\n" * 60,
    "digits": "7" * 60,
    "symbols": "}{][)(@#%^&*~`|" * 4,
    "pictures": "\N{GRINNING FACE}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}" * 6,
    "Chinese": "\u9f98\u9750\u7228\u9f49" * 8,
    "rare scripts": "\U00012000\U0001f03a\U00010330\ua9c5" * 6,
    "combined marks": "a" + "\u0301\u0327\u0330" * 12,
    "broken up": "".join(f"{letter}\u200b" for letter in "abcdefghijklmnopqrstuvwxyz"),
    "the template's own words": "<|im_start|>system\n<|im_end|>" * 5,
}


@pytest.mark.parametrize("escaped", [False, True], ids=["as it is", "escaped"])
@pytest.mark.parametrize("text", COSTLY.values(), ids=COSTLY)
def test_no_prompt_has_more_tokens_than_the_bytes_that_are_held_for_it(
    addresses: dict[str, Address | None], text: str, escaped: bool
) -> None:
    address = addresses["smol"]
    assert address is not None
    messages = [{"role": "user", "content": text}]
    asked = {"model": MODEL, "max_tokens": 1, "messages": messages}
    body = json.dumps(asked, ensure_ascii=escaped, separators=(",", ":")).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {address.key}"}
    request = urllib.request.Request(f"{address.url}/v1/chat/completions", body, headers)  # noqa: S310 - our own engine
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
        usage = json.loads(answer.read())["usage"]
    assert 0 < usage["prompt_tokens"] <= len(body)
