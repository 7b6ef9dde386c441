"""Every dialect with every other, over all golden fixtures; and every reader with fixtures that were damaged."""

from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dialects.ways import There, asked_of, deltas_of, door_of

from trunkline.dialects.deltas import Delta, Kind, PartStarted, Piece, Stopped, Used
from trunkline.dialects.dialect import ChatCodec, Dialect, Written
from trunkline.dialects.neutral import (
    Answer,
    Candidate,
    Choice,
    Conversation,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    Stop,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Trouble,
)
from trunkline.dialects.registry import ALL, find_door
from trunkline.dialects.translate import Bridge, translate
from trunkline.errors import Garbled, Malformed
from trunkline.messages import Asked, Operation, Usage
from trunkline.wire.sse import Framer

GOLDEN = Path(__file__).parents[1] / "golden"
CHATS = {dialect.name: dialect for dialect in ALL if dialect.chat is not None}
PAIRS = list(permutations(CHATS, 2))
AS_IT_SEES_FIT = ToolChoice(Choice.AUTO)
"""What no choice means as well."""


def codec(name: str) -> ChatCodec:
    found = CHATS[name].chat
    assert found is not None
    return found


def fixtures(name: str, kind: str) -> list[Path]:
    """The requests, answers or streams of a dialect's chat, by what their files are called."""
    files = sorted(file for file in (GOLDEN / name).iterdir() if not file.name.startswith(("error", "embed", "README")))
    if kind == "stream":
        return [file for file in files if file.suffix == ".sse" and "error" not in file.name]
    return [file for file in files if file.suffix == ".json" and ("request" in file.name) == (kind == "request")]


def across(kind: str) -> list[Any]:
    return [
        pytest.param(file, here, there, id=f"{here}-{there}-{file.stem}")
        for here, there in PAIRS
        for file in fixtures(here, kind)
    ]


def plain(conversation: Conversation) -> list[tuple[object, ...]]:
    """What any two dialects must carry: who says what, which tools are called with what, and what they say."""
    said: list[tuple[object, ...]] = [("system", text.text) for text in conversation.system]
    for message in conversation.messages:
        for part in message.parts:
            match part:
                case Text():
                    said.append((message.role, part.text))
                case ToolCall():
                    said.append((part.id, part.name, json.loads(part.arguments or "{}")))
                case ToolResult():
                    said.append((part.id, [one.text for one in part.parts if isinstance(one, Text)]))
    said += [(tool.name, tool.description, json.loads(bytes(tool.schema or b"null"))) for tool in conversation.tools]
    return said


def hints(written: Written) -> set[str]:
    """What the other dialect has no place for, without which the answer is the same."""
    return {one.field for one in written.uncarried if one.hint}


def told(deltas: list[Delta]) -> tuple[str, list[list[Any]], list[Stop], Usage | None]:
    """What any two dialects must carry of a stream: text, calls, ends and usage."""
    text = "".join(one.text for one in deltas if isinstance(one, Piece) and one.kind is Kind.TEXT)
    calls: dict[tuple[int, int], list[Any]] = {}
    for one in deltas:
        if isinstance(one, PartStarted) and one.kind is Kind.TOOL_CALL:
            calls[one.candidate, one.part] = [one.id, one.name, ""]
        elif isinstance(one, Piece) and one.kind is Kind.TOOL_CALL:
            calls[one.candidate, one.part][2] += one.text
    stops = [one.stop for one in deltas if isinstance(one, Stopped)]
    used = [one.usage for one in deltas if isinstance(one, Used)]
    read = [[called, name, json.loads(arguments or "{}")] for called, name, arguments in calls.values()]
    return text, read, stops, used[-1] if used else None


def streaming(name: str) -> Asked:
    """A request that asks for a stream, and on it for all that can be asked for."""
    request = next(file for file in fixtures(name, "request") if "stream" in file.name)
    asked = asked_of(CHATS[name], json.loads(request.read_text()), stream=True)
    return msgspec.structs.replace(asked, wants_usage=True)


@pytest.mark.parametrize(("file", "here", "there"), across("request"))
def test_a_request_means_the_same_in_another_dialect(file: Path, here: str, there: str) -> None:
    asked = asked_of(CHATS[here], json.loads(file.read_text()), stream="stream" in file.name)
    written = translate(asked, (CHATS[here], CHATS[there]), There(), None, ())
    again = asked_of(CHATS[there], json.loads(written.body), stream=asked.stream)
    assert plain(codec(there).read_request(again)) == plain(codec(here).read_request(asked))
    assert again.stream == asked.stream
    assert again.end_customer == (None if "user" in hints(written) else asked.end_customer)


@pytest.mark.parametrize(("file", "here", "there"), across("answer"))
def test_an_answer_means_the_same_in_another_dialect(file: Path, here: str, there: str) -> None:
    first = codec(here).read_answer(file.read_bytes())
    second = codec(there).read_answer(codec(there).write_answer(streaming(there), first))
    for one, other in zip(first.candidates, second.candidates, strict=True):
        calls = [(part.id, part.name, json.loads(part.arguments)) for part in one.parts if isinstance(part, ToolCall)]
        again = [(part.id, part.name, json.loads(part.arguments)) for part in other.parts if isinstance(part, ToolCall)]
        assert again == calls
        words = "".join(part.text for part in one.parts if isinstance(part, Text))
        assert words in "".join(getattr(part, "text", "") for part in other.parts)
    assert first.usage is not None
    assert second.usage is not None
    # How long the cache keeps what was written, only Anthropic tells; what is no text, it does not.
    kept, media = second.usage.cache_write_long, second.usage.media
    assert second.usage == msgspec.structs.replace(first.usage, cache_write_long=kept, media=media)
    assert media == first.usage.media or there in ("anthropic", "cohere")
    # Where an answer does not say which model gave it, the caller is told the one that it asked for.
    assert (second.model, second.id) == (first.model or streaming(there).model, first.id)


@pytest.mark.parametrize(("file", "here", "there"), across("stream"))
def test_a_stream_tells_the_same_in_another_dialect(file: Path, here: str, there: str) -> None:
    """`here` is the upstream's dialect, `there` the caller's."""
    stream = Bridge(streaming(there), CHATS[there], CHATS[here]).follow()
    written = b"".join(stream.take(event) for event in Framer().feed(file.read_bytes())) + stream.end()
    text, calls, _, usage = told(deltas_of(codec(here).reader(), file.read_bytes()))
    again = told(deltas_of(codec(there).reader(), written))
    assert again[:2] == (text, calls)
    assert len(again[2]) == 1
    if usage is not None:
        assert usage == stream.used(complete=True)
        assert again[3] is not None
        assert again[3] == msgspec.structs.replace(usage, media=again[3].media)
        assert again[3].media == usage.media or there in ("anthropic", "cohere")
    assert stream.whole


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True)
arguments = st.dictionaries(names, st.integers(-1000, 1000) | words, max_size=3).map(json.dumps)
calls = st.builds(ToolCall, names, names, arguments)
texts = st.builds(Text, words)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Turns that take turns, with calls answered at once: what every dialect can carry."""
    messages: list[Message] = []
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message(Role.USER, (draw(texts),)))
        made = draw(st.lists(calls, max_size=2, unique_by=lambda call: call.id))
        messages.append(Message(Role.ASSISTANT, (draw(texts), *made)))
        if made:
            messages.append(Message(Role.USER, tuple(ToolResult(call.id, (draw(texts),)) for call in made)))
            messages.append(Message(Role.ASSISTANT, (draw(texts),)))
    tools = tuple(
        Tool(name, draw(words), msgspec.Raw(b'{"type":"object"}'))
        for name in draw(st.lists(names, max_size=2, unique=True))
    )
    return Conversation(
        messages=(*messages, Message(Role.USER, (draw(texts),))),
        system=tuple(draw(st.lists(texts, max_size=2))),
        tools=tools,
        tool_choice=draw(st.sampled_from([ToolChoice(one) for one in Choice if one is not Choice.NAMED] + [None]))
        if tools
        else None,
        # Beside tools, not every provider takes a schema.
        response_format=None
        if tools
        else draw(st.none() | st.just(ResponseFormat(msgspec.Raw(b'{"type":"object"}'), strict=True))),
        sampling=Sampling(temperature=draw(st.none() | st.floats(0, 1, width=16))),
        max_output=draw(st.integers(1, 1000)),
        end_customer=draw(st.none() | names),
        stream=draw(st.booleans()),
    )


@pytest.mark.parametrize("name", sorted(CHATS))
@given(conversation=conversations())
@settings(max_examples=60)
def test_what_every_dialect_carries_comes_out_as_it_went_in(name: str, conversation: Conversation) -> None:
    written = codec(name).write_request(conversation, There())
    assert {one.field for one in written.uncarried} == hints(written)
    read = codec(name).read_request(asked_of(CHATS[name], json.loads(written.body), stream=conversation.stream))
    assert plain(read) == plain(conversation)
    if "user" not in hints(written):
        assert read.end_customer == conversation.end_customer
    for field in ("max_output", "stream", "uncarried"):
        assert getattr(read, field) == getattr(conversation, field), field
    assert (read.tool_choice or AS_IT_SEES_FIT) == (conversation.tool_choice or AS_IT_SEES_FIT)
    assert read.sampling.temperature == conversation.sampling.temperature
    assert (read.response_format is None) == (conversation.response_format is None)


@pytest.mark.parametrize("name", sorted(CHATS))
@given(
    said=texts,
    made=st.lists(calls, max_size=2, unique_by=lambda call: call.id),
    usage=st.builds(Usage, st.integers(500, 900), st.integers(0, 200), st.integers(0, 200), st.integers(0, 900)),
)
@settings(max_examples=40)
def test_an_answer_comes_out_as_it_went_in(name: str, said: Text, made: list[ToolCall], usage: Usage) -> None:
    stop = Stop.TOOL if made else Stop.LENGTH
    answer = Answer(id="a", model="m", candidates=(Candidate((said, *made), stop),), usage=usage)
    read = codec(name).read_answer(codec(name).write_answer(streaming(name), answer))
    (candidate,) = read.candidates
    assert [part.text for part in candidate.parts if isinstance(part, Text)] == [said.text]
    assert [
        (part.id, part.name, json.loads(part.arguments)) for part in candidate.parts if isinstance(part, ToolCall)
    ] == [(one.id, one.name, json.loads(one.arguments)) for one in made]
    assert (candidate.stop, read.usage, read.model) == (stop, usage, "m")


VALUES: list[Any] = [None, True, 0, -1, 1.5, 2**70, "", "x", [], {}, [None], [{}], {"type": "text"}, [[["deep"]]]]


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """A value with one thing in it, however deep, taken out or put in place of another."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 5)) == 0:
            return {name: one for name, one in value.items() if name != key}
        return value | {key: draw(damaged(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], draw(damaged(value[index])), *value[index + 1 :]]
    return draw(st.sampled_from(VALUES))


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with a few of them changed, or the end missing."""
    if draw(st.booleans()):
        return data[: draw(st.integers(0, len(data)))]
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    return data[:at] + draw(st.binary(max_size=3)) + data[at + 1 :]


def read_whole(dialect: Dialect, path: str, body: bytes) -> None:
    """Read a request as far as it goes; only a refusal may come of it, and what was read can be written."""
    try:
        asked = dialect.decode(Operation.CHAT, body, path, "")
        assert dialect.chat is not None
        conversation = dialect.chat.read_request(asked)
    except Malformed:
        return
    for other in CHATS:
        codec(other).write_request(conversation, There())


@pytest.mark.parametrize("name", sorted(CHATS))
@given(data=st.data())
@settings(max_examples=300)
def test_a_damaged_request_is_read_or_refused(name: str, data: st.DataObject) -> None:
    dialect = CHATS[name]
    file = data.draw(st.sampled_from(fixtures(name, "request")))
    path = door_of(dialect)
    broken = data.draw(damaged(json.loads(file.read_text())))
    read_whole(dialect, path, json.dumps(broken).encode())
    read_whole(dialect, path, data.draw(cut(file.read_bytes())))


@pytest.mark.parametrize(("here", "there"), list(product(CHATS, CHATS)))
@given(data=st.data())
@settings(max_examples=100)
def test_a_damaged_answer_is_written_or_told_apart(here: str, there: str, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(fixtures(here, "answer")))
    broken = json.dumps(data.draw(damaged(json.loads(file.read_text())))).encode()
    for body in (broken, data.draw(cut(file.read_bytes()))):
        try:
            answer = codec(here).read_answer(body)
        except Garbled:
            continue
        json.loads(codec(there).write_answer(streaming(there), answer))
        CHATS[here].read_answer(streaming(here), body)


@pytest.mark.parametrize(("here", "there"), list(product(CHATS, CHATS)))
@given(data=st.data())
@settings(max_examples=100)
def test_a_damaged_stream_is_written_or_told_apart(here: str, there: str, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(fixtures(here, "stream")))
    events = Framer().feed(file.read_bytes())
    at = data.draw(st.integers(0, len(events) - 1))
    head, _, tail = events[at].partition(b"data: ")
    try:
        broken = b"data: " + json.dumps(data.draw(damaged(json.loads(tail)))).encode() + b"\n\n"
    except ValueError:
        broken = events[at]
    events[at] = head + broken
    events[data.draw(st.integers(0, len(events) - 1))] = data.draw(cut(events[-1]))
    if here == there:
        stream = CHATS[here].follow(streaming(here))
    else:
        stream = Bridge(streaming(there), CHATS[there], CHATS[here]).follow()
    try:
        for event in events:
            stream.take(event)
    except Garbled:
        return
    stream.end()
    stream.used(complete=False)


@pytest.mark.parametrize("name", sorted(CHATS))
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"error":null}', b'{"error":[1]}', b"\xff", b"<html>"])
@pytest.mark.parametrize("status", [400, 418, 500])
def test_any_error_body_means_something(name: str, body: bytes, status: int) -> None:
    assert CHATS[name].read_failure(status, body).trouble in Trouble


def test_every_door_leads_to_its_dialect() -> None:
    for dialect in ALL:
        for path in dialect.doors:
            door = find_door(path)
            assert door is not None
            assert door.dialect is dialect
