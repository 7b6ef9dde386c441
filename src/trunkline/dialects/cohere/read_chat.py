"""Chat requests of callers into the neutral form. Source: Cohere API reference, "Chat" of version 2."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.cohere.codec import DIALECT
from trunkline.dialects.neutral import (
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
)
from trunkline.dialects.sources import read_url
from trunkline.dialects.taking import Taking, is_text, read_text
from trunkline.errors import Malformed
from trunkline.messages import Asked

OURS_ALONE: Final = "nothing in the other dialect means the same"
CHOICES: Final = {"REQUIRED": Choice.REQUIRED, "NONE": Choice.NONE}
UNCITED: Final = ("OFF", "DISABLED")
WORDS: Final = ("text", "snippet")
"""How the words of a document are called in the examples of the reference; what has another name is told with it."""

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_request(asked: Asked) -> Conversation:
    """Read a request whose top-level fields were read before.

    Raises:
        Malformed: something in it is not as the reference has it.
    """
    lost: list[Uncarried] = []
    body = Taking(dict(asked.fields), "", lost)
    body.ignore("model", "stream", "max_tokens")
    documents = _documents(body)
    system, messages = _messages(body)
    made = Conversation(
        system=system,
        messages=_with_documents(messages, documents, body),
        tools=_tools(body),
        tool_choice=_tool_choice(body),
        response_format=_response_format(body),
        sampling=Sampling(
            temperature=body.number("temperature"),
            top_p=body.number("p"),
            top_k=body.whole("k") or None,
            stop=tuple(body.texts("stop_sequences") or ()),
            seed=body.whole("seed"),
            frequency_penalty=body.number("frequency_penalty"),
            presence_penalty=body.number("presence_penalty"),
            logprobs=body.flag("logprobs") or False,
        ),
        max_output=asked.output_limit,
        thinking=_thinking(body),
        stream=asked.stream,
    )
    body.lose("priority", OURS_ALONE, hint=True)
    body.leave(OURS_ALONE)
    return msgspec.structs.replace(made, uncarried=tuple(lost))


def _tools(body: Taking) -> tuple[Tool, ...]:
    strict = body.flag("strict_tools") or None
    return tuple(tool for one in body.inners("tools") if (tool := _tool(one, strict=strict)) is not None)


def _tool(taking: Taking, *, strict: bool | None) -> Tool | None:
    kind = taking.text("type") or "function"
    function = taking.inner("function") if kind == "function" else None
    if function is None:
        taking.lost.append(Uncarried(taking.at, f"tools of type {kind} are known here alone"))
        return None
    made = Tool(
        name=function.needed("name"),
        description=function.text("description"),
        schema=function.raw("parameters"),
        strict=strict,
    )
    function.leave(OURS_ALONE)
    taking.leave(OURS_ALONE)
    return made


def _tool_choice(body: Taking) -> ToolChoice | None:
    said = body.text("tool_choice")
    if said is None:
        return None
    choice = CHOICES.get(said)
    if choice is None:
        raise Malformed(f"`tool_choice` cannot be {said!r}.", code="invalid_value", param="tool_choice")
    return ToolChoice(choice)


def _response_format(body: Taking) -> ResponseFormat | None:
    taking = body.inner("response_format")
    if taking is None or taking.text("type") == "text":
        return None
    schema = taking.raw("json_schema")
    taking.leave(OURS_ALONE)
    return ResponseFormat() if schema is None else ResponseFormat(schema, strict=True)


def _thinking(body: Taking) -> Thinking | None:
    taking = body.inner("thinking")
    if taking is None:
        return None
    made = Thinking(on=taking.text("type") != "disabled", budget=taking.whole("token_budget"))
    taking.leave(OURS_ALONE)
    return made


def _documents(body: Taking) -> tuple[Document, ...]:
    """What the answer is to rest on. It is cited unless that is turned off."""
    options = body.inner("citation_options")
    mode = options.text("mode") if options is not None else None
    raw = body.raw("documents")
    if raw is None:
        return ()
    made = []
    listed = Taking({"documents": raw}, "", body.lost)
    for index, one in enumerate(_items(listed)):
        where = f"documents[{index}]"
        if is_text(one):
            source, title = Source(mime="text/plain", text=read_text(one, where)), None
        else:
            source, title = _document(one, where, body)
        made.append(Document(source, title, cite=mode not in UNCITED))
    return tuple(made)


def _items(taking: Taking) -> list[msgspec.Raw]:
    raw = taking.raw("documents") or msgspec.Raw(b"[]")
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise Malformed("`documents` must be a list.", code="invalid_type", param="documents") from error


def _document(raw: msgspec.Raw, where: str, body: Taking) -> tuple[Source, str | None]:
    taking = Taking({"document": raw}, "", body.lost).inner("document")
    data = taking.raw("data") if taking is not None else None
    if taking is None or data is None:
        raise Malformed(f"`{where}.data` is missing.", code="missing_field", param=f"{where}.data")
    title, text = _words(data, where)
    return Source(mime="text/plain", text=text), title


def _words(data: msgspec.Raw, where: str) -> tuple[str | None, str]:
    """Title and words of a document, which is an object of anything: what has another name is told with it."""
    try:
        fields = _decode_object(data)
    except msgspec.DecodeError as error:
        raise Malformed(f"`{where}.data` must be an object.", code="invalid_type", param=f"{where}.data") from error
    title, lines = None, []
    for name, value in fields.items():
        said = read_text(value, where) if is_text(value) else bytes(value).decode()
        if name == "title":
            title = said
        else:
            lines.append(said if name in WORDS else f"{name}: {said}")
    return title, "\n".join(lines)


def _with_documents(
    messages: tuple[Message, ...], documents: tuple[Document, ...], body: Taking
) -> tuple[Message, ...]:
    """Put documents before the last words of the user, where other dialects have them."""
    if not documents:
        return messages
    for index in range(len(messages) - 1, -1, -1):
        turn = messages[index]
        if turn.role is Role.USER and not any(isinstance(part, ToolResult) for part in turn.parts):
            told = msgspec.structs.replace(turn, parts=(*documents, *turn.parts))
            return (*messages[:index], told, *messages[index + 1 :])
    body.lost.append(Uncarried("documents", "there are no words of the user that they belong to"))
    return messages


def _messages(body: Taking) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The system's words before all others, and the turns; results of tools that follow each other are one turn."""
    system: list[Text] = []
    turns: list[Message] = []
    was_tool = False
    for taking in body.inners("messages"):
        role = taking.needed("role")
        match role:
            case "system":
                parts = _parts(taking)
                if turns:
                    turns.append(Message(Role.SYSTEM, parts, at=taking.at))
                else:
                    system.extend(part for part in parts if isinstance(part, Text))
            case "user":
                turns.append(Message(Role.USER, _parts(taking), at=taking.at))
            case "assistant":
                turns.append(_assistant(taking))
            case "tool":
                result = ToolResult(taking.needed("tool_call_id"), _results(taking))
                before = turns.pop().parts if was_tool else ()
                turns.append(Message(Role.USER, (*before, result), at=taking.at))
            case _:
                where = taking.where("role")
                raise Malformed(f"`{where}` cannot be {role!r}.", code="invalid_value", param=where)
        was_tool = role == "tool"
        taking.leave(OURS_ALONE)
    return tuple(system), tuple(turns)


def _results(taking: Taking) -> tuple[Text | Document, ...]:
    return tuple(part for part in _parts(taking) if isinstance(part, Text | Document))


def _assistant(taking: Taking) -> Message:
    """A turn of the model; the plan by which it calls tools is what it says before it does."""
    parts = list(_parts(taking))
    plan = taking.text("tool_plan")
    if plan:
        parts.append(Text(plan))
    for call in taking.inners("tool_calls"):
        function = call.inner("function")
        if function is None:
            raise Malformed(f"`{call.where('function')}` is missing.", code="missing_field", param=call.at)
        parts.append(ToolCall(call.needed("id"), function.needed("name"), function.text("arguments") or ""))
        call.ignore("type")
        call.leave(OURS_ALONE)
    taking.lose("citations", "citations of earlier turns are not sent back", hint=True)
    return Message(Role.ASSISTANT, tuple(parts), at=taking.at)


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
        case "thinking":
            made = Reasoning(taking.needed("thinking"), origin=DIALECT)
        case "image_url" if (image := taking.inner("image_url")) is not None:
            made = Image(read_url(image.needed_inline("url"), image.where("url")), image.text("detail"))
        case "document" if (inner := taking.inner("document")) is not None:
            title, text = _words(inner.raw("data") or msgspec.Raw(b"{}"), inner.at)
            made = Document(Source(mime="text/plain", text=text), title)
            inner.ignore("id")
        case kind:
            taking.lost.append(Uncarried(taking.at, f"parts of type {kind} are known here alone"))
            return None
    taking.leave(OURS_ALONE)
    return made
