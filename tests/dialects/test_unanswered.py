from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.dialects.anthropic import codec as anthropic
from trunkline.dialects.cohere import codec as cohere
from trunkline.dialects.gemini import codec as gemini
from trunkline.dialects.openai import codec as openai
from trunkline.dialects.openai.read_events import ChatReader
from trunkline.dialects.responses import answers
from trunkline.dialects.responses import codec as responses
from trunkline.errors import Declined, Garbled, UpstreamFault
from trunkline.messages import Asked, Operation

CODECS: dict[str, Any] = {
    "openai": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "responses": responses,
    "cohere": cohere,
}
PROMPTS: dict[str, dict[str, Any]] = {
    "openai": {"messages": [{"role": "user", "content": "hi"}]},
    "anthropic": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
    "responses": {"input": "hi"},
    "cohere": {"messages": [{"role": "user", "content": "hi"}]},
}
ERRORS = ({"error": {"message": "boom", "code": 500}}, {"type": "error", "error": {"type": "overloaded_error"}})
NONE: tuple[Any, ...] = (
    {},
    [],
    None,
    "boom",
    7,
    {"message": "boom"},
    {"choices": None, "content": None, "output": None},
)


def asked(dialect: str, operation: Operation = Operation.CHAT) -> Asked:
    path = "/v1beta/models/m:generateContent"
    prompt = PROMPTS[dialect] if operation is Operation.CHAT else {"input": "hi"}
    made: Asked = CODECS[dialect].decode(operation, json.dumps(prompt | {"model": "m"}).encode(), path)
    return made


@pytest.mark.parametrize("dialect", CODECS)
@pytest.mark.parametrize("body", ERRORS, ids=["an error", "an error of a type"])
def test_an_error_in_place_of_an_answer_is_one_whatever_its_status(dialect: str, body: object) -> None:
    with pytest.raises(Declined, match="status 200 and an error"):
        CODECS[dialect].read_answer(asked(dialect), json.dumps(body).encode())


@pytest.mark.parametrize("dialect", CODECS)
@pytest.mark.parametrize("body", NONE, ids=json.dumps)
def test_what_answers_nothing_is_no_answer(dialect: str, body: object) -> None:
    with pytest.raises(Garbled):
        CODECS[dialect].read_answer(asked(dialect), json.dumps(body).encode())


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai", {"choices": []}),
        ("openai", {"choices": [{"message": {"content": 7}}]}),
        ("anthropic", {"content": []}),
        ("gemini", {"usageMetadata": {"promptTokenCount": 1}}),
        ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}),
        ("responses", {"output": [], "error": None}),
        ("cohere", {"message": {"content": []}}),
    ],
)
def test_an_answer_that_says_little_is_one(dialect: str, body: object) -> None:
    CODECS[dialect].read_answer(asked(dialect), json.dumps(body).encode())


def test_vectors_are_an_answer_and_an_error_in_their_place_is_none() -> None:
    question = asked("openai", Operation.EMBEDDINGS)
    openai.read_answer(question, b'{"data": [], "usage": {"prompt_tokens": 1, "total_tokens": 1}}')
    with pytest.raises(Declined):
        openai.read_answer(question, b'{"error": {"message": "boom"}}')


@pytest.mark.parametrize("body", [*ERRORS, {}, {"message": "boom"}], ids=json.dumps)
def test_nothing_is_made_of_a_response_without_output_for_callers_of_other_dialects(body: object) -> None:
    with pytest.raises(UpstreamFault):
        answers.read_answer(json.dumps(body).encode())


def test_an_error_object_in_a_stream_is_seen_for_callers_of_other_dialects_too() -> None:
    with pytest.raises(Declined):
        ChatReader().take(b'data: {"object": "error", "message": "boom", "code": 400}\n\n')
