"""Answers of OpenAI's Responses, made from the golden fixtures so that upstream and fixtures cannot drift apart."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.upstreams.script import Script

GOLDEN = Path(__file__).parent.parent / "golden" / "responses"


@cache
def _golden(name: str) -> str:
    return (GOLDEN / name).read_text()


def usage(script: Script) -> dict[str, Any]:
    """Return the usage object of a whole answer."""
    output = len(script.pieces) + script.reasoning
    return {
        "input_tokens": script.prompt_tokens,
        "input_tokens_details": {"cached_tokens": script.cached},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": script.reasoning},
        "total_tokens": script.prompt_tokens + output,
    }


def whole(script: Script, asked: dict[str, Any]) -> bytes:
    """Return a whole answer."""
    made: dict[str, Any] = json.loads(_golden("response_tools.json" if script.tools else "response.json"))
    made["model"] = f"{asked['model']}-2025-04-14"
    if not script.tools:
        made["output"][0]["content"][0]["text"] = script.text
    made["usage"] = None if script.usage == "none" else usage(script)
    return _compact(made | script.extra)


def events(script: Script, asked: dict[str, Any]) -> tuple[bytes, ...]:
    """Return the events of a stream."""
    golden = _golden("stream_tools.sse" if script.tools else "stream.sse")
    made = [json.loads(line[6:]) for line in golden.splitlines() if line.startswith("data: ")]
    for event in made:
        if "response" in event:
            event["response"]["model"] = f"{asked['model']}-2025-04-14"
    made[-1]["response"]["usage"] = None if script.usage == "none" else usage(script)
    if not script.tools:
        pieces = [event for event in made if event["type"] == "response.output_text.delta"]
        shape, at = pieces[0], made.index(pieces[0])
        made[at : at + len(pieces)] = [shape | {"delta": piece} for piece in script.pieces]
        for event in made[at + len(script.pieces) :]:
            _say(event, script.text)
    if script.error_after is not None:
        error = json.loads(_golden("stream_error.sse").rstrip().rpartition("data: ")[2])
        made = [*made[: script.error_after], error]
    elif not script.done:
        made.pop()
    return tuple(_event(script, event | {"sequence_number": number}) for number, event in enumerate(made))


def _say(event: dict[str, Any], text: str) -> None:
    """Put the script's text wherever a last event repeats the whole of it."""
    item = event.get("item") or {}
    parts = [event.get("part"), *item.get("content", ())]
    parts += [part for one in event.get("response", {}).get("output", ()) for part in one.get("content", ())]
    for part in (event if "text" in event else None, *parts):
        if part is not None:
            part["text"] = text


def _event(script: Script, event: dict[str, Any]) -> bytes:
    end = script.newline.encode()
    comment = b": ping" + end + end if script.comments else b""
    head = b"event: %b" % event["type"].encode() + end
    made: bytes = comment + head + b"data: " + _compact(event | script.extra) + end + end
    return made


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
