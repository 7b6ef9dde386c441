"""The neutral form into chat requests for upstreams. Source: OpenAI API reference, "Create chat completion"."""

from __future__ import annotations

from typing import Any, Final

from trunkline.dialects.bodies import without_none, write_body
from trunkline.dialects.dialect import Target, Written
from trunkline.dialects.neutral import (
    Audio,
    Choice,
    Conversation,
    Document,
    Image,
    Message,
    Reasoning,
    Refused,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Uncarried,
)
from trunkline.dialects.openai.answers import write_thought
from trunkline.dialects.openai.codec import DIALECT
from trunkline.dialects.sources import as_text, joined, write_url

EFFORTS: Final = {"max": "xhigh"}
LOW_BUDGET: Final = 4_096
HIGH_BUDGET: Final = 16_384
"""Budgets of thought below the first are sent as low effort, from the second on as high; between them as medium."""


def write_request(conversation: Conversation, target: Target) -> Written:
    """Write a request, with what the dialect cannot carry of it."""
    writing = _Writing(conversation, target.thoughts)
    body = writing.body(target)
    return Written(write_body(body), tuple(writing.lost))


class _Writing:
    def __init__(self, conversation: Conversation, thoughts: str) -> None:
        self._conversation = conversation
        self._thoughts = thoughts
        self.lost: list[Uncarried] = list(conversation.uncarried)

    def body(self, target: Target) -> dict[str, Any]:
        asked, sampling = self._conversation, self._conversation.sampling
        body: dict[str, Any] = {"model": target.upstream_model, "messages": self._messages()}
        if asked.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": without_none(
                        name=tool.name, description=tool.description, parameters=tool.schema, strict=tool.strict
                    ),
                }
                for tool in asked.tools
            ]
            self._lose_caches("tools", any(tool.cache for tool in asked.tools))
        body |= without_none(
            tool_choice=self._tool_choice(),
            parallel_tool_calls=asked.parallel_tools if asked.tools else None,
            response_format=self._response_format(),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            stop=list(sampling.stop) or None,
            seed=sampling.seed,
            frequency_penalty=sampling.frequency_penalty,
            presence_penalty=sampling.presence_penalty,
            logprobs=sampling.logprobs or None,
            top_logprobs=sampling.top_logprobs,
            n=sampling.answers if sampling.answers != 1 else None,
            reasoning_effort=self._effort(asked.thinking),
            verbosity=asked.verbosity,
            user=asked.end_customer,
            prompt_cache_key=asked.cache_key,
        )
        if asked.max_output is not None:
            body[target.output_limit] = asked.max_output
        if asked.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        for name, theirs in target.renames:
            if name in body:
                body.setdefault(theirs, body.pop(name))
        for name in target.omits:
            body.pop(name, None)
        if sampling.top_k is not None:
            self.lost.append(Uncarried("top_k", "OpenAI's chat requests have no such field"))
        self._lose_caches("cache_control", asked.cache is not None)
        for name in asked.metadata:
            self.lost.append(Uncarried(f"metadata.{name}", "it is not handed to the provider", hint=True))
        if asked.service_tier is not None:
            self.lost.append(Uncarried("service_tier", "tiers mean something else at every provider", hint=True))
        return body

    def _messages(self) -> list[dict[str, Any]]:
        asked = self._conversation
        written: list[dict[str, Any]] = []
        if asked.system:
            self._lose_caches("system", any(text.cache for text in asked.system))
            written.append({"role": "system", "content": joined(asked.system)})
        for message in asked.messages:
            self._lose_caches(message.at, any(getattr(part, "cache", None) for part in message.parts))
            if message.role is Role.ASSISTANT:
                written.append(self._assistant(message))
            else:
                written.extend(self._tool_results(message))
                said = [part for part in message.parts if not isinstance(part, ToolResult)]
                if said or not message.parts:
                    content = self._content(said, message.at)
                    written.append({"role": message.role.value, "content": content, **_name(message)})
        return written

    def _tool_results(self, message: Message) -> list[dict[str, Any]]:
        results = []
        for part in message.parts:
            if not isinstance(part, ToolResult):
                continue
            texts = tuple(text for one in part.parts if (text := as_text(one)) is not None)
            if len(texts) < len(part.parts):
                self.lost.append(Uncarried(message.at, "results of tools are text alone in OpenAI's chat requests"))
            if part.is_error:
                said = "results of tools cannot be marked as errors; their text must say so"
                self.lost.append(Uncarried(message.at, said, hint=True))
            results.append({"role": "tool", "tool_call_id": part.id, "content": joined(texts)})
        return results

    def _assistant(self, message: Message) -> dict[str, Any]:
        texts = tuple(part for part in message.parts if isinstance(part, Text))
        refusals = [part.text for part in message.parts if isinstance(part, Refused)]
        calls = [
            {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}}
            for part in message.parts
            if isinstance(part, ToolCall)
        ]
        thoughts = [part for part in message.parts if isinstance(part, Reasoning)]
        given_back = self._given_back(thoughts, calls)
        if thoughts and not any(given_back.values()):
            self.lost.append(Uncarried(message.at, "thoughts of earlier turns are not sent back", hint=True))
        if any(isinstance(part, Image | Document | Audio) for part in message.parts):
            self.lost.append(Uncarried(message.at, "what an assistant said is text alone in OpenAI's chat requests"))
        written: dict[str, Any] = {"role": "assistant", "content": joined(texts) if texts else None}
        if refusals:
            written["refusal"] = "".join(refusals)
        if calls:
            written["tool_calls"] = calls
        return written | given_back | _name(message)

    def _given_back(self, thoughts: list[Reasoning], calls: list[Any]) -> dict[str, Any]:
        """What the model thought, where the provider asks for it: there, a turn that calls tools needs it."""
        match self._thoughts:
            case "reasoning_content" if calls:
                return {self._thoughts: "".join(thought.text for thought in thoughts)}
            case "reasoning_details":
                details = [write_thought(thought) for thought in thoughts if thought.origin in ("", DIALECT)]
                return {self._thoughts: details} if details else {}
        return {}

    def _content(self, parts: list[Any], at: str) -> str | list[dict[str, Any]]:
        if len(parts) == 1 and isinstance(parts[0], Text):
            return parts[0].text
        written = []
        for index, part in enumerate(parts):
            made = self._part(part, f"{at}.content[{index}]")
            if made is not None:
                written.append(made)
        return written

    def _part(self, part: Any, at: str) -> dict[str, Any] | None:
        text = as_text(part)
        if isinstance(part, Document) and part.cite:
            self.lost.append(Uncarried(f"{at}.citations", "OpenAI's chat answers cite no documents"))
        if text is not None:
            return {"type": "text", "text": text.text}
        if isinstance(part, Image) and (url := write_url(part.source)) is not None:
            return {"type": "image_url", "image_url": without_none(url=url, detail=part.detail)}
        if isinstance(part, Document) and part.source.data is not None:
            name = part.title or "document"
            return {"type": "file", "file": {"filename": name, "file_data": write_url(part.source)}}
        if isinstance(part, Audio) and part.source.data is not None and part.source.mime is not None:
            form = part.source.mime.removeprefix("audio/")
            return {"type": "input_audio", "input_audio": {"data": part.source.data, "format": form}}
        what = type(part).__name__.lower()
        self.lost.append(Uncarried(at, f"OpenAI's chat requests take no {what} from there"))
        return None

    def _tool_choice(self) -> Any:
        chosen = self._conversation.tool_choice
        if chosen is None:
            return None
        if chosen.choice is Choice.NAMED:
            return {"type": "function", "function": {"name": chosen.names[0]}}
        if chosen.names:
            tools = [{"type": "function", "function": {"name": name}} for name in chosen.names]
            return {"type": "allowed_tools", "allowed_tools": {"mode": chosen.choice.value, "tools": tools}}
        return chosen.choice.value

    def _response_format(self) -> dict[str, Any] | None:
        wanted = self._conversation.response_format
        if wanted is None:
            return None
        if wanted.schema is None:
            return {"type": "json_object"}
        schema = without_none(
            name=wanted.name or "answer", description=wanted.description, schema=wanted.schema, strict=wanted.strict
        )
        return {"type": "json_schema", "json_schema": schema}

    def _effort(self, thinking: Thinking | None) -> str | None:
        if thinking is None:
            return None
        if thinking.effort is not None:
            return EFFORTS.get(thinking.effort, thinking.effort)
        if thinking.budget is not None:
            effort = "low" if thinking.budget < LOW_BUDGET else "medium" if thinking.budget < HIGH_BUDGET else "high"
            self.lost.append(Uncarried("thinking.budget_tokens", f"sent as the effort {effort}", hint=True))
            return effort
        if thinking.on is False:
            self.lost.append(Uncarried("thinking", "whether it thinks is the model's own choice", hint=True))
        return None

    def _lose_caches(self, at: str, marked: object) -> None:
        if marked:
            self.lost.append(Uncarried(at, "what is cached is the provider's own choice", hint=True))


def _name(message: Message) -> dict[str, str]:
    return {} if message.name is None else {"name": message.name}
