"""Chat requests of callers into the neutral form. Source: OpenAI API reference, "Create chat completion".

Beyond it, `reasoning_content` and `reasoning_details` of assistant messages are read, with which OpenAI-like vendors
(DeepSeek and vLLM; OpenRouter, "Reasoning tokens") tell a model's thoughts.
"""

from __future__ import annotations

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
    Reasoning,
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
    unseal,
)
from trunkline.dialects.openai.answers import unsealed
from trunkline.dialects.openai.codec import DIALECT
from trunkline.dialects.origins import ORIGINS
from trunkline.dialects.sources import read_url, take_url
from trunkline.dialects.taking import Taking, is_text, read_text
from trunkline.errors import Malformed
from trunkline.messages import Asked

OURS_ALONE: Final = "nothing in the other dialect means the same"
LISTED: Final = ("system", "developer")
CHOICES: Final = {"any": Choice.REQUIRED} | {one.value: one for one in (Choice.AUTO, Choice.NONE, Choice.REQUIRED)}
"""What `tool_choice` may be; `any` is Mistral's word (Mistral API reference, "Chat completion")."""


def read_request(asked: Asked) -> Conversation:
    """Read a request whose top-level fields were read before.

    Raises:
        Malformed: something in it is not as the reference has it.
    """
    lost: list[Uncarried] = []
    body = Taking(dict(asked.fields), "", lost)
    body.ignore("model", "n", "stream", "stream_options", "user", "safety_identifier", "max_tokens")
    body.ignore("max_completion_tokens")
    system, messages = _messages(body)
    made = Conversation(
        system=system,
        messages=messages,
        tools=tuple(tool for one in body.inners("tools") if (tool := _tool(one)) is not None),
        tool_choice=_tool_choice(body),
        parallel_tools=body.flag("parallel_tool_calls"),
        response_format=_response_format(body),
        sampling=_sampling(body, asked),
        max_output=asked.output_limit,
        thinking=_thinking(body),
        verbosity=body.text("verbosity"),
        end_customer=asked.end_customer,
        metadata=body.mapping("metadata") or {},
        service_tier=body.text("service_tier"),
        cache_key=body.text("prompt_cache_key"),
        stream=asked.stream,
    )
    _leave(body)
    return msgspec.structs.replace(made, uncarried=tuple(lost))


def _leave(body: Taking) -> None:
    """Name what has no neutral meaning, but for values that ask for nothing."""
    if body.flag("store"):
        body.lost.append(Uncarried("store", "answers are stored by nobody else in this way"))
    if (body.texts("modalities") or ["text"]) != ["text"]:
        body.lost.append(Uncarried("modalities", "only text can be asked for"))
    for hint in ("prompt_cache_retention", "prompt_cache_options", "prediction"):
        body.lose(hint, OURS_ALONE, hint=True)
    body.leave(OURS_ALONE)


def _sampling(body: Taking, asked: Asked) -> Sampling:
    stop = body.raw("stop")
    stops: list[str] = []
    if stop is not None:
        stops = [read_text(stop, "stop")] if is_text(stop) else Taking({"stop": stop}, "", []).texts("stop") or []
    return Sampling(
        temperature=body.number("temperature"),
        top_p=body.number("top_p"),
        top_k=body.whole("top_k"),
        stop=tuple(stops),
        seed=_seed(body),
        frequency_penalty=body.number("frequency_penalty"),
        presence_penalty=body.number("presence_penalty"),
        logprobs=body.flag("logprobs") or False,
        top_logprobs=body.whole("top_logprobs"),
        answers=asked.answers,
    )


def _seed(body: Taking) -> int | None:
    """The seed, by either name: `random_seed` is Mistral's."""
    theirs, seed = body.whole("random_seed"), body.whole("seed")
    return theirs if seed is None else seed


def _thinking(body: Taking) -> Thinking | None:
    effort = body.text("reasoning_effort")
    return None if effort is None else Thinking(effort=effort)


def _tool(taking: Taking) -> Tool | None:
    kind = taking.text("type") or "function"
    function = taking.inner("function") if kind == "function" else None
    if function is None:
        taking.lost.append(Uncarried(taking.at, f"tools of type {kind} are known here alone"))
        return None
    made = Tool(
        name=function.needed("name"),
        description=function.text("description"),
        schema=function.raw("parameters"),
        strict=function.flag("strict"),
    )
    function.leave(OURS_ALONE)
    taking.leave(OURS_ALONE)
    return made


def _tool_choice(body: Taking) -> ToolChoice | None:
    raw = body.raw("tool_choice")
    if raw is None:
        return None
    if is_text(raw):
        said = read_text(raw, "tool_choice")
        if said not in CHOICES:
            raise Malformed(f"`tool_choice` cannot be {said!r}.", code="invalid_value", param="tool_choice")
        return ToolChoice(CHOICES[said])
    choice = Taking({"tool_choice": raw}, "", body.lost).inner("tool_choice")
    kind = choice.text("type") if choice is not None else None
    if choice is not None and kind == "function" and (function := choice.inner("function")) is not None:
        return ToolChoice(Choice.NAMED, (function.needed("name"),))
    if choice is not None and kind == "allowed_tools" and (allowed := choice.inner("allowed_tools")) is not None:
        functions = [one.inner("function") for one in allowed.inners("tools")]
        names = tuple(function.needed("name") for function in functions if function is not None)
        return ToolChoice(Choice.REQUIRED if allowed.text("mode") == "required" else Choice.AUTO, names)
    body.lost.append(Uncarried("tool_choice", f"a choice of type {kind} is known here alone"))
    return None


def _response_format(body: Taking) -> ResponseFormat | None:
    taking = body.inner("response_format")
    if taking is None:
        return None
    match taking.text("type"):
        case "text":
            return None
        case "json_object":
            return ResponseFormat()
        case "json_schema":
            schema = taking.inner("json_schema")
            if schema is not None:
                return ResponseFormat(
                    schema=schema.raw("schema"),
                    name=schema.text("name"),
                    description=schema.text("description"),
                    strict=schema.flag("strict"),
                )
    body.lost.append(Uncarried("response_format", "its type is known here alone"))
    return None


def _messages(body: Taking) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The system's words before all others, and the turns; results of tools that follow each other are one turn."""
    system: list[Text] = []
    turns: list[Message] = []
    was_tool = False
    for taking in body.inners("messages"):
        role = taking.needed("role")
        if role in LISTED:
            parts = _parts(taking)
            if turns:
                turns.append(Message(Role.SYSTEM, parts, taking.text("name"), taking.at))
            else:
                taking.ignore("name")
                system.extend(part for part in parts if isinstance(part, Text))
        elif role == "tool":
            result = ToolResult(taking.needed("tool_call_id"), _plain(_parts(taking)))
            if was_tool:
                result_before = turns.pop()
                turns.append(msgspec.structs.replace(result_before, parts=(*result_before.parts, result)))
            else:
                turns.append(Message(Role.USER, (result,), at=taking.at))
        elif role == "user":
            turns.append(Message(Role.USER, _parts(taking), taking.text("name"), taking.at))
        elif role == "assistant":
            turns.append(_assistant(taking))
        else:
            taking.lost.append(Uncarried(taking.at, f"messages of the role {role} are known here alone"))
            continue
        was_tool = role == "tool"
        taking.leave(OURS_ALONE)
    return tuple(system), tuple(turns)


def _plain(parts: tuple[Part, ...]) -> tuple[Text | Image | Document, ...]:
    return tuple(part for part in parts if isinstance(part, Text | Image | Document))


def _assistant(taking: Taking) -> Message:
    parts: list[Part] = [*_thoughts(taking), *_parts(taking)]
    refusal = taking.text("refusal")
    if refusal:
        parts.append(Refused(refusal))
    for call in taking.inners("tool_calls"):
        kind = call.text("type") or "function"
        function = call.inner("function")
        if function is None:
            call.lost.append(Uncarried(call.at, f"calls of type {kind} are known here alone"))
            continue
        parts.append(ToolCall(call.needed("id"), function.needed("name"), function.text("arguments") or ""))
        call.ignore("index")
        call.leave(OURS_ALONE)
    taking.ignore("annotations")
    return Message(Role.ASSISTANT, tuple(parts), taking.text("name"), taking.at)


def _thoughts(taking: Taking) -> list[Reasoning]:
    thought = taking.text("reasoning_content") or taking.text("reasoning")
    taking.ignore("reasoning")
    found = [made for one in taking.inners("reasoning_details") if (made := _thought(one)) is not None]
    if not found and thought:
        found.append(Reasoning(thought, origin=DIALECT))
    return found


def _thought(taking: Taking) -> Reasoning | None:
    kind = taking.text("type")
    if kind == "reasoning.encrypted":
        origin, data = unseal(taking.text("data") or "", DIALECT, ORIGINS)
        return Reasoning(redacted=data, origin=origin)
    if kind in ("reasoning.text", "reasoning.summary"):
        sealed = taking.text("signature")
        origin, signature = unsealed(sealed)
        return Reasoning(taking.text("text") or taking.text("summary") or "", signature, origin=origin)
    return None


def _thinking_chunk(taking: Taking) -> Reasoning:
    """A thought among the content. Source: Mistral API reference, "Chat completion", `ThinkChunk`."""
    raw, sealed = taking.raw("thinking"), taking.text("signature")
    taking.ignore("closed")
    if raw is None or is_text(raw):
        text = "" if raw is None else read_text(raw, taking.where("thinking"))
    else:
        text = "".join(one.text("text") or "" for one in taking.each(raw, "thinking"))
    origin, signature = unsealed(sealed)
    return Reasoning(text, signature, origin=origin)


def _parts(taking: Taking) -> tuple[Part, ...]:
    raw = taking.raw("content")
    if raw is None:
        return ()
    if is_text(raw):
        text = read_text(raw, taking.where("content"))
        return (Text(text),) if text else ()
    return tuple(part for one in taking.each(raw, "content") if (part := _part(one)) is not None)


def _part(taking: Taking) -> Part | None:
    made: Part | None = None
    match taking.needed("type"):
        case "text":
            made = Text(taking.needed("text"))
        case "refusal":
            made = Refused(taking.needed("refusal"))
        case "image_url" if taking.is_text("image_url"):
            made = Image(read_url(taking.needed_inline("image_url"), taking.where("image_url")))
        case "image_url" if (image := taking.inner("image_url")) is not None:
            made = Image(read_url(image.needed_inline("url"), image.where("url")), image.text("detail"))
        case "document_url" if (source := take_url(taking, "document_url")) is not None:
            made = Document(source, title=taking.text("document_name"))
        case "thinking":
            made = _thinking_chunk(taking)
        case "input_audio" if taking.is_text("input_audio"):
            taking.lose("input_audio", "its format is not told")
            return None
        case "input_audio" if (audio := taking.inner("input_audio")) is not None:
            made = Audio(Source(mime=f"audio/{audio.needed('format')}", data=audio.needed_inline("data")))
        case "file" if (file := taking.inner("file")) is not None:
            source = take_url(file, "file_data") or Source(file_id=file.text("file_id"))
            made = Document(source, title=file.text("filename"))
        case kind:
            taking.lost.append(Uncarried(taking.at, f"parts of type {kind} are known here alone"))
            return None
    taking.lose("prompt_cache_breakpoint", OURS_ALONE, hint=True)
    taking.leave(OURS_ALONE)
    return made
