"""OpenAI's Responses from and to the neutral form: what was asked and answered comes out as it went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.dialects.ways import There, asked_of, deltas_of

from trunkline.dialects.deltas import (
    Cited,
    Delta,
    Ended,
    Failed,
    Kind,
    PartStarted,
    PartStopped,
    Piece,
    Signed,
    Started,
    Stopped,
    Weighed,
)
from trunkline.dialects.neutral import (
    Answer,
    Candidate,
    Citation,
    Conversation,
    Likely,
    Message,
    Part,
    Reasoning,
    Role,
    Sampling,
    Stop,
    Text,
    Thinking,
    Token,
    Tool,
    ToolCall,
    ToolResult,
    Trouble,
)
from trunkline.dialects.responses.answers import read_answer, write_answer
from trunkline.dialects.responses.codec import STORED_MOST, encode
from trunkline.dialects.responses.dialect import RESPONSES
from trunkline.dialects.responses.read_events import ResponseReader
from trunkline.dialects.responses.read_items import read_request
from trunkline.dialects.responses.stream import ResponseStream
from trunkline.dialects.responses.write_events import ResponseWriter
from trunkline.dialects.responses.write_items import write_request
from trunkline.errors import Garbled, Malformed, NotCarried
from trunkline.messages import Asked, Usage
from trunkline.wire.sse import Framer

GOLDEN = Path(__file__).parents[1] / "golden" / "responses"
HI = {"model": "m", "input": "hi"}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def asked(**fields: object) -> Asked:
    return asked_of(RESPONSES, {**HI, **fields})


def again(request: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bool]]:
    """The request as it comes out, and what is lost of it: whether it is only a hint."""
    made = write_request(read_request(asked_of(RESPONSES, request)), There())
    return json.loads(made.body), {one.field: one.hint for one in made.uncarried}


def written(*parts: Part, role: Role = Role.ASSISTANT, **fields: Any) -> tuple[dict[str, Any], dict[str, bool]]:
    made = write_request(Conversation(messages=(Message(role, parts, at="messages[0]"),), **fields), There())
    return json.loads(made.body), {one.field: one.hint for one in made.uncarried}


@pytest.mark.parametrize("name", ["request", "request_stream", "request_tools"])
def test_a_golden_request_comes_out_as_it_went_in(name: str) -> None:
    request = golden(name)
    if isinstance(request["input"], str):
        request["input"] = [{"role": "user", "content": request["input"]}]
    assert again(request) == (request | {"model": "there"}, {})


def test_items_of_one_turn_become_one_message_and_later_words_of_the_system_stay_in_place() -> None:
    conversation = read_request(
        asked(
            input=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "a"},
                {"type": "message", "role": "assistant", "id": "m", "status": "completed", "content": "b"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "d"}]},
                {"role": "system", "content": "Now in French."},
                {"role": "user", "content": "e"},
                {"role": "user", "content": "f"},
            ]
        )
    )
    assert conversation.system == (Text("Be brief."),)
    assert [(message.role, message.parts) for message in conversation.messages] == [
        (Role.USER, (Text("a"),)),
        (Role.ASSISTANT, (Text("b"), ToolCall("c", "f", "{}"))),
        (Role.USER, (ToolResult("c", (Text("d"),)),)),
        (Role.SYSTEM, (Text("Now in French."),)),
        (Role.USER, (Text("e"),)),
        (Role.USER, (Text("f"),)),
    ]


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"tools": [{"type": "web_search"}]}, {"tools[0]": False}),
        ({"tools": [{"type": "mcp", "server_url": "x"}]}, {"tools[0]": False}),
        ({"tools": [{"type": "function", "name": "f", "defer_loading": True}]}, {"tools[0].defer_loading": False}),
        ({"tool_choice": {"type": "file_search"}}, {"tool_choice": False}),
        ({"input": [{"type": "web_search_call", "id": "ws"}]}, {"input[0]": False}),
        ({"store": True}, {"store": False}),
        ({"store": False, "background": False, "truncation": "disabled"}, {}),
        ({"truncation": "auto"}, {"truncation": False}),
        ({"context_management": [{"type": "compaction"}]}, {"context_management": False}),
        ({"include": ["web_search_call.action.sources"]}, {"include": True}),
        ({"reasoning": {"mode": "pro"}}, {"reasoning.mode": False}),
        ({"text": {"format": {"type": "grammar"}}}, {"text.format": False}),
        ({"prompt_cache_retention": "24h"}, {"prompt_cache_retention": True}),
        ({"x_new": 1}, {"x_new": False}),
        ({"metadata": {"a": "b"}}, {"metadata.a": True}),
    ],
)
def test_what_only_responses_have_is_named_with_its_place(fields: dict[str, Any], lost: dict[str, bool]) -> None:
    assert again({**HI, **fields})[1] == lost


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    ],
)
def test_what_the_provider_stored_is_carried_nowhere_and_bounded_by_no_bytes(
    fields: dict[str, Any], param: str
) -> None:
    stored = asked(**fields)
    assert stored.prompt_bound == STORED_MOST
    with pytest.raises(NotCarried, match="send the whole conversation") as caught:
        read_request(stored)
    assert caught.value.fields == (param,)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": 7}, "input"),
        ({"input": None}, "input"),
        ({"input": [{"id": "msg_1"}]}, "input[0].type"),
        ({"background": "yes"}, "background"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"max_output_tokens": "x"}, "max_output_tokens"),
    ],
)
def test_a_request_that_cannot_be_metered_or_examined_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Malformed) as caught:
        asked(**fields)
    assert caught.value.param == param


def test_an_item_that_hides_its_kind_behind_escapes_is_refused() -> None:
    body = b'{"model":"m","input":[{"\\u0069d":"msg_1"}]}'
    with pytest.raises(Malformed, match=r"input\[0\].type"):
        RESPONSES.decode(next(iter(RESPONSES.doors.values())), body, "", "")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_request(asked(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("sampling", "lost"),
    [
        (Sampling(top_k=3), "top_k"),
        (Sampling(stop=("x",)), "stop"),
        (Sampling(seed=1), "seed"),
        (Sampling(answers=2), "n"),
        (Sampling(presence_penalty=0.5), "presence_penalty"),
    ],
)
def test_what_responses_have_not_is_named_and_not_sent(sampling: Sampling, lost: str) -> None:
    body, named = written(Text("hi"), role=Role.USER, sampling=sampling)
    assert named == {lost: False}
    assert set(body) == {"model", "input", "store"}


def test_nothing_is_stored_and_no_tool_is_strict_unless_it_says_so() -> None:
    body, _ = written(Text("hi"), role=Role.USER, tools=(Tool("f"), Tool("g", strict=True)))
    assert body["store"] is False
    assert [tool["strict"] for tool in body["tools"]] == [False, True]


@pytest.mark.parametrize(
    ("thinking", "sent"),
    [
        (Thinking(effort="max"), {"effort": "max"}),
        (Thinking(on=False), {"effort": "none"}),
        (Thinking(budget=2000), {"effort": "low"}),
        (Thinking(budget=20_000, shown=True), {"effort": "high", "summary": "auto"}),
        (Thinking(on=True), None),
    ],
)
def test_how_much_to_think_is_said_as_an_effort(thinking: Thinking, sent: Any) -> None:
    body, _ = written(Text("hi"), role=Role.USER, thinking=thinking)
    assert body.get("reasoning") == sent
    assert body["include"] == ["reasoning.encrypted_content"]


def test_a_thought_goes_back_only_to_the_provider_that_had_it() -> None:
    foreign, own = Reasoning("x", "sig", origin="anthropic"), Reasoning("y", "rs_1#gAAA", origin="responses")
    body, lost = written(foreign, own, Text("z"))
    assert lost == {"messages[0]": True}
    assert body["input"] == [
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "y"}],
            "encrypted_content": "gAAA",
        },
        {"role": "assistant", "content": "z"},
    ]


@pytest.mark.parametrize(
    "thought",
    [
        Reasoning("x", "sig", origin="anthropic"),
        Reasoning("", "sig", origin="anthropic"),
        Reasoning(redacted="hidden", origin="anthropic"),
        Reasoning("x", "rs_1#gAAA", origin="responses"),
        Reasoning(redacted="rs_1#gAAA", origin="responses"),
    ],
)
def test_a_callers_item_finds_back_to_the_thought_it_was_made_of(thought: Reasoning) -> None:
    """Buffered and streamed; what another provider signed stays what it was, redacted or not."""
    answer = Answer(id="a", candidates=(Candidate((thought,)),))
    (item,) = json.loads(write_answer(asked(), answer))["output"]
    (message,) = read_request(asked(input=[item])).messages
    assert message.parts == (thought,)
    write = ResponseWriter(asked()).write
    write(Started("a"))
    write(PartStarted(0, 0, Kind.REASONING))
    if thought.text:
        write(Piece(0, 0, Kind.REASONING, thought.text))
    write(Signed(0, 0, thought.signature or thought.redacted or "", thought.origin, thought.redacted is not None))
    told = write(PartStopped(0, 0))
    streamed = json.loads(told.rpartition(b"data: ")[2])["item"]
    assert {**streamed, "id": ""} == {**item, "id": ""}


@pytest.mark.parametrize("name", ["response", "response_tools", "response_incomplete", "response_refusal"])
def test_a_golden_answer_comes_out_as_it_went_in(name: str) -> None:
    answer = read_answer((GOLDEN / f"{name}.json").read_bytes())
    assert read_answer(write_answer(asked(), answer)) == answer


def test_an_answer_repeats_what_was_asked() -> None:
    made = json.loads(write_answer(asked_of(RESPONSES, golden("request_stream")), Answer(id="a", model="m")))
    request = golden("request_stream")
    for name in ("instructions", "text", "reasoning", "user"):
        assert made[name] == request[name]
    assert (made["tools"], made["tool_choice"], made["store"]) == ([], "auto", False)


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        (Stop.END, "completed", None),
        (Stop.TOOL, "completed", None),
        (Stop.SEQUENCE, "completed", None),
        (Stop.LENGTH, "incomplete", "max_output_tokens"),
        (Stop.CONTEXT, "incomplete", "max_output_tokens"),
        (Stop.FILTERED, "incomplete", "content_filter"),
        (Stop.REFUSED, "incomplete", "content_filter"),
    ],
)
def test_why_an_answer_ended_is_told_buffered_and_streamed(stop: Stop, status: str, reason: str | None) -> None:
    made = json.loads(write_answer(asked(), Answer(candidates=(Candidate((Text("x"),), stop),))))
    write = ResponseWriter(asked()).write
    write(Started("a"))
    write(Stopped(0, stop))
    told = json.loads(write(Ended()).rpartition(b"data: ")[2])
    assert told["type"] == f"response.{status}"
    for one in (made, told["response"]):
        assert one["status"] == status
        assert one["incomplete_details"] == (None if reason is None else {"reason": reason})


def test_an_answer_that_failed_is_told_apart() -> None:
    body = {"id": "r", "status": "failed", "output": [], "error": {"code": "server_error", "message": "no"}}
    with pytest.raises(Garbled, match="failed"):
        read_answer(json.dumps(body).encode())


@pytest.mark.parametrize("name", ["stream", "stream_tools"])
def test_a_golden_stream_tells_the_same_when_it_is_written_again(name: str) -> None:
    told = deltas_of(ResponseReader(), (GOLDEN / f"{name}.sse").read_bytes())
    write = ResponseWriter(asked()).write
    second = deltas_of(ResponseReader(), b"".join(map(write, told)))

    def joined(deltas: list[Any]) -> list[Any]:
        """Pieces as one, whichever way they were cut; signatures without the item's own id."""
        made: list[Any] = []
        for one in deltas:
            if isinstance(one, Piece) and made and isinstance(made[-1], Piece):
                made[-1] = Piece(0, one.part, one.kind, made[-1].text + one.text)
            elif isinstance(one, Signed):
                made.append(one.signature.rpartition("#")[2])
            else:
                made.append(one)
        return made

    assert joined(second) == joined(told)


def test_citations_and_log_probabilities_are_told_on_a_stream_and_at_its_end() -> None:
    token = Token(Likely("hi", -0.5, (104, 105)), (Likely("ho", -1.5, (104, 111)),))
    cited = Citation("answer", 0, 2, title="T", url="https://example.org")
    write = ResponseWriter(asked()).write
    deltas: list[Delta] = [
        Started("a"),
        PartStarted(0, 0, Kind.TEXT),
        Piece(0, 0, Kind.TEXT, "hi"),
        Weighed(0, (token,)),
        Cited(0, 0, cited),
        PartStopped(0, 0),
        Stopped(0, Stop.END),
        Ended(),
    ]
    told = b"".join(map(write, deltas))
    again = deltas_of(ResponseReader(), told)
    assert Weighed(0, (token,)) in again
    assert Cited(0, 0, cited) in again
    last = json.loads(told.rpartition(b"data: ")[2])
    (candidate,) = read_answer(json.dumps(last["response"]).encode()).candidates
    assert candidate.tokens == (token,)
    assert candidate.parts == (Text("hi", citations=(cited,)),)


@pytest.mark.parametrize(("name", "trouble"), [("stream_failed_error", Trouble.SERVER), ("stream_error", Trouble.RATE)])
def test_a_stream_that_fails_tells_what_it_means(name: str, trouble: Trouble) -> None:
    told = deltas_of(ResponseReader(), (GOLDEN / f"{name}.sse").read_bytes())
    assert isinstance(told[-1], Failed)
    assert told[-1].failure.trouble is trouble
    assert told[-1].failure.message
    stream = ResponseStream(asked())
    for event in Framer().feed((GOLDEN / f"{name}.sse").read_bytes()):
        stream.take(event)
    assert (stream.failed, stream.whole) == (True, False)


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("response", Usage(input=1236, cached=1024, output=87)),
        ("response_tools", Usage(input=291, cache_write=256, output=151, reasoning=128)),
    ],
)
def test_usage_is_read_as_it_is_billed(name: str, usage: Usage) -> None:
    body = (GOLDEN / f"{name}.json").read_bytes()
    assert RESPONSES.read_answer(asked(), body).usage == usage
    assert read_answer(body).usage == usage


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("stream", Usage(input=37, cached=8, cache_write=16, output=11)),
        ("stream_tools", Usage(input=291, output=151, reasoning=128)),
    ],
)
def test_a_stream_of_the_same_dialect_passes_and_is_metered(name: str, usage: Usage) -> None:
    stream = ResponseStream(asked())
    events = Framer().feed((GOLDEN / f"{name}.sse").read_bytes())
    assert [stream.take(event) for event in events] == events
    assert (stream.used(complete=True), stream.done, stream.whole) == (usage, True, True)
    cut = ResponseStream(asked())
    for event in events[:-1]:
        cut.take(event)
    assert not cut.whole
    assert cut.used(complete=False).estimated
    assert cut.used(complete=False).output > 3


@pytest.mark.parametrize(
    ("own", "sent"), [(None, "Be kind."), ("", "Be kind."), ("Be brief.", "Be kind.\n\nBe brief.")]
)
def test_instructions_go_before_the_callers_own_words(own: Any, sent: str) -> None:
    assert json.loads(encode(asked(instructions=own), "there", "Be kind."))["instructions"] == sent


def test_a_customer_is_known_by_either_name() -> None:
    assert asked(user="u").end_customer == "u"
    assert asked(safety_identifier="s", user="u").end_customer == "s"
    assert asked(metadata={"end_customer": "c"}).end_customer == "c"
