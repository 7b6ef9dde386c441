"""The neutral form into requests for upstreams.

Source: Claude API reference, "Create a message"; "Extended thinking".
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any, Final

import msgspec

from trunkline.dialects.anthropic.codec import DIALECT
from trunkline.dialects.bodies import without_none, write_body
from trunkline.dialects.dialect import Target, Written
from trunkline.dialects.neutral import (
    Audio,
    Cache,
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
    ToolCall,
    ToolResult,
    Uncarried,
)

NO_ARGUMENTS: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
TTLS: Final = ("5m", "1h")
HOTTEST: Final = 1.0
"""The highest temperature that Anthropic takes."""
LEAST_BUDGET: Final = 1024
"""The fewest tokens that a model can be told to think with."""
BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
EFFORTS_BY_BUDGET: Final = (("low", 4_095), ("medium", 16_383), ("high", math.inf))
EFFORTS: Final = {"minimal": "low"}
NOT_IN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
ORDINARY_TIERS: Final = ("auto", "default", "standard")

_encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def write_request(conversation: Conversation, target: Target) -> Written:
    """Write a request, with what the dialect cannot carry of it."""
    writing = _Writing(conversation, target)
    return Written(write_body(writing.body()), tuple(writing.lost))


def as_object(arguments: str) -> msgspec.Raw:
    """Return a tool call's arguments as an object; text that is none is wrapped, so that the model can see it.

    Source: Claude documentation, "Fine-grained tool streaming", on handling invalid JSON in tool responses.
    """
    if not arguments:
        return msgspec.Raw(b"{}")
    try:
        _decode_object(arguments)
    except msgspec.DecodeError:
        return msgspec.Raw(_encode({"INVALID_JSON": arguments}))
    return msgspec.Raw(arguments.encode())


class _Writing:
    """One request on its way."""

    def __init__(self, conversation: Conversation, target: Target) -> None:
        self._asked = conversation
        self._target = target
        self.lost: list[Uncarried] = list(conversation.uncarried)

    def body(self) -> dict[str, Any]:
        asked, target = self._asked, self._target
        limit = asked.max_output if asked.max_output is not None else target.output_bound
        body: dict[str, Any] = {"model": target.upstream_model, "max_tokens": limit}
        system = list(asked.system)
        messages = self._messages(system)
        if system:
            plain = len(system) == 1 and system[0].cache is None
            body["system"] = system[0].text if plain else [self._text(text) for text in system]
        body["messages"] = messages
        self._tools(body)
        self._sampling(body)
        output = self._thinking(body, limit) | self._format()
        if output:
            body["output_config"] = output
        if asked.end_customer is not None:
            body["metadata"] = {"user_id": asked.end_customer}
        if asked.cache is not None:
            body["cache_control"] = _cache(asked.cache)
        if asked.stream:
            body["stream"] = True
        self._lose_others()
        return body

    def _lose(self, field: str, why: str, *, hint: bool = False) -> None:
        self.lost.append(Uncarried(field, why, hint))

    def _lose_others(self) -> None:
        asked = self._asked
        if asked.verbosity is not None:
            self._lose("verbosity", "Anthropic has no such field", hint=asked.verbosity == "medium")
        for name in asked.metadata:
            self._lose(f"metadata.{name}", "it is not handed to the provider", hint=True)
        if asked.cache_key is not None:
            self._lose("prompt_cache_key", "Anthropic finds the same prompts by itself", hint=True)
        if asked.service_tier is not None and asked.service_tier not in ORDINARY_TIERS:
            self._lose("service_tier", "tiers mean something else at every provider", hint=True)

    def _sampling(self, body: dict[str, Any]) -> None:
        sampling = self._asked.sampling
        if sampling.temperature is not None:
            if sampling.temperature > HOTTEST:
                self._lose("temperature", "Anthropic takes 1 at most")
            else:
                body["temperature"] = sampling.temperature
        stops = list(sampling.stop) or None
        body |= without_none(top_p=sampling.top_p, top_k=sampling.top_k, stop_sequences=stops)
        if sampling.seed is not None:
            self._lose("seed", "Anthropic has no such field")
        for name in ("frequency_penalty", "presence_penalty"):
            if getattr(sampling, name):
                self._lose(name, "Anthropic has no such field")
        if sampling.logprobs or sampling.top_logprobs:
            self._lose("logprobs", "Anthropic tells no log-probabilities")
        if sampling.answers != 1:
            self._lose("n", "Anthropic gives one answer")

    def _tools(self, body: dict[str, Any]) -> None:
        asked = self._asked
        if not asked.tools:
            return
        chosen = asked.tool_choice
        allowed = chosen.names if chosen is not None and chosen.choice is not Choice.NAMED else ()
        body["tools"] = [
            without_none(
                name=tool.name,
                description=tool.description,
                input_schema=tool.schema or NO_ARGUMENTS,
                strict=tool.strict or None,
                cache_control=_cache(tool.cache),
            )
            for tool in asked.tools
            if not allowed or tool.name in allowed
        ]
        alone = asked.parallel_tools is False
        if chosen is None and not alone:
            return
        choice = chosen.choice if chosen is not None else Choice.AUTO
        written: dict[str, Any] = {"type": _CHOICES[choice]}
        if chosen is not None and choice is Choice.NAMED:
            written["name"] = chosen.names[0]
        if alone and choice is not Choice.NONE:
            written["disable_parallel_tool_use"] = True
        body["tool_choice"] = written

    def _thinking(self, body: dict[str, Any], limit: int) -> dict[str, Any]:
        """How much to think: by effort, or for models that know no effort by a budget below the output's limit."""
        asked = self._asked.thinking
        if asked is None:
            return {}
        shown = {} if asked.shown is None else {"display": "summarized" if asked.shown else "omitted"}
        features = self._target.features
        by_effort = features is not None and "effort" in features
        if asked.on is False or asked.effort == "none":
            if by_effort:
                self._lose("reasoning_effort", "whether it thinks is the model's own choice", hint=True)
            else:
                body["thinking"] = {"type": "disabled"}
            return {}
        budget, effort = asked.budget, asked.effort
        if budget is not None and by_effort:
            effort = _effort(budget)
            budget = None
            self._lose("thinking.budget_tokens", f"sent as the effort {effort}", hint=True)
        elif features is not None and not by_effort:
            budget = budget or BUDGETS.get(effort or "medium", BUDGETS["medium"])
        if budget is not None:
            if limit <= LEAST_BUDGET:
                self._lose("reasoning_effort", f"thinking takes {LEAST_BUDGET} of more tokens of output")
                return {}
            most = max(LEAST_BUDGET, min(budget, limit - 1))
            body["thinking"] = {"type": "enabled", "budget_tokens": most, **shown}
            return {}
        body["thinking"] = {"type": "adaptive", **shown}
        return {} if effort is None else {"effort": EFFORTS.get(effort, effort)}

    def _format(self) -> dict[str, Any]:
        wanted = self._asked.response_format
        if wanted is None:
            return {}
        if wanted.schema is None:
            self._lose("response_format", "Anthropic keeps to a JSON schema, not to JSON of any kind")
            return {}
        return {"format": {"type": "json_schema", "schema": wanted.schema}}

    def _messages(self, system: list[Text]) -> list[dict[str, Any]]:
        """The turns; those of one speaker that follow each other are one, with the results of tools first."""
        written: list[dict[str, Any]] = []
        for message in self._asked.messages:
            if message.role is Role.SYSTEM and not self._takes_system_turns:
                self._lose(message.at, "this model takes system messages at the beginning alone; moved there")
                system.extend(part for part in message.parts if isinstance(part, Text))
                continue
            if message.name is not None:
                self._lose(f"{message.at}.name", "Anthropic has no names of speakers")
            blocks = [
                block
                for index, part in enumerate(message.parts)
                if (block := self._block(part, f"{message.at}.content[{index}]", message)) is not None
            ]
            role = message.role.value
            if written and written[-1]["role"] == role:
                written[-1]["content"] += blocks
            elif blocks or message.role is Role.USER:
                written.append({"role": role, "content": blocks})
        for turn in written:
            turn["content"] = _in_order(turn["content"])
        return written

    @property
    def _takes_system_turns(self) -> bool:
        return self._target.features is not None and "system_turns" in self._target.features

    def _block(self, part: Part, at: str, message: Message) -> dict[str, Any] | None:  # noqa: PLR0911  one for each part
        match part:
            case Text():
                return self._text(part) if part.text else None
            case Refused():
                return {"type": "text", "text": part.text} if part.text else None
            case Image():
                return self._image(part, at)
            case Document():
                return self._document(part, at)
            case ToolCall():
                block = {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": as_object(part.arguments)}
                return block | _marked(part.cache)
            case ToolResult():
                return self._result(part, at, message)
            case Reasoning():
                return self._thought(part, at)
            case Audio():
                self._lose(at, "Anthropic takes no audio")
                return None

    def _text(self, text: Text) -> dict[str, Any]:
        return {"type": "text", "text": text.text, **_marked(text.cache)}

    def _image(self, image: Image, at: str) -> dict[str, Any] | None:
        if image.detail not in (None, "auto"):
            self._lose(f"{at}.image_url.detail", "Anthropic chooses how closely to look", hint=True)
        source = image.source
        if source.data is not None:
            written = {"type": "base64", "media_type": source.mime or "image/png", "data": source.data}
        elif source.url is not None:
            written = {"type": "url", "url": source.url}
        else:
            self._lose(at, "files are known to the provider alone where they were stored")
            return None
        return {"type": "image", "source": written, **_marked(image.cache)}

    def _document(self, document: Document, at: str) -> dict[str, Any] | None:
        source = _document_source(document.source)
        if source is None:
            self._lose(at, "Anthropic takes PDF and plain text")
            return None
        return {
            "type": "document",
            "source": source,
            **without_none(title=document.title, context=document.context),
            **({"citations": {"enabled": True}} if document.cite else {}),
            **_marked(document.cache),
        }

    def _result(self, result: ToolResult, at: str, message: Message) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(result.id)}
        if len(result.parts) == 1 and isinstance(result.parts[0], Text) and result.parts[0].cache is None:
            block["content"] = result.parts[0].text
        elif result.parts:
            made = (self._block(part, at, message) for part in result.parts)
            block["content"] = [one for one in made if one is not None]
        if result.is_error:
            block["is_error"] = True
        return block | _marked(result.cache)

    def _thought(self, thought: Reasoning, at: str) -> dict[str, Any] | None:
        if thought.origin == DIALECT and thought.redacted is not None:
            return {"type": "redacted_thinking", "data": thought.redacted}
        if thought.origin == DIALECT and thought.signature:
            return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}
        self._lose(at, "thoughts that Anthropic did not sign are not sent there", hint=True)
        return None


_CHOICES: Final = {Choice.AUTO: "auto", Choice.REQUIRED: "any", Choice.NONE: "none", Choice.NAMED: "tool"}


def _effort(budget: int) -> str:
    return next(name for name, most in EFFORTS_BY_BUDGET if budget <= most)


def _document_source(source: Source) -> dict[str, Any] | None:
    mime = source.mime or ""
    if source.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": source.text}
    if source.url is not None:
        return {"type": "url", "url": source.url}
    if source.data is not None and mime in ("application/pdf", ""):
        return {"type": "base64", "media_type": "application/pdf", "data": source.data}
    if source.data is not None and mime.startswith("text/"):
        try:
            text = base64.b64decode(source.data.text(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        return {"type": "text", "media_type": "text/plain", "data": text}
    return None


def _in_order(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Results of tools must come first in their turn; a turn of plain text is written as such."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    results = [block for block in blocks if block["type"] == "tool_result"]
    return [*results, *(block for block in blocks if block["type"] != "tool_result")] if results else blocks


def _cache(cache: Cache | None) -> dict[str, str] | None:
    if cache is None:
        return None
    return {"type": "ephemeral"} | ({"ttl": cache.ttl} if cache.ttl in TTLS else {})


def _marked(cache: Cache | None) -> dict[str, Any]:
    return {} if cache is None else {"cache_control": _cache(cache)}


def _id(given: str) -> str:
    """A call's id in the letters that Anthropic takes; the same id always becomes the same."""
    return NOT_IN_ID.sub("_", given) or "call"
