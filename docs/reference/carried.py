"""What each front door's requests become at each back end, found out by asking the codecs: the page `dialects.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from trunkline.dialects.anthropic import answers as anthropic
from trunkline.dialects.cohere import answers as cohere
from trunkline.dialects.dialect import Dialect
from trunkline.dialects.gemini import answers as gemini
from trunkline.dialects.neutral import (
    Answer,
    Audio,
    Cache,
    Candidate,
    Choice,
    Conversation,
    Document,
    Image,
    Inline,
    Message,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Source,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Uncarried,
)
from trunkline.dialects.openai import answers as openai
from trunkline.dialects.registry import ALL
from trunkline.dialects.responses import answers as responses
from trunkline.messages import Asked, Operation

OBJECT: Final = msgspec.Raw(
    b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}'
)
TOOL: Final = Tool("get_weather", "Tells the weather.", OBJECT)
PNG: Final = Source("image/png", data=Inline(b"iVBORw0KGgo="))
PDF: Final = Source("application/pdf", data=Inline(b"JVBERi0xLjQK"))
ESTIMATED: Final = "estimated"
PASSES, MAPPED, DROPPED, REFUSED, NONE = "passes", "mapped", "hint dropped", "refused", "-"


class There(msgspec.Struct, frozen=True):
    """A deployment of whose model nothing is known."""

    upstream_model: str = "there"
    output_limit: str = "max_completion_tokens"
    renames: tuple[tuple[str, str], ...] = ()
    omits: tuple[str, ...] = ()
    thoughts: str = ""
    output_bound: int = 16_384
    features: frozenset[str] | None = None
    refuses: frozenset[str] = frozenset()


def said(*parts: Any, role: Role = Role.USER, at: str = "messages[0]") -> Message:
    return Message(role, parts, at=at)


def talk(*messages: Message, **fields: Any) -> Conversation:
    return Conversation(messages=messages or (said(Text("hi")),), max_output=8_192, **fields)


def after_calls(*names: str) -> Conversation:
    """A conversation in which the model has called these tools, and they have answered."""
    calls = [ToolCall(f"call_{name}", name, '{"city":"Ulm"}') for name in names]
    results = [ToolResult(f"call_{name}", (Text("fine"),), name=name) for name in names]
    asked = [said(Text("hi")), said(*calls, role=Role.ASSISTANT, at="messages[1]"), said(*results, at="messages[2]")]
    return talk(*asked, tools=tuple(msgspec.structs.replace(TOOL, name=name) for name in names))


def thought(origin: str) -> Conversation:
    """A conversation that goes on after an answer with thoughts, which a provider of that dialect signed."""
    signed = Reasoning("Easy.", "c2lnbmF0dXJl", origin=origin)
    answered = said(signed, Text("Hello."), role=Role.ASSISTANT, at="messages[1]")
    return talk(said(Text("hi")), answered, said(Text("and?"), at="messages[2]"))


FEATURES: Final = {
    "text": talk(),
    "instructions before the conversation": talk(system=(Text("Be brief."),)),
    "stream": talk(stream=True),
    "tools, with calls and results": after_calls("get_weather"),
    "parallel calls": after_calls("get_weather", "get_time"),
    "one call at a time": talk(tools=(TOOL,), parallel_tools=False),
    "some tool forced": talk(tools=(TOOL,), tool_choice=ToolChoice(Choice.REQUIRED)),
    "a named tool forced": talk(tools=(TOOL,), tool_choice=ToolChoice(Choice.NAMED, ("get_weather",))),
    "images in the request": talk(said(Text("what?"), Image(PNG))),
    "images by address": talk(said(Text("what?"), Image(Source(url="https://example.com/a.png")))),
    "documents in the request": talk(said(Text("what?"), Document(PDF, title="a.pdf"))),
    "audio": talk(said(Text("what?"), Audio(Source("audio/wav", data=Inline(b"UklGRg=="))))),
    "JSON of any kind": talk(response_format=ResponseFormat()),
    "JSON by a schema": talk(response_format=ResponseFormat(OBJECT, "weather", strict=True)),
    "reasoning by effort": talk(thinking=Thinking(effort="high")),
    "reasoning by a budget of tokens": talk(thinking=Thinking(on=True, budget=2_048)),
    "`temperature`, `top_p`": talk(sampling=Sampling(temperature=0.5, top_p=0.9)),
    "`top_k`": talk(sampling=Sampling(top_k=40)),
    "penalties": talk(sampling=Sampling(frequency_penalty=0.5, presence_penalty=0.5)),
    "seed": talk(sampling=Sampling(seed=7)),
    "log-probabilities": talk(sampling=Sampling(logprobs=True, top_logprobs=2)),
    "several answers (`n`)": talk(sampling=Sampling(answers=2)),
    "stop sequences": talk(sampling=Sampling(stop=("END",))),
    "cache markers": talk(said(Text("hi", cache=Cache()))),
    "key of the cache": talk(cache_key="k"),
    "end customer": talk(end_customer="c-1"),
}


def lost(dialect: Dialect, conversation: Conversation) -> tuple[Uncarried, ...]:
    """What a dialect's requests have no place for."""
    return () if dialect.chat is None else dialect.chat.write_request(conversation, There()).uncarried


def outcome(door: Dialect, far: Dialect, conversation: Conversation) -> str:
    """What becomes of a request with one feature on its way from a front door to a back end."""
    if lost(door, conversation):
        return NONE
    if door is far:
        return PASSES
    gone = lost(far, conversation)
    if not gone:
        return MAPPED
    return DROPPED if all(one.hint for one in gone) else REFUSED


def counting(door: Dialect, far: Dialect) -> str:
    if door.counting is None:
        return NONE
    if door is far:
        return PASSES
    if far.counting is None:
        return ESTIMATED
    return MAPPED if far.counting.everywhere else f"{MAPPED} or {ESTIMATED}"


def embedding(door: Dialect, far: Dialect) -> str:
    if door.embeddings is None:
        return NONE
    if door is far:
        return PASSES
    return REFUSED if far.embeddings is None else MAPPED


def lines() -> Iterator[str]:
    """Yield the page."""
    chats = [dialect for dialect in ALL if dialect.chat is not None]
    yield from (
        "# What each dialect carries to each other",
        "",
        "Found out by asking the codecs: a request with one feature is written in the front door's words, then in the",
        "back end's.",
        "[The guide](../guides/dialects.md) tells what is mapped to what.",
        "",
        "| in a cell | means |",
        "| --- | --- |",
        "| passes | the caller's own bytes go through |",
        "| mapped | written in the other dialect's words |",
        "| hint dropped | left out, as it alters no answer, and named in `x-trunkline-dropped` |",
        "| refused | 400 `not_carried` with the field's name; under `uncarried: drop` left out and named |",
        "| estimated | the exchange estimates it, and says so |",
        "| - | the front door has no such thing |",
        "",
        "What a deployment's model cannot do goes before this: a request with a picture never reaches a model that is",
        "known to see none. Usage of a stream that is cut is the larger of what the provider said last and what came",
        "of it, marked as estimated, at every front door.",
    )
    for door in chats:
        yield from ("", f"## From `{door.name}`", "")
        yield "| feature | " + " | ".join(f"at `{far.name}`" for far in chats) + " |"
        yield "| --- |" + " --- |" * len(chats)
        for name, conversation in FEATURES.items():
            yield f"| {name} | " + " | ".join(outcome(door, far, conversation) for far in chats) + " |"
        signed = thought(door.name)
        yield "| thoughts of earlier turns, signed | " + " | ".join(outcome(door, far, signed) for far in chats) + " |"
        yield "| counting a prompt's tokens | " + " | ".join(counting(door, far) for far in chats) + " |"
        yield "| embeddings | " + " | ".join(embedding(door, far) for far in chats) + " |"
    yield from endings()


READS: Final = {
    "openai": openai.STOPS,
    "responses": responses.INCOMPLETE,
    "anthropic": anthropic.STOPS,
    "gemini": gemini.STOPS,
    "cohere": cohere.STOPS,
}
"""What each dialect's words for the end of an answer mean."""
ASKED: Final = Asked(operation=Operation.CHAT, dialect="", model="m", fields={})
WORDS: Final = ("finish_reason", "stop_reason", "finishReason", "incomplete_details", "status")
"""Where each dialect says why an answer ended: the first of these that it has."""


def told(door: Dialect, stop: Stop) -> str:
    """What a door's callers are told of an answer that ended so, found out by having one written."""
    own = "X" if stop is Stop.OTHER else None
    candidate = Candidate((Text("hi"),), stop, reason=own)
    if door.chat is None:
        return NONE
    body = msgspec.json.decode(
        door.chat.write_answer(ASKED, Answer(id="a", model="m", created=0, candidates=(candidate,), usage=None))
    )
    held = (body.get("choices") or body.get("candidates") or [body])[0]
    word = next(held[name] for name in WORDS if held.get(name) is not None)
    more = "".join(
        f", `{name}: X`" for name in ("native_finish_reason", "finishMessage") if held.get(name) == own and own
    )
    return f"`incomplete`: `{word['reason']}`" if isinstance(word, dict) else f"`{word}`{more}"


def endings() -> Iterator[str]:
    """Why an answer ended: each dialect's words, and what they become."""
    chats = [dialect for dialect in ALL if dialect.chat is not None]
    yield from (
        "",
        "## Why an answer ended",
        "",
        "What deployments say, by dialect, and what callers are told at each door. `X` is the provider's own word,",
        "where it is one that no other dialect has, such as Gemini's `MALFORMED_FUNCTION_CALL` or DeepSeek's",
        "`insufficient_system_resource`: `stop` beside `native_finish_reason` does not mean that the answer is whole.",
        "Anthropic's and Cohere's shapes have no place for it. An answer that ends with Cohere's `ERROR` or `TIMEOUT`",
        "counts as a failure, and another deployment is tried. With tool calls in it, a plain end is told as a call.",
        "",
        "| meaning | "
        + " | ".join(f"from `{name}`" for name in READS)
        + " | "
        + " | ".join(f"at `{one.name}`" for one in chats)
        + " |",
        "| --- |" + " --- |" * (len(READS) + len(chats)),
    )
    for stop in Stop:
        words = [
            "<br>".join(f"`{word}`" for word, meant in stops.items() if meant is stop) or NONE
            for stops in READS.values()
        ]
        if stop is Stop.OTHER:
            words = ["any other"] * len(READS)
        yield f"| {stop} | " + " | ".join(words) + " | " + " | ".join(told(one, stop) for one in chats) + " |"
