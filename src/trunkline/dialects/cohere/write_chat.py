"""The neutral form into chat requests for upstreams. Source: Cohere API reference, "Chat" of version 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.bodies import without_none, write_body
from trunkline.dialects.cohere.codec import DIALECT
from trunkline.dialects.dialect import Target, Written
from trunkline.dialects.neutral import (
    Choice,
    Conversation,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Refused,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Uncarried,
)
from trunkline.dialects.sources import as_text, joined, write_url

HIGHEST_TEMPERATURE: Final = 1.0
HIGHEST_P: Final = 0.99
HIGHEST_PENALTY: Final = 1.0
BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192}
"""Efforts in tokens, as Gemini's are; beyond them the model thinks as much as it sees fit, as Cohere recommends."""
CHOICES: Final = {Choice.REQUIRED: "REQUIRED", Choice.NAMED: "REQUIRED", Choice.NONE: "NONE"}
NO_SCHEMA: Final = msgspec.Raw(b'{"type":"object","properties":{}}')


def write_request(conversation: Conversation, target: Target) -> Written:
    """Write a request, with what the dialect cannot carry of it."""
    writing = _Writing(conversation)
    return Written(write_body(writing.body(target)), tuple(writing.lost))


class _Writing:
    """One request on its way."""

    def __init__(self, conversation: Conversation) -> None:
        self._asked = conversation
        self._documents: list[dict[str, Any]] = []
        self.lost: list[Uncarried] = list(conversation.uncarried)

    def body(self, target: Target) -> dict[str, Any]:
        asked = self._asked
        body: dict[str, Any] = {"model": target.upstream_model, "messages": self._messages()}
        if self._documents:
            body["documents"] = self._documents
        self._tools(body)
        body |= without_none(
            response_format=self._format(),
            max_tokens=asked.max_output,
            thinking=self._thinking(asked.thinking),
            stream=asked.stream or None,
        )
        body |= self._sampling()
        self._lose_others()
        return body

    def _lose(self, field: str, why: str, *, hint: bool = False) -> None:
        self.lost.append(Uncarried(field, why, hint))

    def _lose_others(self) -> None:
        asked = self._asked
        if asked.parallel_tools is False:
            self._lose("parallel_tool_calls", "Cohere may always call several tools at once")
        if asked.verbosity is not None:
            self._lose("verbosity", "Cohere has no such field", hint=asked.verbosity == "medium")
        for name in asked.metadata:
            self._lose(f"metadata.{name}", "it is not handed to the provider", hint=True)
        if asked.end_customer is not None:
            self._lose("user", "Cohere has no such field", hint=True)
        if asked.cache_key is not None or asked.marks_caches:
            self._lose("cache_control", "what is cached is the provider's own choice", hint=True)
        if asked.service_tier is not None:
            self._lose("service_tier", "tiers mean something else at every provider", hint=True)

    def _sampling(self) -> dict[str, Any]:
        sampling = self._asked.sampling
        temperature, top_p = sampling.temperature, sampling.top_p
        if temperature is not None and temperature > HIGHEST_TEMPERATURE:
            self._lose("temperature", f"Cohere takes {HIGHEST_TEMPERATURE:g} at most")
            temperature = None
        if top_p is not None and top_p > HIGHEST_P:
            self._lose("top_p", f"sent as {HIGHEST_P}, the highest that Cohere takes", hint=True)
            top_p = HIGHEST_P
        if sampling.top_logprobs:
            self._lose("top_logprobs", "Cohere tells of each token that was drawn, not of others")
        if sampling.answers != 1:
            self._lose("n", "Cohere gives one answer")
        return without_none(
            temperature=temperature,
            p=top_p,
            k=sampling.top_k,
            stop_sequences=list(sampling.stop) or None,
            seed=sampling.seed,
            frequency_penalty=self._penalty("frequency_penalty", sampling.frequency_penalty),
            presence_penalty=self._penalty("presence_penalty", sampling.presence_penalty),
            logprobs=sampling.logprobs or None,
        )

    def _penalty(self, name: str, value: float | None) -> float | None:
        if value is None or 0 <= value <= HIGHEST_PENALTY:
            return value
        self._lose(name, f"Cohere takes 0 to {HIGHEST_PENALTY:g}")
        return None

    def _format(self) -> dict[str, Any] | None:
        wanted = self._asked.response_format
        if wanted is None:
            return None
        if self._asked.tools or self._documents:
            self._lose("response_format", "Cohere gives no JSON beside tools or documents")
            return None
        return without_none(type="json_object", json_schema=wanted.schema)

    def _thinking(self, thinking: Thinking | None) -> dict[str, Any] | None:
        if thinking is None or (thinking.on is None and thinking.effort is None and thinking.budget is None):
            return None
        if thinking.on is False or thinking.effort == "none":
            return {"type": "disabled"}
        budget = thinking.budget
        if budget is None and thinking.effort is not None:
            budget = BUDGETS.get(thinking.effort)
            said = f"sent as a budget of {budget} tokens" if budget is not None else "sent without a budget of tokens"
            self._lose("reasoning_effort", said, hint=True)
        return without_none(type="enabled", token_budget=budget)

    def _tools(self, body: dict[str, Any]) -> None:
        asked = self._asked
        if asked.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": without_none(
                        name=tool.name, description=tool.description, parameters=tool.schema or NO_SCHEMA
                    ),
                }
                for tool in asked.tools
            ]
        strict = [tool.name for tool in asked.tools if tool.strict]
        if strict and len(strict) == len(asked.tools):
            body["strict_tools"] = True
        elif strict:
            self._lose(f"tools.{strict[0]}.strict", "Cohere keeps to the schemas of all tools or of none")
        chosen = asked.tool_choice
        if chosen is None or not asked.tools:
            return
        if chosen.names and set(chosen.names) != {tool.name for tool in asked.tools}:
            self._lose("tool_choice", "Cohere can be told to call some tool, but not which")
        elif chosen.choice in CHOICES:
            body["tool_choice"] = CHOICES[chosen.choice]

    def _messages(self) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        system = list(self._asked.system)
        for message in self._asked.messages:
            if message.name is not None:
                self._lose(f"{message.at}.name", "Cohere has no names of speakers")
            if message.role is Role.ASSISTANT:
                written.append(self._assistant(message))
            elif message.role is Role.SYSTEM:
                self._lose(message.at, "Cohere takes system messages at the beginning alone; moved there")
                system.extend(part for part in message.parts if isinstance(part, Text))
            else:
                written.extend(self._results(message))
                said = [part for part in message.parts if not isinstance(part, ToolResult)]
                if said or not message.parts:
                    written.append({"role": "user", "content": self._content(said, message.at)})
        return [{"role": "system", "content": joined(tuple(system))}, *written] if system else written

    def _assistant(self, message: Message) -> dict[str, Any]:
        """A turn of the model: what it says before it calls tools is its plan."""
        calls = [
            {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}}
            for part in message.parts
            if isinstance(part, ToolCall)
        ]
        content: list[dict[str, Any]] = []
        said: list[str] = []
        for part in message.parts:
            if isinstance(part, Text | Refused):
                said.append(part.text)
            elif isinstance(part, Reasoning) and part.origin in ("", DIALECT) and part.text:
                content.append({"type": "thinking", "thinking": part.text})
            elif isinstance(part, Reasoning):
                self._lose(message.at, "thoughts that Cohere's models did not think are not sent there", hint=True)
            elif not isinstance(part, ToolCall):
                self._lose(message.at, "what an assistant said is text alone at Cohere")
        written: dict[str, Any] = {"role": "assistant"}
        if calls:
            written["tool_calls"] = calls
            if said:
                written["tool_plan"] = "".join(said)
        else:
            content += [{"type": "text", "text": text} for text in said]
        if content or not calls:
            written["content"] = content
        return written

    def _results(self, message: Message) -> list[dict[str, Any]]:
        results = []
        for part in message.parts:
            if not isinstance(part, ToolResult):
                continue
            texts = tuple(text for one in part.parts if (text := as_text(one)) is not None)
            if len(texts) < len(part.parts):
                self._lose(message.at, "results of tools are text alone at Cohere")
            if part.is_error:
                said = "results of tools cannot be marked as errors; their text must say so"
                self._lose(message.at, said, hint=True)
            results.append({"role": "tool", "tool_call_id": part.id, "content": joined(texts)})
        return results

    def _content(self, parts: Sequence[Part], at: str) -> str | list[dict[str, Any]]:
        if len(parts) == 1 and isinstance(parts[0], Text):
            return parts[0].text
        made = (self._part(part, f"{at}.content[{index}]") for index, part in enumerate(parts))
        return [part for part in made if part is not None]

    def _part(self, part: Part, at: str) -> dict[str, Any] | None:
        if isinstance(part, Document) and part.cite and part.source.text is not None:
            data = without_none(title=part.title, context=part.context, text=part.source.text)
            self._documents.append({"id": str(len(self._documents)), "data": data})
            return None
        text = as_text(part)
        if text is not None:
            return {"type": "text", "text": text.text}
        if isinstance(part, Image) and (url := write_url(part.source)) is not None:
            return {"type": "image_url", "image_url": without_none(url=url, detail=part.detail)}
        self._lose(at, f"Cohere takes no {type(part).__name__.lower()} from there")
        return None
