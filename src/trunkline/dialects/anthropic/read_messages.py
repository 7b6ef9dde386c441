"""Requests of callers into the neutral form. Source: Claude API reference, "Create a message"."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.anthropic.codec import DIALECT
from trunkline.dialects.neutral import (
    Cache,
    Choice,
    Conversation,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
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
    unseal,
)
from trunkline.dialects.origins import ORIGINS
from trunkline.dialects.taking import Taking, is_text, read_text
from trunkline.errors import Malformed
from trunkline.messages import Asked

OURS_ALONE: Final = "nothing in the other dialect means the same"
ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
CHOICES: Final = {"auto": Choice.AUTO, "any": Choice.REQUIRED, "none": Choice.NONE, "tool": Choice.NAMED}
HINTS: Final = ("diagnostics", "user_profile_id", "workspace_id")
STANDARD: Final = ("auto", "standard_only", "standard")


def read_request(asked: Asked) -> Conversation:
    """Read a request whose top-level fields were read before.

    Raises:
        Malformed: something in it is not as the reference has it.
    """
    lost: list[Uncarried] = []
    body = Taking(dict(asked.fields), "", lost)
    body.ignore("model", "max_tokens", "stream", "metadata")
    choice, parallel = _tool_choice(body)
    output = body.inner("output_config")
    made = Conversation(
        system=_system(body),
        messages=tuple(_message(one) for one in body.inners("messages")),
        tools=tuple(tool for one in body.inners("tools") if (tool := _tool(one)) is not None),
        tool_choice=choice,
        parallel_tools=parallel,
        response_format=_format(output),
        sampling=Sampling(
            temperature=body.number("temperature"),
            top_p=body.number("top_p"),
            top_k=body.whole("top_k"),
            stop=tuple(body.texts("stop_sequences") or ()),
        ),
        max_output=asked.output_limit,
        thinking=_thinking(body, output),
        end_customer=asked.end_customer,
        service_tier=_standard(body, "service_tier"),
        cache=_cache(body),
        stream=asked.stream,
    )
    _standard(body, "speed")
    for hint in HINTS:
        body.lose(hint, OURS_ALONE, hint=True)
    if output is not None:
        output.leave(OURS_ALONE)
    body.leave(OURS_ALONE)
    return msgspec.structs.replace(made, uncarried=tuple(lost))


def _standard(body: Taking, name: str) -> str | None:
    """A tier or speed other than the ordinary one."""
    said = body.text(name)
    return None if said in STANDARD else said


def _system(body: Taking) -> tuple[Text, ...]:
    return tuple(part for part in _content(body, "system") if isinstance(part, Text))


def _cache(taking: Taking) -> Cache | None:
    marker = taking.inner("cache_control")
    return None if marker is None else Cache(marker.text("ttl"))


def _thinking(body: Taking, output: Taking | None) -> Thinking | None:
    effort = output.text("effort") if output is not None else None
    taking = body.inner("thinking")
    if taking is None:
        return None if effort is None else Thinking(effort=effort)
    kind, shown = taking.needed("type"), taking.text("display")
    thinking = Thinking(
        on=kind != "disabled",
        effort=effort,
        budget=taking.whole("budget_tokens"),
        shown=None if shown is None else shown != "omitted",
    )
    taking.leave(OURS_ALONE)
    return thinking


def _format(output: Taking | None) -> ResponseFormat | None:
    wanted = output.inner("format") if output is not None else None
    if wanted is None:
        return None
    wanted.ignore("type")
    schema = wanted.raw("schema")
    wanted.leave(OURS_ALONE)
    return ResponseFormat(schema=schema, strict=True)


def _tool(taking: Taking) -> Tool | None:
    kind = taking.text("type") or "custom"
    if kind != "custom":
        taking.lost.append(Uncarried(taking.at, f"tools of type {kind} are known here alone"))
        return None
    made = Tool(
        name=taking.needed("name"),
        description=taking.text("description"),
        schema=taking.raw("input_schema"),
        strict=taking.flag("strict"),
        cache=_cache(taking),
    )
    if (taking.texts("allowed_callers") or ["direct"]) != ["direct"]:
        taking.lost.append(Uncarried(taking.where("allowed_callers"), OURS_ALONE))
    if taking.flag("defer_loading"):
        taking.lost.append(Uncarried(taking.where("defer_loading"), OURS_ALONE))
    taking.lose("eager_input_streaming", OURS_ALONE, hint=True)
    taking.leave(OURS_ALONE)
    return made


def _tool_choice(body: Taking) -> tuple[ToolChoice | None, bool | None]:
    taking = body.inner("tool_choice")
    if taking is None:
        return None, None
    kind = taking.needed("type")
    choice = CHOICES.get(kind)
    if choice is None:
        raise Malformed(f"`tool_choice.type` cannot be {kind!r}.", code="invalid_value", param="tool_choice.type")
    alone = taking.flag("disable_parallel_tool_use")
    names = (taking.needed("name"),) if choice is Choice.NAMED else ()
    taking.leave(OURS_ALONE)
    return ToolChoice(choice, names), None if alone is None else not alone


def _message(taking: Taking) -> Message:
    said = taking.needed("role")
    role = ROLES.get(said)
    if role is None:
        where = taking.where("role")
        raise Malformed(f"`{where}` cannot be {said!r}.", code="invalid_value", param=where)
    message = Message(role, _content(taking, "content"), at=taking.at)
    taking.leave(OURS_ALONE)
    return message


def _content(taking: Taking, name: str) -> tuple[Part, ...]:
    raw = taking.raw(name)
    if raw is None:
        return ()
    if is_text(raw):
        text = read_text(raw, taking.where(name))
        return (Text(text),) if text else ()
    return tuple(part for one in taking.each(raw, name) if (part := _block(one)) is not None)


def _block(taking: Taking) -> Part | None:
    kind = taking.needed("type")
    read = _BLOCKS.get(kind)
    if read is None:
        taking.lost.append(Uncarried(taking.at, f"blocks of type {kind} are known here alone"))
        return None
    part = read(taking)
    taking.leave(OURS_ALONE)
    return part


def _text(taking: Taking) -> Part | None:
    text = taking.needed("text")
    taking.lose("citations", "citations of earlier turns are not sent back", hint=True)
    return Text(text, _cache(taking))


def _image(taking: Taking) -> Part | None:
    source = _source(taking)
    taking.lose("transformations", OURS_ALONE)
    return None if source is None else Image(source, cache=_cache(taking))


def _document(taking: Taking) -> Part | None:
    source = _source(taking)
    citing = taking.inner("citations")
    cite = citing.flag("enabled") if citing is not None else None
    title, context, cache = taking.text("title"), taking.text("context"), _cache(taking)
    return None if source is None else Document(source, title, context, bool(cite), cache)


def _source(taking: Taking) -> Source | None:
    source = taking.inner("source")
    kind = source.needed("type") if source is not None else None
    if source is not None and kind == "base64":
        return Source(mime=source.needed("media_type"), data=source.needed_inline("data"))
    if source is not None and kind == "url":
        return Source(url=source.needed("url"))
    if source is not None and kind == "file":
        return Source(file_id=source.needed("file_id"))
    if source is not None and kind == "text":
        return Source(mime=source.text("media_type"), text=source.needed("data"))
    taking.lost.append(Uncarried(taking.where("source"), f"sources of type {kind} are known here alone"))
    return None


def _tool_use(taking: Taking) -> Part | None:
    raw = taking.raw("input")
    taking.ignore("caller")
    arguments = "{}" if raw is None else bytes(raw).decode()
    return ToolCall(taking.needed("id"), taking.needed("name"), arguments, _cache(taking))


def _tool_result(taking: Taking) -> Part | None:
    parts = tuple(part for part in _content(taking, "content") if isinstance(part, Text | Image | Document))
    return ToolResult(
        taking.needed("tool_use_id"), parts, is_error=taking.flag("is_error") or False, cache=_cache(taking)
    )


def _thought(taking: Taking) -> Part | None:
    text, sealed = taking.needed("thinking"), taking.text("signature")
    if not sealed:
        return Reasoning(text)
    origin, signature = unseal(sealed, DIALECT, ORIGINS)
    return Reasoning(text, signature, origin=origin)


def _redacted(taking: Taking) -> Part | None:
    origin, data = unseal(taking.needed("data"), DIALECT, ORIGINS)
    return Reasoning(redacted=data, origin=origin)


_BLOCKS: Final = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thought,
    "redacted_thinking": _redacted,
}
