"""Requests of callers into the neutral form. Source: OpenAI API reference, "Create a model response"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from trunkline.dialects.neutral import (
    Audio,
    Choice,
    Conversation,
    Document,
    Image,
    Message,
    Part,
    Refused,
    ResponseFormat,
    Role,
    Sampling,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Uncarried,
)
from trunkline.dialects.responses.codec import STATE
from trunkline.dialects.responses.thoughts import read_thought
from trunkline.dialects.sources import is_data_url, read_url
from trunkline.dialects.taking import Taking, is_text, read_text
from trunkline.errors import Malformed, NotCarried
from trunkline.messages import Asked

OURS_ALONE: Final = "nothing in the other dialect means the same"
NOT_KEPT: Final = (
    "what was said before is kept neither there nor here; send the whole conversation as items of `input`, "
    "those of its answers among them"
)
LISTED: Final = ("system", "developer")
LIKELY: Final = "message.output_text.logprobs"
ENCRYPTED: Final = "reasoning.encrypted_content"
HINTS: Final = ("prompt_cache_retention", "prompt_cache_options", "max_tool_calls")


def read_request(asked: Asked) -> Conversation:
    """Read a request whose top-level fields were read before.

    Raises:
        Malformed: something in it is not as the reference has it.
        NotCarried: it goes on from what the provider stored. To leave that out would change what is asked.
    """
    lost: list[Uncarried] = []
    body = Taking(dict(asked.fields), "", lost)
    for name in STATE:
        if name in body:
            raise NotCarried(f"`{name}`: {NOT_KEPT}", fields=(name,))
    body.ignore("model", "stream", "stream_options", "user", "safety_identifier", "max_output_tokens", "background")
    system, messages = _turns(body)
    instructions = body.text("instructions")
    words = body.inner("text")
    made = Conversation(
        system=(Text(instructions), *system) if instructions else system,
        messages=messages,
        tools=tuple(tool for one in body.inners("tools") if (tool := _tool(one)) is not None),
        tool_choice=_tool_choice(body),
        parallel_tools=body.flag("parallel_tool_calls"),
        response_format=None if words is None else _format(words),
        sampling=_sampling(body),
        max_output=asked.output_limit,
        thinking=_thinking(body),
        verbosity=None if words is None else words.text("verbosity"),
        end_customer=asked.end_customer,
        metadata=body.mapping("metadata") or {},
        service_tier=body.text("service_tier"),
        cache_key=body.text("prompt_cache_key"),
        stream=asked.stream,
    )
    if words is not None:
        words.leave(OURS_ALONE)
    _leave(body)
    return msgspec.structs.replace(made, uncarried=tuple(lost))


def _leave(body: Taking) -> None:
    """Name what has no neutral meaning, but for values that ask for nothing."""
    if body.flag("store"):
        body.lost.append(Uncarried("store", "answers are kept neither there nor here"))
    if (body.text("truncation") or "disabled") != "disabled":
        body.lost.append(Uncarried("truncation", "nobody else shortens a conversation that is too long"))
    for hint in HINTS:
        body.lose(hint, OURS_ALONE, hint=True)
    body.leave(OURS_ALONE)


def _sampling(body: Taking) -> Sampling:
    wanted, most = body.texts("include") or [], body.whole("top_logprobs")
    for name in wanted:
        if name not in (LIKELY, ENCRYPTED):
            body.lost.append(Uncarried("include", f"{name} is of tools that the provider runs itself", hint=True))
    return Sampling(
        temperature=body.number("temperature"),
        top_p=body.number("top_p"),
        logprobs=LIKELY in wanted or bool(most),
        top_logprobs=most,
    )


def _thinking(body: Taking) -> Thinking | None:
    taking = body.inner("reasoning")
    if taking is None:
        return None
    effort = taking.text("effort")
    older, newer = taking.text("generate_summary"), taking.text("summary")
    shown = True if newer or older else None
    if (taking.text("mode") or "standard") != "standard":
        taking.lost.append(Uncarried(taking.where("mode"), OURS_ALONE))
    taking.lose("context", "which thoughts are taken up again is the model's own choice", hint=True)
    taking.leave(OURS_ALONE)
    return None if effort is None and shown is None else Thinking(effort=effort, shown=shown)


def _format(words: Taking) -> ResponseFormat | None:
    taking = words.inner("format")
    if taking is None:
        return None
    made: ResponseFormat | None = None
    match taking.needed("type"):
        case "text":
            pass
        case "json_object":
            made = ResponseFormat()
        case "json_schema":
            made = ResponseFormat(
                schema=taking.raw("schema"),
                name=taking.text("name"),
                description=taking.text("description"),
                strict=taking.flag("strict"),
            )
        case kind:
            taking.lost.append(Uncarried(taking.at, f"formats of type {kind} are known here alone"))
            return None
    taking.leave(OURS_ALONE)
    return made


def _tool(taking: Taking) -> Tool | None:
    kind = taking.needed("type")
    if kind != "function":
        taking.lost.append(Uncarried(taking.at, f"tools of type {kind} are known here alone"))
        return None
    made = Tool(
        name=taking.needed("name"),
        description=taking.text("description"),
        schema=taking.raw("parameters"),
        strict=taking.flag("strict"),
    )
    if (taking.texts("allowed_callers") or ["direct"]) != ["direct"]:
        taking.lost.append(Uncarried(taking.where("allowed_callers"), OURS_ALONE))
    for name in ("async", "defer_loading"):
        if taking.flag(name):
            taking.lost.append(Uncarried(taking.where(name), OURS_ALONE))
    taking.lose("output_schema", OURS_ALONE, hint=True)
    taking.leave(OURS_ALONE)
    return made


def _tool_choice(body: Taking) -> ToolChoice | None:
    raw = body.raw("tool_choice")
    if raw is None:
        return None
    if is_text(raw):
        said = read_text(raw, "tool_choice")
        if said not in ("auto", "none", "required"):
            raise Malformed(f"`tool_choice` cannot be {said!r}.", code="invalid_value", param="tool_choice")
        return ToolChoice(Choice(said))
    choice = Taking({"tool_choice": raw}, "", body.lost).inner("tool_choice")
    kind = None if choice is None else choice.needed("type")
    if choice is not None and kind == "function":
        return ToolChoice(Choice.NAMED, (choice.needed("name"),))
    if choice is not None and kind == "allowed_tools":
        names = tuple(one.text("name") for one in choice.inners("tools"))
        if all(names):
            mode = Choice.REQUIRED if choice.text("mode") == "required" else Choice.AUTO
            return ToolChoice(mode, tuple(name for name in names if name))
    body.lost.append(Uncarried("tool_choice", f"a choice of type {kind} is known here alone"))
    return None


def _turns(body: Taking) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The system's words before all others, and the turns: items of one speaker that follow each other are one.

    Messages of a user stay apart, and so do results of tools from what a user says.
    """
    raw = body.raw("input")
    if raw is None:
        return (), ()
    if is_text(raw):
        return (), (Message(Role.USER, (Text(read_text(raw, "input")),), at="input"),)
    system: list[Text] = []
    turns: list[Message] = []
    before = ""
    for kind, message in _messages(body, raw):
        if message.role is Role.SYSTEM and not turns:
            system.extend(part for part in message.parts if isinstance(part, Text))
            continue
        if turns and kind == before and kind in (Role.ASSISTANT, "result"):
            last = turns[-1]
            turns[-1] = msgspec.structs.replace(last, parts=(*last.parts, *message.parts))
        else:
            turns.append(message)
        before = kind
    return tuple(system), tuple(turns)


def _messages(body: Taking, raw: msgspec.Raw) -> Iterator[tuple[str, Message]]:
    """Each item as a message of its own, with the kind of turn that it belongs to."""
    for taking in body.each(raw, "input"):
        kind = taking.text("type") or "message"
        match kind:
            case "message":
                message = _message(taking)
                if message is None:
                    continue
                yield message.role, message
            case "function_call":
                call = ToolCall(taking.needed("call_id"), taking.needed("name"), taking.text("arguments") or "")
                taking.ignore("caller")
                yield Role.ASSISTANT, Message(Role.ASSISTANT, (call,), at=taking.at)
            case "function_call_output":
                taking.ignore("caller", "created_by")
                result = ToolResult(taking.needed("call_id"), _result(taking), name=taking.text("name"))
                yield "result", Message(Role.USER, (result,), at=taking.at)
            case "reasoning":
                thought = read_thought(taking)
                if thought is not None:
                    yield Role.ASSISTANT, Message(Role.ASSISTANT, (thought,), at=taking.at)
            case "item_reference":
                raise NotCarried(f"`{taking.at}`: {NOT_KEPT}", fields=(taking.at,))
            case _:
                taking.lost.append(Uncarried(taking.at, f"items of type {kind} are known here alone"))
                continue
        taking.ignore("id", "status")
        taking.leave(OURS_ALONE)


def _message(taking: Taking) -> Message | None:
    role = taking.needed("role")
    parts = _content(taking, "content")
    taking.lose("phase", "whether a message is the last one of its turn is told nowhere else", hint=True)
    if role in LISTED:
        return Message(Role.SYSTEM, parts, at=taking.at)
    if role in (Role.USER, Role.ASSISTANT):
        return Message(Role(role), parts, at=taking.at)
    taking.lost.append(Uncarried(taking.at, f"messages of the role {role} are known here alone"))
    return None


def _result(taking: Taking) -> tuple[Text | Image | Document, ...]:
    return tuple(part for part in _content(taking, "output") if isinstance(part, Text | Image | Document))


def _content(taking: Taking, name: str) -> tuple[Part, ...]:
    raw = taking.raw(name)
    if raw is None:
        return ()
    if is_text(raw):
        text = read_text(raw, taking.where(name))
        return (Text(text),) if text else ()
    return tuple(part for one in taking.each(raw, name) if (part := _part(one)) is not None)


def _part(taking: Taking) -> Part | None:
    made: Part
    match taking.needed("type"):
        case "input_text" | "text":
            made = Text(taking.needed("text"))
        case "output_text":
            cited = taking.raw("annotations")
            if cited is not None and bytes(cited) != b"[]":
                where = taking.where("annotations")
                taking.lost.append(Uncarried(where, "citations of earlier turns are not sent back", hint=True))
            taking.ignore("logprobs")
            made = Text(taking.needed("text"))
        case "refusal":
            made = Refused(taking.needed("refusal"))
        case "input_image" if (source := _source(taking, "image_url", "image_url")) is not None:
            made = Image(source, taking.text("detail"))
        case "input_file" if (source := _source(taking, "file_data", "file_url")) is not None:
            taking.lose("detail", OURS_ALONE, hint=True)
            made = Document(source, title=taking.text("filename"))
        case "input_audio" if (audio := taking.inner("input_audio")) is not None:
            made = Audio(Source(mime=f"audio/{audio.needed('format')}", data=audio.needed_inline("data")))
        case kind:
            taking.lost.append(Uncarried(taking.at, f"parts of type {kind} are known here alone"))
            return None
    taking.lose("prompt_cache_breakpoint", OURS_ALONE, hint=True)
    taking.leave(OURS_ALONE)
    return made


def _source(taking: Taking, data_field: str, url_field: str) -> Source | None:
    """Where a picture or file stands; a `data:` URL is taken apart (RFC 2397), base64 alone is taken as it is."""
    data = taking.inline(data_field)
    url = taking.text(url_field) if url_field != data_field else None
    file_id = taking.text("file_id")
    if data is not None:
        alone = url_field != data_field and not is_data_url(data)
        return Source(data=data) if alone else read_url(data, taking.where(data_field))
    if url is not None:
        return Source(url=url)
    return None if file_id is None else Source(file_id=file_id)
