"""Requests of callers into the neutral form.

Source: Gemini API reference, "Generating content", "Caching" (content and its parts), "Function calling".
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.gemini.proto import DIALECT, Proto, plain_inline, unseal_bytes
from trunkline.dialects.gemini.schema import as_json_schema
from trunkline.dialects.neutral import (
    Audio,
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
from trunkline.dialects.taking import is_text, read_text
from trunkline.errors import Malformed
from trunkline.messages import Asked

OURS_ALONE: Final = "nothing in the other dialect means the same"
ROLES: Final = {"user": Role.USER, "model": Role.ASSISTANT, "function": Role.USER, "system": Role.SYSTEM}
CHOICES: Final = {"AUTO": Choice.AUTO, "VALIDATED": Choice.AUTO, "ANY": Choice.REQUIRED, "NONE": Choice.NONE}
UNSPECIFIED: Final = "_UNSPECIFIED"
JSON: Final = "application/json"
AS_IT_SEES_FIT: Final = -1
"""The budget of thought that leaves it to the model. Source: Gemini API documentation, "Gemini thinking"."""
STORED: Final = ("gs://", "https://generativelanguage.googleapis.com/", "files/")
"""How addresses begin of files that are stored at the provider."""


def read_request(asked: Asked) -> Conversation:
    """Read a request whose top-level fields were read before.

    Raises:
        Malformed: something in it is not as the reference has it.
    """
    lost: list[Uncarried] = []
    body = Proto(dict(asked.fields), "", lost)
    config = body.inner("generationConfig") or Proto({}, "generationConfig", lost)
    config.ignore("candidateCount", "maxOutputTokens")
    calls = _Calls()
    made = Conversation(
        system=_system(body),
        messages=_joined([_message(one, calls) for one in body.inners("contents")]),
        tools=tuple(tool for one in body.inners("tools") for tool in _tools(one)),
        tool_choice=_tool_choice(body),
        response_format=_format(config),
        sampling=_sampling(config, asked),
        max_output=asked.output_limit,
        thinking=_thinking(config),
        end_customer=asked.end_customer,
        metadata=body.mapping("labels") or {},
        service_tier=_specified(body.word("serviceTier")),
        stream=asked.stream,
    )
    _leave(body, config)
    return msgspec.structs.replace(made, uncarried=tuple(lost))


def _leave(body: Proto, config: Proto) -> None:
    """Name what has no neutral meaning, but for values that ask for nothing."""
    body.ignore("model")
    if body.flag("store"):
        body.lost.append(Uncarried("store", "answers are stored by nobody else in this way"))
    body.lose("cachedContent", "what is cached is known to the provider alone that keeps it")
    if [word.upper() for word in config.texts("responseModalities") or ["TEXT"]] != ["TEXT"]:
        config.lost.append(Uncarried(config.where("responseModalities"), "only text can be asked for"))
    if _specified(config.word("mediaResolution")) is not None:
        config.lost.append(Uncarried(config.where("mediaResolution"), OURS_ALONE))
    config.leave(OURS_ALONE)
    body.leave(OURS_ALONE)


def _specified(word: str | None) -> str | None:
    return None if word is None or word.endswith(UNSPECIFIED) else word.lower()


def _system(body: Proto) -> tuple[Text, ...]:
    raw = body.raw("systemInstruction")
    if raw is None:
        return ()
    if is_text(raw):
        return (Text(read_text(raw, "systemInstruction")),)
    system = Proto({"systemInstruction": raw}, "", body.lost).inner("systemInstruction")
    if system is None:
        return ()
    system.ignore("role")
    parts = tuple(part for one in system.inners("parts") for part in _part(one, None))
    system.leave(OURS_ALONE)
    if any(not isinstance(part, Text) for part in parts):
        body.lost.append(Uncarried("systemInstruction", "instructions are text alone"))
    return tuple(part for part in parts if isinstance(part, Text) and part.text)


def _sampling(config: Proto, asked: Asked) -> Sampling:
    return Sampling(
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.whole("topK"),
        stop=tuple(config.texts("stopSequences") or ()),
        seed=config.whole("seed"),
        frequency_penalty=config.number("frequencyPenalty"),
        presence_penalty=config.number("presencePenalty"),
        logprobs=config.flag("responseLogprobs") or False,
        top_logprobs=config.whole("logprobs"),
        answers=asked.answers,
    )


def _thinking(config: Proto) -> Thinking | None:
    taking = config.inner("thinkingConfig")
    if taking is None:
        return None
    budget, effort = taking.whole("thinkingBudget"), _specified(taking.word("thinkingLevel"))
    shown = taking.flag("includeThoughts")
    taking.leave(OURS_ALONE)
    on = None if budget is None else budget != 0
    return Thinking(on=on, effort=effort, budget=budget if budget and budget > 0 else None, shown=shown)


def _format(config: Proto) -> ResponseFormat | None:
    mime = config.text("responseMimeType")
    plain = config.raw("responseSchema")
    schema = config.raw("responseJsonSchema")
    if schema is None and plain is not None:
        schema = as_json_schema(plain, config.where("responseSchema"))
    if mime not in (None, "text/plain", JSON):
        config.lost.append(Uncarried(config.where("responseMimeType"), f"answers as {mime} are known here alone"))
        return None
    return ResponseFormat(schema=schema) if mime == JSON or schema is not None else None


def _tools(taking: Proto) -> list[Tool]:
    made = [_tool(one) for one in taking.inners("functionDeclarations")]
    taking.leave("tools at the provider are known here alone")
    return made


def _tool(taking: Proto) -> Tool:
    plain, schema = taking.raw("parameters"), taking.raw("parametersJsonSchema")
    if schema is None and plain is not None:
        schema = as_json_schema(plain, taking.where("parameters"))
    made = Tool(name=taking.needed("name"), description=taking.text("description"), schema=schema)
    for hint in ("response", "responseJsonSchema"):
        taking.lose(hint, "what a tool answers is told by no schema there", hint=True)
    if taking.word("behavior") not in (None, "UNSPECIFIED", "BLOCKING"):
        taking.lost.append(Uncarried(taking.where("behavior"), OURS_ALONE))
    taking.leave(OURS_ALONE)
    return made


def _tool_choice(body: Proto) -> ToolChoice | None:
    config = body.inner("toolConfig")
    taking = config.inner("functionCallingConfig") if config is not None else None
    choice: ToolChoice | None = None
    if taking is not None:
        mode = taking.word("mode")
        names = tuple(taking.texts("allowedFunctionNames") or ())
        if mode is not None and not mode.endswith(UNSPECIFIED):
            if mode not in CHOICES:
                where = taking.where("mode")
                raise Malformed(f"`{where}` cannot be {mode!r}.", code="invalid_value", param=where)
            choice = ToolChoice(CHOICES[mode], names)
            if choice.choice is Choice.REQUIRED and len(names) == 1:
                choice = ToolChoice(Choice.NAMED, names)
        taking.leave(OURS_ALONE)
    if config is not None:
        config.leave(OURS_ALONE)
    return choice


class _OfNext(Reasoning, frozen=True):
    """A signature of the part behind it, which ends no thought before."""


class _Calls:
    """Which call each result answers. Calls without an id get one, and results without find theirs by name."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[tuple[str, str]] = []

    def called(self, name: str, given: str | None) -> str:
        """Return a call's id."""
        number = given or f"call_{self._count}"
        self._count += 1
        self._open.append((number, name))
        return number

    def answered(self, name: str, given: str | None) -> str:
        """Return the id of the call that is answered: the one that is named, else the first of that tool."""
        for call in self._open:
            if call[0] == given if given else call[1] == name:
                self._open.remove(call)
                return call[0]
        return given or f"call_{name}"


def _message(taking: Proto, calls: _Calls) -> Message:
    said = taking.text("role") or "user"
    role = ROLES.get(said)
    if role is None:
        where = taking.where("role")
        raise Malformed(f"`{where}` cannot be {said!r}.", code="invalid_value", param=where)
    parts = tuple(part for one in taking.inners("parts") for part in _part(one, calls))
    taking.leave(OURS_ALONE)
    return Message(role, parts, at=taking.at)


def _joined(messages: list[Message]) -> tuple[Message, ...]:
    """The turns; what the model said in pieces, as clients keep a stream, is one turn with whole parts."""
    turns: list[tuple[Message, list[Part]]] = []
    for message in messages:
        if turns and message.role is Role.ASSISTANT is turns[-1][0].role:
            turns[-1][1].extend(message.parts)
        else:
            turns.append((message, list(message.parts)))
    return tuple(msgspec.structs.replace(turn, parts=_whole(turn.role, parts)) for turn, parts in turns)


def _whole(role: Role, parts: list[Part]) -> tuple[Part, ...]:
    """Join pieces of what the model said, and of a thought up to its signature."""
    made: list[Part] = []
    pieces: list[str] = []
    for part in parts:
        last = made[-1] if made else None
        if isinstance(part, Text) and isinstance(last, Text) and role is Role.ASSISTANT:
            pieces.append(part.text)
            continue
        if isinstance(part, Reasoning) and isinstance(last, Reasoning) and _goes_on(last, part):
            pieces.append(part.text)
            made[-1] = msgspec.structs.replace(last, signature=part.signature, origin=part.origin)
            continue
        _close(made, pieces)
        made.append(Reasoning("", part.signature, origin=part.origin) if isinstance(part, _OfNext) else part)
    _close(made, pieces)
    return tuple(part for part in made if not (isinstance(part, Text) and not part.text))


def _goes_on(last: Reasoning, part: Reasoning) -> bool:
    """Whether a thought that was not signed yet goes on."""
    whole = last.signature is not None or last.redacted is not None
    return not whole and part.redacted is None and not isinstance(part, _OfNext)


def _close(made: list[Part], pieces: list[str]) -> None:
    if pieces:
        last = made[-1]
        assert isinstance(last, Text | Reasoning)  # noqa: S101  only these come in pieces
        made[-1] = msgspec.structs.replace(last, text="".join((last.text, *pieces)))
        pieces.clear()


def _part(taking: Proto, calls: _Calls | None) -> list[Part]:
    """Read one part; its signature stands before it, unless it is a thought itself."""
    sealed, thought = taking.text("thoughtSignature"), taking.flag("thought")
    origin, signature, redacted = unseal_bytes(sealed) if sealed else (DIALECT, None, False)
    if redacted:
        taking.ignore("text")
        taking.leave(OURS_ALONE)
        return [Reasoning(redacted=signature, origin=origin)]
    if thought:
        made: list[Part] = [Reasoning(taking.text("text") or "", signature, origin=origin)]
    else:
        read = _said(taking, calls)
        made = [] if read is None else [read]
        if signature is not None:
            made.insert(0, _OfNext(signature=signature, origin=origin))
    taking.lose("partMetadata", OURS_ALONE, hint=True)
    taking.leave(OURS_ALONE)
    return made


def _said(taking: Proto, calls: _Calls | None) -> Part | None:
    text = taking.text("text")
    if text is not None:
        return Text(text)
    if (blob := taking.inner("inlineData")) is not None:
        return _media(blob, Source(mime=blob.needed("mimeType"), data=plain_inline(blob.needed_inline("data"))))
    if (file := taking.inner("fileData")) is not None:
        uri, mime = file.needed("fileUri"), file.text("mimeType")
        return _media(file, Source(mime, file_id=uri) if uri.startswith(STORED) else Source(mime, url=uri))
    if calls is not None and (call := taking.inner("functionCall")) is not None:
        name, args = call.needed("name"), call.raw("args")
        made = ToolCall(calls.called(name, call.text("id")), name, "{}" if args is None else bytes(args).decode())
        call.leave(OURS_ALONE)
        return made
    if calls is not None and (result := taking.inner("functionResponse")) is not None:
        return _result(result, calls)
    return None


def _media(taking: Proto, source: Source) -> Part | None:
    title = taking.text("displayName")
    taking.leave(OURS_ALONE)
    mime = source.mime or ""
    if mime.startswith("image/"):
        return Image(source)
    if mime.startswith("audio/"):
        return Audio(source)
    if mime == "application/pdf" or mime.startswith("text/") or mime == JSON:
        return Document(source, title=title)
    what = f"media of type {mime}" if mime else "a file whose `mimeType` is not told"
    taking.lost.append(Uncarried(taking.at, f"{what} cannot be carried"))
    return None


def _result(taking: Proto, calls: _Calls) -> ToolResult:
    name = taking.needed("name")
    number = calls.answered(name, taking.text("id"))
    text, is_error = _answered(taking)
    parts: list[Text | Image | Document] = [] if text is None else [Text(text)]
    for one in taking.inners("parts"):
        part = _said(one, None)
        if isinstance(part, Text | Image | Document):
            parts.append(part)
        elif part is not None:
            taking.lost.append(Uncarried(one.at, "results of tools hold texts, images and documents"))
        one.leave(OURS_ALONE)
    if taking.flag("willContinue"):
        taking.lost.append(Uncarried(taking.where("willContinue"), OURS_ALONE))
    taking.lose("scheduling", OURS_ALONE)
    taking.leave(OURS_ALONE)
    return ToolResult(number, tuple(parts), is_error=is_error, name=name)


def _answered(taking: Proto) -> tuple[str | None, bool]:
    """What a tool said: a text in `output` or `error` as it is, all else as JSON.

    Source: Gemini API reference, "FunctionResponse", on the keys `output` and `error`.
    """
    raw = taking.raw("response")
    if raw is None:
        return None, False
    inside = msgspec.json.decode(raw)
    if not isinstance(inside, dict):
        where = taking.where("response")
        raise Malformed(f"`{where}` must be an object.", code="invalid_type", param=where)
    if len(inside) == 1:
        key, value = next(iter(inside.items()))
        if key in ("output", "error", "result"):
            said = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            return said, key == "error"
    return bytes(raw).decode(), False
