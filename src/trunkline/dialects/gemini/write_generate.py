"""The neutral form into requests for upstreams.

Source: Gemini API reference, "Generating content"; documentation, "Function calling", "Gemini thinking".
"""

from __future__ import annotations

import mimetypes
from typing import Any, Final

import msgspec

from trunkline.dialects.bodies import without_none, write_body
from trunkline.dialects.dialect import Target, Written
from trunkline.dialects.gemini.proto import DIALECT
from trunkline.dialects.gemini.read_generate import AS_IT_SEES_FIT, JSON, STORED
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
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Uncarried,
)
from trunkline.dialects.sources import as_text

MODES: Final = {Choice.AUTO: "AUTO", Choice.REQUIRED: "ANY", Choice.NAMED: "ANY", Choice.NONE: "NONE"}
LEVELS: Final = {"max": "high", "xhigh": "high"}
BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
"""Efforts in tokens, for models that know no levels. Source: Gemini API documentation, "OpenAI compatibility"."""
UNSIGNED: Final = "skip_thought_signature_validator"
"""The signature of a call that another model made. Source: Gemini API documentation, "Thought signatures"."""
MOST_LOGPROBS: Final = 20
ORDINARY_TIERS: Final = ("auto", "default", "standard", "standard_only")

_encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def write_request(conversation: Conversation, target: Target) -> Written:
    """Write a request, with what the dialect cannot carry of it. The target's model stands in the path."""
    writing = _Writing(conversation, target.features)
    return Written(write_body(writing.body()), tuple(writing.lost))


def as_args(arguments: str) -> msgspec.Raw:
    """Return a call's arguments as an object on one line; text that is none is wrapped, so that it can be seen."""
    if not arguments:
        return msgspec.Raw(b"{}")
    try:
        _decode_object(arguments)
    except msgspec.DecodeError:
        return msgspec.Raw(_encode({"INVALID_JSON": arguments}))
    # A line break would end an event of a stream: models that write their JSON in several lines do so.
    told = arguments.encode()
    return msgspec.Raw(msgspec.json.format(told, indent=-1) if b"\n" in told or b"\r" in told else told)


class _Writing:
    """One request on its way."""

    def __init__(self, conversation: Conversation, features: frozenset[str] | None) -> None:
        self._asked = conversation
        self._features = features
        self._names: dict[str, str] = {}
        self.lost: list[Uncarried] = list(conversation.uncarried)

    def body(self) -> dict[str, Any]:
        asked = self._asked
        system = list(asked.system)
        body: dict[str, Any] = {"contents": self._contents(system)}
        if system:
            body["systemInstruction"] = {"parts": [{"text": text.text} for text in system]}
        self._tools(body)
        config = self._sampling() | self._format() | self._thinking(asked.thinking)
        if asked.max_output is not None:
            config["maxOutputTokens"] = asked.max_output
        if config:
            body["generationConfig"] = config
        self._lose_others()
        return body

    def _lose(self, field: str, why: str, *, hint: bool = False) -> None:
        self.lost.append(Uncarried(field, why, hint))

    def _lose_others(self) -> None:
        asked = self._asked
        if asked.parallel_tools is False:
            self._lose("parallel_tool_calls", "Gemini may always call several tools at once")
        if asked.verbosity is not None:
            self._lose("verbosity", "Gemini has no such field", hint=asked.verbosity == "medium")
        for name in asked.metadata:
            self._lose(f"metadata.{name}", "it is not handed to the provider", hint=True)
        if asked.end_customer is not None:
            self._lose("user", "Gemini has no such field", hint=True)
        if asked.cache_key is not None or asked.marks_caches:
            self._lose("cache_control", "what is cached is the provider's own choice", hint=True)
        if asked.service_tier is not None and asked.service_tier not in ORDINARY_TIERS:
            self._lose("service_tier", "tiers mean something else at every provider", hint=True)

    def _sampling(self) -> dict[str, Any]:
        sampling = self._asked.sampling
        top = sampling.top_logprobs
        if top is not None and top > MOST_LOGPROBS:
            self._lose("top_logprobs", f"Gemini tells {MOST_LOGPROBS} at most")
            top = None
        return without_none(
            temperature=sampling.temperature,
            topP=sampling.top_p,
            topK=sampling.top_k,
            stopSequences=list(sampling.stop) or None,
            seed=sampling.seed,
            frequencyPenalty=sampling.frequency_penalty,
            presencePenalty=sampling.presence_penalty,
            responseLogprobs=sampling.logprobs or None,
            logprobs=top,
            candidateCount=sampling.answers if sampling.answers != 1 else None,
        )

    def _format(self) -> dict[str, Any]:
        wanted = self._asked.response_format
        if wanted is None:
            return {}
        return without_none(responseMimeType=JSON, responseJsonSchema=wanted.schema)

    def _thinking(self, thinking: Thinking | None) -> dict[str, Any]:
        if thinking is None:
            return {}
        config: dict[str, Any] = without_none(includeThoughts=thinking.shown)
        if thinking.on is False or thinking.effort == "none":
            config["thinkingBudget"] = 0
        elif thinking.budget is not None:
            config["thinkingBudget"] = thinking.budget
        elif thinking.effort is not None and self._features is not None and "effort" not in self._features:
            config["thinkingBudget"] = BUDGETS.get(thinking.effort, BUDGETS["medium"])
        elif thinking.effort is not None:
            level = LEVELS.get(thinking.effort, thinking.effort)
            if level != thinking.effort:
                self._lose("reasoning_effort", f"sent as the level {level}", hint=True)
            config["thinkingLevel"] = level.upper()
        elif thinking.on:
            config["thinkingBudget"] = AS_IT_SEES_FIT
        return {"thinkingConfig": config} if config else {}

    def _tools(self, body: dict[str, Any]) -> None:
        asked = self._asked
        if asked.tools:
            declared = [
                without_none(name=tool.name, description=tool.description, parametersJsonSchema=tool.schema)
                for tool in asked.tools
            ]
            body["tools"] = [{"functionDeclarations": declared}]
        for tool in asked.tools:
            if tool.strict:
                self._lose(f"tools.{tool.name}.strict", "whether schemas are kept to is Gemini's own choice", hint=True)
        chosen = asked.tool_choice
        if chosen is None:
            return
        if not asked.tools and chosen.choice is Choice.NONE:
            return
        config: dict[str, Any] = {"mode": MODES[chosen.choice]}
        if chosen.names:
            if chosen.choice is Choice.AUTO:
                config["mode"] = "VALIDATED"
            config["allowedFunctionNames"] = list(chosen.names)
        body["toolConfig"] = {"functionCallingConfig": config}

    def _contents(self, system: list[Text]) -> list[dict[str, Any]]:
        """The turns; results of tools that follow each other are one, as the calls were."""
        written: list[dict[str, Any]] = []
        for message in self._asked.messages:
            if message.role is Role.SYSTEM:
                self._lose(message.at, "Gemini takes system messages at the beginning alone; moved there")
                system.extend(part for part in message.parts if isinstance(part, Text))
                continue
            if message.name is not None:
                self._lose(f"{message.at}.name", "Gemini has no names of speakers")
            parts = self._parts(message)
            results = bool(parts) and all("functionResponse" in part for part in parts)
            if results and written and all("functionResponse" in part for part in written[-1]["parts"]):
                written[-1]["parts"] += parts
            elif parts:
                written.append({"role": "model" if message.role is Role.ASSISTANT else "user", "parts": parts})
        return written

    def _parts(self, message: Message) -> list[dict[str, Any]]:
        """The parts of a turn, each with its signature.

        Dialects that keep thoughts apart give them all before the rest. So a signature waits for a call, unless there
        is none to come, or another signature.
        """
        written: list[dict[str, Any]] = []
        waiting: list[str] = []
        for index, part in enumerate(message.parts):
            if isinstance(part, Reasoning):
                if part.origin != DIALECT or part.signature is None:
                    self._lose(message.at, "thoughts that Gemini did not sign are not sent there", hint=True)
                elif part.text:
                    written.append({"text": part.text, "thought": True, "thoughtSignature": part.signature})
                else:
                    waiting.append(part.signature)
                continue
            made = self._part(part, f"{message.at}.parts[{index}]")
            if made is None:
                continue
            if waiting and (isinstance(part, ToolCall) or _is_signed(message.parts[index + 1 :])):
                made["thoughtSignature"] = waiting.pop(0)
            written.append(made)
        written.extend({"text": "", "thoughtSignature": signature} for signature in waiting)
        if self._features is not None and "signed_calls" in self._features:
            _sign_first(written)
        return written

    def _part(self, part: Part, at: str) -> dict[str, Any] | None:
        match part:
            case Text() | Refused():
                return {"text": part.text} if part.text else None
            case ToolCall():
                self._names[part.id] = part.name
                called = without_none(id=part.id or None, name=part.name, args=as_args(part.arguments))
                return {"functionCall": called}
            case ToolResult():
                return self._result(part, at)
            case Image() | Audio() | Document():
                return self._media(part, at)
        return None

    def _media(self, part: Image | Audio | Document, at: str) -> dict[str, Any] | None:
        if isinstance(part, Image) and part.detail not in (None, "auto"):
            self._lose(f"{at}.detail", "Gemini chooses how closely to look", hint=True)
        if isinstance(part, Document):
            if part.cite:
                self._lose(f"{at}.citations", "Gemini cites no documents of a prompt")
            if (text := as_text(part)) is not None:
                return {"text": text.text}
            if part.context:
                self._lose(f"{at}.context", "Gemini's files have no words beside them")
        source = part.source
        if source.data is not None:
            return {"inlineData": {"mimeType": _mime(source, part), "data": source.data}}
        where = source.url or source.file_id or ""
        if source.url is None and not where.startswith(STORED):
            self._lose(at, "files are known to the provider alone where they were stored")
            return None
        return {"fileData": {"mimeType": _mime(source, part), "fileUri": where}}

    def _result(self, result: ToolResult, at: str) -> dict[str, Any]:
        name = result.name or self._names.get(result.id)
        if name is None:
            self._lose(at, "no call in this request has its id, and Gemini needs the tool's name")
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        told: dict[str, Any] = {"response": _response("\n".join(texts), is_error=result.is_error)}
        others = (part for part in result.parts if not isinstance(part, Text))
        media = [made for part in others if (made := self._media(part, at)) is not None]
        for made in media:
            if "text" in made:
                self._lose(at, "documents of plain text are no results of tools at Gemini")
        if media := [made for made in media if "text" not in made]:
            told["parts"] = media
        return {"functionResponse": without_none(id=result.id or None, name=name or "", **told)}


def _sign_first(parts: list[dict[str, Any]]) -> None:
    """Have the first call of a turn signed: of parallel ones, the model signs and looks at that alone."""
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", UNSIGNED)


def _is_signed(behind: tuple[Part, ...]) -> bool:
    """Whether a signature before a text must be the text's own, by what stands behind it."""
    calls = any(isinstance(part, ToolCall) for part in behind)
    return not calls or any(isinstance(part, Reasoning) and part.signature is not None for part in behind)


def _response(text: str, *, is_error: bool) -> Any:
    """What a tool said, as an object: its own where it is one, but for the keys that mean something to Gemini."""
    if is_error:
        return {"error": text}
    if text[:1] == "{":
        try:
            inside = _decode_object(text)
        except msgspec.DecodeError:
            inside = {}
        if inside and inside.keys().isdisjoint(("output", "error", "result")):
            return msgspec.Raw(text.encode())
    return {"output": text}


def _mime(source: Source, part: Image | Audio | Document) -> str:
    """A media type is needed; where it is not told, the address shows it, or what kind of part it is."""
    if source.mime is not None:
        return source.mime
    guessed = mimetypes.guess_type(source.url or "")[0]
    if guessed is not None:
        return guessed
    return "image/png" if isinstance(part, Image) else "audio/wav" if isinstance(part, Audio) else "application/pdf"
