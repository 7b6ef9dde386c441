"""What a deployment's model cannot do, whatever the dialect: taken out of a request, and named."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.dialect import Target
from trunkline.dialects.neutral import Choice, Conversation, Image, Message, Part, Sampling, ToolResult, Uncarried

FORCED: Final = (Choice.REQUIRED, Choice.NAMED)
SAMPLING_FIELDS: Final = frozenset(Sampling.__struct_fields__)


def fit(conversation: Conversation, target: Target) -> Conversation:
    """Return the conversation without what the target's model cannot do or refuses.

    Nothing is taken out for a model of which nothing is known.
    """
    lost: list[Uncarried] = []
    changes: dict[str, Any] = {}
    sampling = conversation.sampling
    for name in sorted(target.refuses & SAMPLING_FIELDS):
        if getattr(sampling, name) not in (None, False, ()):
            lost.append(Uncarried(name, "its model refuses it"))
            changes["sampling"] = sampling = msgspec.structs.replace(sampling, **{name: _DEFAULTS[name]})
    chosen = conversation.tool_choice
    if chosen is not None and chosen.choice in FORCED and "tool_choice" in target.refuses:
        lost.append(Uncarried("tool_choice", "its model lets no tool be forced"))
        changes["tool_choice"] = None
    if target.features is not None:
        _without(conversation, target.features, lost, changes)
    if not lost:
        return conversation
    return msgspec.structs.replace(conversation, uncarried=(*conversation.uncarried, *lost), **changes)


_DEFAULTS: Final = msgspec.structs.asdict(Sampling())


def _without(
    conversation: Conversation, features: frozenset[str], lost: list[Uncarried], changes: dict[str, Any]
) -> None:
    if conversation.tools and "tools" not in features:
        lost.append(Uncarried("tools", "its model calls no tools"))
        changes |= {"tools": (), "tool_choice": None, "parallel_tools": None}
    wanted = conversation.response_format
    if wanted is not None and wanted.schema is not None and "json_schema" not in features:
        lost.append(Uncarried("response_format", "its model keeps to no JSON schema"))
        changes["response_format"] = None
    thinking = conversation.thinking
    if thinking is not None and "reasoning" not in features:
        asks = thinking.on or thinking.budget or thinking.effort not in (None, "none")
        lost.append(Uncarried("thinking", "its model does not think first", hint=not asks))
        changes["thinking"] = None
    if "images" not in features:
        messages = tuple(_blind(message, lost) for message in conversation.messages)
        if messages != conversation.messages:
            changes["messages"] = messages


def _blind(message: Message, lost: list[Uncarried]) -> Message:
    parts: list[Part] = []
    changed = False
    for part in message.parts:
        if isinstance(part, Image):
            changed = True
        elif isinstance(part, ToolResult) and any(isinstance(one, Image) for one in part.parts):
            changed = True
            kept = tuple(one for one in part.parts if not isinstance(one, Image))
            parts.append(msgspec.structs.replace(part, parts=kept))
        else:
            parts.append(part)
    if not changed:
        return message
    lost.append(Uncarried(message.at, "its model sees no images"))
    return msgspec.structs.replace(message, parts=tuple(parts))
