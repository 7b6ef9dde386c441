"""Anthropic's answers, made from the golden fixtures so that upstream and fixtures cannot drift apart."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.upstreams.script import Script

GOLDEN = Path(__file__).parent.parent / "golden" / "anthropic"
ERRORS = {
    400: "error_invalid_request.json",
    401: "error_authentication.json",
    404: "error_not_found.json",
    429: "error_rate_limit.json",
    529: "error_overloaded.json",
}
JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


@cache
def _golden(name: str) -> str:
    return (GOLDEN / name).read_text()


def error(status: int) -> bytes:
    """Return Anthropic's error body for a status."""
    return _compact(json.loads(_golden(ERRORS.get(status, "error_server.json"))))


def usage(script: Script, produced: int) -> dict[str, int]:
    """Return Anthropic's usage after so many tokens; it leaves out of the input what the cache was read for."""
    return {
        "input_tokens": script.prompt_tokens - script.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": script.cached,
        "output_tokens": produced + script.reasoning,
    }


def message(script: Script, asked: dict[str, Any]) -> bytes:
    """Return a whole answer."""
    made: dict[str, Any] = json.loads(_golden("message_tools.json" if script.tools else "message.json"))
    made["model"] = f"{asked['model']}-20251001"
    if not script.tools:
        made["content"][0]["text"] = script.text
    if script.usage == "none":
        del made["usage"]
    else:
        made["usage"] = usage(script, len(script.pieces))
    return _compact(made | script.extra)


def events(script: Script, asked: dict[str, Any]) -> tuple[bytes, ...]:
    """Return the events of a stream."""
    golden = _golden("stream_tools.sse" if script.tools else "stream.sse")
    made = [json.loads(line[6:]) for line in golden.splitlines() if line.startswith("data: ")]
    start, finish = made[0], made[-2]
    start["message"]["model"] = f"{asked['model']}-20251001"
    start["message"]["usage"] = usage(script, 1 - script.reasoning)
    finish["usage"] = {"output_tokens": len(script.pieces) + script.reasoning}
    if not script.tools:
        deltas = [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in script.pieces
        ]
        made = [made[0], made[1], {"type": "ping"}, *deltas, *made[-3:]]
    if script.usage == "none":
        start["message"].pop("usage")
        finish.pop("usage")
    if script.error_after is not None:
        return (*(_event(script, one) for one in made[: script.error_after]), _event(script, json.loads(error(529))))
    if not script.done:
        made.pop()
    return tuple(_event(script, one | script.extra) for one in made)


def _event(script: Script, event: dict[str, Any]) -> bytes:
    end = script.newline.encode()
    comment = b": ping" + end + end if script.comments else b""
    return comment + b"event: %b%b" % (event["type"].encode(), end) + b"data: " + _compact(event) + end + end


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
