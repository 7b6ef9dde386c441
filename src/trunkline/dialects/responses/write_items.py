"""The neutral form into requests for upstreams. Source: OpenAI API reference, "Create a model response".

Nothing is to be stored: whoever asks in another dialect has not asked for it.
"""

from __future__ import annotations

from typing import Any

from trunkline.dialects.bodies import without_none, write_body
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
from trunkline.dialects.openai.write_chat import HIGH_BUDGET, LOW_BUDGET
from trunkline.dialects.responses.codec import DIALECT
from trunkline.dialects.responses.read_items import ENCRYPTED, LIKELY
from trunkline.dialects.responses.thoughts import write_thought
from trunkline.dialects.sources import as_text, write_url


def write_request(conversation: Conversation, target: Target) -> Written:
    """Write a request, with what the dialect cannot carry of it."""
    writing = _Writing(conversation)
    return Written(write_body(writing.body(target)), tuple(writing.lost))


class _Writing:
    """One request on its way."""

    def __init__(self, conversation: Conversation) -> None:
        self._asked = conversation
        self.lost: list[Uncarried] = list(conversation.uncarried)

    def body(self, target: Target) -> dict[str, Any]:
        asked, sampling = self._asked, self._asked.sampling
        body: dict[str, Any] = {"model": target.upstream_model}
        if asked.system:
            self._lose_caches("system", any(text.cache for text in asked.system))
            body["instructions"] = asked.system[0].text
        body["input"] = self._items()
        if asked.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    **without_none(description=tool.description),
                    "parameters": tool.schema,
                    # Elsewhere a tool is not strict unless it says so; here it is.
                    "strict": tool.strict or False,
                }
                for tool in asked.tools
            ]
            self._lose_caches("tools", any(tool.cache for tool in asked.tools))
        body |= without_none(
            tool_choice=self._tool_choice(),
            parallel_tool_calls=asked.parallel_tools if asked.tools else None,
            text=without_none(format=self._format(), verbosity=asked.verbosity) or None,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_logprobs=sampling.top_logprobs,
            max_output_tokens=asked.max_output,
            reasoning=self._reasoning(asked.thinking),
            include=self._include(target) or None,
            user=asked.end_customer,
            prompt_cache_key=asked.cache_key,
        )
        body["store"] = False
        if asked.stream:
            body["stream"] = True
        self._lose_others()
        return body

    def _lose(self, field: str, why: str, *, hint: bool = False) -> None:
        self.lost.append(Uncarried(field, why, hint))

    def _lose_caches(self, at: str, marked: object) -> None:
        if marked:
            self._lose(at, "what is cached is the provider's own choice", hint=True)

    def _lose_others(self) -> None:
        asked, sampling = self._asked, self._asked.sampling
        for name in ("top_k", "stop", "seed", "frequency_penalty", "presence_penalty"):
            if getattr(sampling, name):
                self._lose(name, "OpenAI's Responses have no such field")
        if sampling.answers != 1:
            self._lose("n", "OpenAI's Responses give one answer")
        self._lose_caches("cache_control", asked.cache is not None)
        for name in asked.metadata:
            self._lose(f"metadata.{name}", "it is not handed to the provider", hint=True)
        if asked.service_tier is not None:
            self._lose("service_tier", "tiers mean something else at every provider", hint=True)

    def _items(self) -> list[dict[str, Any]]:
        # `instructions` are one text; what else the system says comes first of what is said.
        items: list[dict[str, Any]] = [{"role": "system", "content": text.text} for text in self._asked.system[1:]]
        for message in self._asked.messages:
            self._lose_caches(message.at, any(getattr(part, "cache", None) for part in message.parts))
            if message.name is not None:
                self._lose(f"{message.at}.name", "OpenAI's Responses have no names of speakers")
            if message.role is Role.ASSISTANT:
                self._say(message, items)
            else:
                self._hear(message, items)
        return items

    def _hear(self, message: Message, items: list[dict[str, Any]]) -> None:
        said = []
        for index, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                items.append(self._result(part, message))
            else:
                said.append((part, f"{message.at}.content[{index}]"))
        if len(said) == 1 and isinstance(said[0][0], Text):
            items.append({"role": message.role.value, "content": said[0][0].text})
        elif said or not message.parts:
            content = [made for part, at in said if (made := self._part(part, at)) is not None]
            items.append({"role": message.role.value, "content": content})

    def _say(self, message: Message, items: list[dict[str, Any]]) -> None:
        """Write what the model said before: its messages, calls and thoughts are items in their order."""
        words: list[dict[str, Any]] = []
        for index, part in enumerate(message.parts):
            match part:
                case Text():
                    words.append({"type": "output_text", "text": part.text, "annotations": []})
                case Refused():
                    words.append({"type": "refusal", "refusal": part.text})
                case ToolCall() | Reasoning():
                    _flush(words, items)
                    words = []
                    items.extend(self._own(part, message.at, len(items)))
                case _:
                    said = "what an assistant said is text alone in OpenAI's Responses"
                    self._lose(f"{message.at}.content[{index}]", said)
        _flush(words, items)

    def _own(self, part: ToolCall | Reasoning, at: str, number: int) -> list[dict[str, Any]]:
        if isinstance(part, ToolCall):
            arguments = part.arguments or "{}"
            return [{"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments}]
        if part.origin == DIALECT and (part.signature or part.redacted):
            return [write_thought(part, f"rs_{number}")]
        self._lose(at, "thoughts that OpenAI did not encrypt are not sent there", hint=True)
        return []

    def _result(self, result: ToolResult, message: Message) -> dict[str, Any]:
        if result.is_error:
            said = "results of tools cannot be marked as errors; their text must say so"
            self._lose(message.at, said, hint=True)
        output: Any = ""
        if len(result.parts) == 1 and isinstance(result.parts[0], Text):
            output = result.parts[0].text
        elif result.parts:
            output = [made for part in result.parts if (made := self._part(part, message.at)) is not None]
        return {"type": "function_call_output", "call_id": result.id, "output": output}

    def _part(self, part: Part, at: str) -> dict[str, Any] | None:
        if isinstance(part, Document) and part.cite:
            self._lose(f"{at}.citations", "OpenAI's Responses cite no documents that stand in the request")
        match part:
            case Text() | Document() if (text := as_text(part)) is not None:
                return {"type": "input_text", "text": text.text}
            case Image() if (url := write_url(part.source)) is not None:
                return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
            case Document() if part.source.data is not None:
                return {"type": "input_file", "filename": part.title or "document", "file_data": write_url(part.source)}
            case Document() if part.source.url is not None:
                return {"type": "input_file", "file_url": part.source.url}
        self._lose(at, f"OpenAI's Responses take no {type(part).__name__.lower()} from there")
        return None

    def _tool_choice(self) -> Any:
        chosen = self._asked.tool_choice
        if chosen is None:
            return None
        if chosen.choice is Choice.NAMED:
            return {"type": "function", "name": chosen.names[0]}
        if chosen.names:
            tools = [{"type": "function", "name": name} for name in chosen.names]
            return {"type": "allowed_tools", "mode": chosen.choice.value, "tools": tools}
        return chosen.choice.value

    def _format(self) -> dict[str, Any] | None:
        wanted = self._asked.response_format
        if wanted is None:
            return None
        if wanted.schema is None:
            return {"type": "json_object"}
        return without_none(
            type="json_schema",
            name=wanted.name or "answer",
            description=wanted.description,
            schema=wanted.schema,
            strict=wanted.strict,
        )

    def _include(self, target: Target) -> list[str]:
        """What of an answer is told only to those who ask: with nothing stored, thoughts are lost otherwise."""
        thinks = self._asked.thinking is not None or (target.features is not None and "reasoning" in target.features)
        wanted = [ENCRYPTED] if thinks else []
        return [*wanted, LIKELY] if self._asked.sampling.logprobs else wanted

    def _reasoning(self, thinking: Thinking | None) -> dict[str, Any] | None:
        if thinking is None:
            return None
        effort = thinking.effort
        if effort is None and thinking.on is False:
            effort = "none"
        elif effort is None and thinking.budget is not None:
            effort = "low" if thinking.budget < LOW_BUDGET else "medium" if thinking.budget < HIGH_BUDGET else "high"
            self._lose("thinking.budget_tokens", f"sent as the effort {effort}", hint=True)
        return without_none(effort=effort, summary="auto" if thinking.shown else None) or None


def _flush(words: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
    if len(words) == 1 and words[0]["type"] == "output_text":
        items.append({"role": "assistant", "content": words[0]["text"]})
    elif words:
        items.append({"type": "message", "role": "assistant", "content": words})
