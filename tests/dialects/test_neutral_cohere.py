"""Cohere's Chat from and to the neutral form: what was asked and answered comes out as it went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.dialects.ways import There, asked_of, deltas_of

from trunkline.dialects.anthropic.dialect import ANTHROPIC
from trunkline.dialects.cohere.answers import read_answer, write_answer
from trunkline.dialects.cohere.codec import decode, encode
from trunkline.dialects.cohere.dialect import COHERE
from trunkline.dialects.cohere.errors import error_event, read_failure, refusal_body
from trunkline.dialects.cohere.events import ChatReader, ChatWriter
from trunkline.dialects.cohere.read_chat import read_request
from trunkline.dialects.cohere.stream import ChatStream
from trunkline.dialects.cohere.usage import read_usage
from trunkline.dialects.cohere.write_chat import write_request
from trunkline.dialects.deltas import Ended, Failed, Started, Weighed
from trunkline.dialects.neutral import (
    Choice,
    Conversation,
    Document,
    Message,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Source,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    Trouble,
)
from trunkline.dialects.translate import Bridge
from trunkline.errors import Garbled, Malformed
from trunkline.messages import Media, Operation, Usage
from trunkline.wire.sse import Framer

GOLDEN = Path(__file__).parents[1] / "golden" / "cohere"
TOOL = Tool("f", "does it", msgspec.Raw(b'{"type":"object"}'))
HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def again(request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bool]]:
    """The request as it comes out, and what is lost of it: whether it is only a hint."""
    made = write_request(read_request(asked_of(COHERE, request)), There())
    return json.loads(made.body), {one.field: one.hint for one in made.uncarried}


def written(**fields: Any) -> tuple[dict[str, Any], dict[str, bool]]:
    made = write_request(Conversation(**{"messages": (Message(Role.USER, (Text("hi"),)),), **fields}), There())
    return json.loads(made.body), {one.field: one.hint for one in made.uncarried}


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("request", {"safety_mode": False, "priority": True}),
        ("request_stream", {}),
        ("request_tools", {"messages[4].citations": True}),
        ("request_thinking", {}),
    ],
)
def test_a_golden_request_comes_out_as_it_went_in(name: str, lost: dict[str, bool]) -> None:
    request = golden(name)
    made, gone = again(request)
    assert gone == lost
    for field in ("safety_mode", "priority"):
        request.pop(field, None)
    if request.get("k") == 0:
        del request["k"]
    for message in request["messages"]:
        message.pop("citations", None)
        match message.get("content"):
            case [{"type": "text", "text": text}] if message["role"] == "tool":
                message["content"] = text
    assert made == request | {"model": "there"}


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"safety_mode": "STRICT"}, {"safety_mode": False}),
        ({"tools": [{"type": "web", "name": "x"}]}, {"tools[0]": False}),
        ({"priority": 3, "documents": None}, {"priority": True}),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, {"messages[0].content[0]": False}),
    ],
)
def test_what_only_cohere_has_is_named_with_its_place(fields: dict[str, Any], lost: dict[str, bool]) -> None:
    assert again(HI | fields)[1] == lost


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"content": "x"}]},
        {"tool_choice": "SOMETIMES"},
        {"documents": 7},
        {"documents": [{"id": "1"}]},
        {"documents": [{"data": []}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
        {"messages": "x"},
        {"max_tokens": -1},
    ],
)
def test_what_is_not_as_the_reference_has_it_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        again(HI | fields)


def test_documents_are_cited_at_anthropic_and_stand_before_the_users_words() -> None:
    documents = ["plain words", {"id": "b", "data": {"title": "Benefits", "snippet": "A gym.", "year": 2026}}]
    asked = asked_of(COHERE, HI | {"documents": documents})
    sent = json.loads(ANTHROPIC.chat.write_request(read_request(asked), There()).body)  # type: ignore[union-attr]
    first, second, words = sent["messages"][0]["content"]
    assert (first["source"]["data"], first["citations"]) == ("plain words", {"enabled": True})
    assert (second["title"], second["source"]["data"]) == ("Benefits", "A gym.\nyear: 2026")
    assert words == {"type": "text", "text": "hi"}


def test_documents_that_are_to_be_cited_are_told_apart_from_those_to_be_read() -> None:
    read = Document(Source(mime="text/plain", text="read me"))
    cite = Document(Source(mime="text/plain", text="cite me"), title="T", cite=True)
    made, lost = written(messages=(Message(Role.USER, (read, cite, Text("hi")), at="messages[0]"),))
    assert made["documents"] == [{"id": "0", "data": {"title": "T", "text": "cite me"}}]
    assert [part["text"] for part in made["messages"][0]["content"]] == ["read me", "hi"]
    assert lost == {}


def test_documents_without_words_of_a_user_are_named() -> None:
    request = {"model": "m", "messages": [{"role": "system", "content": "x"}], "documents": ["a"]}
    assert again(request)[1] == {"documents": False}
    off = HI | {"documents": ["a"], "citation_options": {"mode": "OFF"}}
    assert again(off)[0]["messages"][0]["content"][0] == {"type": "text", "text": "a"}


@pytest.mark.parametrize(
    ("fields", "sent", "lost"),
    [
        ({"sampling": Sampling(temperature=1.5)}, {}, {"temperature": False}),
        ({"sampling": Sampling(top_p=1.0, top_k=40)}, {"p": 0.99, "k": 40}, {"top_p": True}),
        ({"sampling": Sampling(frequency_penalty=0.5)}, {"frequency_penalty": 0.5}, {}),
        ({"sampling": Sampling(presence_penalty=-1)}, {}, {"presence_penalty": False}),
        ({"sampling": Sampling(logprobs=True, top_logprobs=2)}, {"logprobs": True}, {"top_logprobs": False}),
        ({"sampling": Sampling(answers=2)}, {}, {"n": False}),
        ({"thinking": Thinking(on=False)}, {"thinking": {"type": "disabled"}}, {}),
        ({"thinking": Thinking(effort="none")}, {"thinking": {"type": "disabled"}}, {}),
        (
            {"thinking": Thinking(effort="low")},
            {"thinking": {"type": "enabled", "token_budget": 1024}},
            {"reasoning_effort": True},
        ),
        ({"thinking": Thinking(effort="high")}, {"thinking": {"type": "enabled"}}, {"reasoning_effort": True}),
        ({"thinking": Thinking(on=True, budget=9)}, {"thinking": {"type": "enabled", "token_budget": 9}}, {}),
        ({"thinking": Thinking(shown=True)}, {}, {}),
        ({"response_format": ResponseFormat()}, {"response_format": {"type": "json_object"}}, {}),
        ({"response_format": ResponseFormat(), "tools": (TOOL,)}, {}, {"response_format": False}),
        ({"tools": (TOOL,), "tool_choice": ToolChoice(Choice.AUTO)}, {}, {}),
        ({"tools": (TOOL,), "tool_choice": ToolChoice(Choice.NAMED, ("f",))}, {"tool_choice": "REQUIRED"}, {}),
        ({"tool_choice": ToolChoice(Choice.NONE)}, {}, {}),
        ({"parallel_tools": False}, {}, {"parallel_tool_calls": False}),
        ({"end_customer": "c", "cache_key": "k"}, {}, {"user": True, "cache_control": True}),
    ],
)
def test_what_is_asked_is_written_in_coheres_words(
    fields: dict[str, Any], sent: dict[str, Any], lost: dict[str, bool]
) -> None:
    made, gone = written(**fields)
    assert {name: value for name, value in made.items() if name not in ("model", "messages", "tools")} == sent
    assert gone == lost


def test_one_of_several_tools_cannot_be_forced() -> None:
    other = msgspec.structs.replace(TOOL, name="g")
    chosen = ToolChoice(Choice.NAMED, ("g",))
    assert written(tools=(TOOL, other), tool_choice=chosen)[1] == {"tool_choice": False}


def test_schemas_are_kept_to_for_all_tools_or_for_none() -> None:
    strict = msgspec.structs.replace(TOOL, strict=True)
    made, lost = written(tools=(strict,))
    assert (made["strict_tools"], lost) == (True, {})
    assert written(tools=(strict, msgspec.structs.replace(TOOL, name="g")))[1] == {"tools.f.strict": False}
    read = read_request(asked_of(COHERE, HI | {"tools": made["tools"], "strict_tools": True}))
    assert read.tools[0].strict is True


def test_later_words_of_the_system_are_moved_to_the_beginning_and_named() -> None:
    later = (Message(Role.USER, (Text("hi"),)), Message(Role.SYSTEM, (Text("brief"),), at="messages[1]"))
    made, lost = written(messages=later, system=(Text("kind"),))
    assert [part["text"] for part in made["messages"][0]["content"]] == ["kind", "brief"]
    assert lost == {"messages[1]": False}


def test_thoughts_go_back_to_the_provider_that_thought_them() -> None:
    def turn(origin: str) -> Message:
        return Message(Role.ASSISTANT, (Reasoning("hm", origin=origin), Text("No.")), at="messages[1]")

    made, lost = written(messages=(turn("cohere"),))
    assert made["messages"][0]["content"][0] == {"type": "thinking", "thinking": "hm"}
    assert lost == {}
    made, lost = written(messages=(turn("anthropic"),))
    assert made["messages"][0]["content"] == [{"type": "text", "text": "No."}]
    assert lost == {"messages[1]": True}


@pytest.mark.parametrize(
    ("messages", "first"),
    [
        ([{"role": "user", "content": "hi"}], [{"type": "text", "text": "Be brief."}]),
        (
            [{"role": "system", "content": "Kindly."}],
            [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Kindly."}],
        ),
        (
            [{"role": "system", "content": [{"type": "text", "text": "Kindly."}]}],
            [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Kindly."}],
        ),
        ([7], [{"type": "text", "text": "Be brief."}]),
    ],
)
def test_instructions_of_the_use_case_go_first_in_the_one_system_message(messages: Any, first: Any) -> None:
    asked = decode(Operation.CHAT, json.dumps({"model": "m", "messages": messages}).encode())
    sent = json.loads(encode(asked, "there", "Be brief."))
    assert sent["messages"][0] == {"role": "system", "content": first}
    assert [one for one in sent["messages"][1:] if one != 7] == [m for m in messages if m != 7 and m["role"] == "user"]


@pytest.mark.parametrize("name", ["answer", "answer_tools", "answer_thinking", "answer_cited", "answer_logprobs"])
def test_a_golden_answer_comes_out_as_it_went_in(name: str) -> None:
    answer = golden(name)
    made = json.loads(write_answer(asked_of(COHERE, HI), read_answer(json.dumps(answer).encode())))
    for citation in answer["message"].get("citations", ()):
        for source in citation["sources"]:
            del source["document"]["text"]
    for likelihood in answer.get("logprobs", ()):
        likelihood["token_ids"] = []
    billed, cached = answer["usage"]["billed_units"], answer["usage"].get("cached_tokens", 0)
    assert made == answer | {"model": "m", "usage": {"billed_units": billed, "tokens": billed, "cached_tokens": cached}}


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_an_answer_that_ended_with_an_error_is_none(reason: str) -> None:
    with pytest.raises(Garbled):
        read_answer(json.dumps(golden("answer") | {"finish_reason": reason}).encode())


@pytest.mark.parametrize("name", ["stream", "stream_tools", "stream_thinking", "stream_cited"])
def test_a_golden_stream_tells_the_same_when_it_is_written_again(name: str) -> None:
    raw = (GOLDEN / f"{name}.sse").read_bytes()
    deltas = deltas_of(ChatReader(), raw)
    writer = ChatWriter(asked_of(COHERE, HI))
    told = b"".join(writer.write(delta) for delta in deltas)
    assert [one for one in deltas_of(ChatReader(), told) if not isinstance(one, Started)] == deltas[1:]
    assert isinstance(deltas[-1], Ended)


def test_log_probabilities_come_with_their_pieces() -> None:
    event = {
        "type": "content-delta",
        "delta": {"message": {"content": {"text": "ab"}}},
        "logprobs": {"text": "ab", "token_ids": [1, 2], "logprobs": [-0.25, -0.5]},
    }
    told = deltas_of(ChatReader(), b"data: " + json.dumps(event).encode() + b"\n\n")
    (weighed,) = (one for one in told if isinstance(one, Weighed))
    assert (weighed.tokens[0].said.token, weighed.tokens[0].said.logprob) == ("ab", -0.75)


def test_a_stream_that_ends_with_an_error_never_ends_well() -> None:
    raw = (GOLDEN / "stream_error.sse").read_bytes()
    deltas = deltas_of(ChatReader(), raw)
    assert isinstance(deltas[-1], Failed)
    assert deltas[-1].failure.trouble is Trouble.SERVER
    stream = ChatStream(asked_of(COHERE, HI | {"stream": True}))
    for event in Framer().feed(raw):
        assert stream.take(event) == event
    assert stream.failed


def test_usage_is_what_is_billed_not_what_was_read() -> None:
    stream = ChatStream(asked_of(COHERE, HI | {"stream": True}))
    for event in Framer().feed((GOLDEN / "stream.sse").read_bytes()):
        stream.take(event)
    assert stream.whole
    assert stream.used(complete=True) == Usage(input=18, cached=12, output=6)
    assert read_answer(json.dumps(golden("answer")).encode()).usage == Usage(input=5, cached=3, output=7)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"billed_units": {"input_tokens": 5}, "cached_tokens": 70}, Usage(input=5, cached=5)),
        ({"tokens": {"input_tokens": 5, "output_tokens": 2}}, Usage(input=5, output=2)),
        ({"billed_units": {"image_tokens": 3.0}}, Usage(input=3, media=Media(input_image=3))),
        ({"billed_units": {"input_tokens": -5}}, None),
        ({"billed_units": {"input_tokens": 1e30}}, None),
        ({"billed_units": {"output_tokens": 5}}, None),
        ({"billed_units": "x"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_usage_that_cannot_be_believed_is_none(usage: Any, read: Usage | None) -> None:
    assert read_usage(msgspec.Raw(json.dumps(usage).encode())) == read


def test_a_stream_that_is_cut_is_counted_by_what_came() -> None:
    events = Framer().feed((GOLDEN / "stream.sse").read_bytes())[:-2]
    asked = asked_of(COHERE, HI | {"stream": True})
    stream, bridged = ChatStream(asked), Bridge(asked_of(ANTHROPIC, HI | {"max_tokens": 9}), ANTHROPIC, COHERE).follow()
    for event in events:
        stream.take(event)
        bridged.take(event)
    assert not stream.whole
    assert stream.used(complete=False).estimated
    assert stream.used(complete=False).output == bridged.used(complete=False).output == 5


@pytest.mark.parametrize(
    ("status", "name", "trouble"),
    [
        (400, "error_invalid_request", Trouble.INVALID),
        (400, "error_context", Trouble.CONTEXT),
        (401, "error_authentication", Trouble.AUTHENTICATION),
        (402, "error_quota", Trouble.QUOTA),
        (404, "error_not_found", Trouble.NOT_FOUND),
        (429, "error_rate_limit", Trouble.RATE),
        (500, "error_server", Trouble.SERVER),
    ],
)
def test_an_error_means_what_its_status_and_words_say(status: int, name: str, trouble: Trouble) -> None:
    failure = read_failure(status, (GOLDEN / f"{name}.json").read_bytes())
    assert (failure.trouble, failure.message) == (trouble, golden(name)["message"])


def test_refusals_have_coheres_shape() -> None:
    refusal = Malformed("No.", code="missing_field", param="model")
    assert json.loads(refusal_body(refusal)) == {"message": "No.", "code": "missing_field", "param": "model"}
    ended = json.loads(error_event(refusal).partition(b"data: ")[2])
    assert (ended["type"], ended["delta"]["finish_reason"], ended["delta"]["error"]) == ("message-end", "ERROR", "No.")
