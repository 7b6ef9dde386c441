"""Cohere's answers, made from the golden fixtures so that upstream and fixtures cannot drift apart."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.upstreams.script import Script

GOLDEN = Path(__file__).parent.parent / "golden" / "cohere"
PATHS = ("/v2/chat", "/v2/embed")
ERRORS = {
    400: "error_invalid_request.json",
    401: "error_authentication.json",
    404: "error_not_found.json",
    429: "error_rate_limit.json",
}
JSON = "application/json"
EVENTS = "text/event-stream"


@cache
def _golden(name: str) -> str:
    return (GOLDEN / name).read_text()


def error(status: int) -> bytes:
    """Return Cohere's error body for a status."""
    return _golden(ERRORS.get(status, "error_server.json")).encode()


def usage(script: Script, kind: type) -> dict[str, Any]:
    """Return Cohere's usage: its own words around the prompt are read, and not billed."""
    produced = len(script.pieces)
    counted: dict[str, Any] = {
        "billed_units": {"input_tokens": kind(script.prompt_tokens), "output_tokens": kind(produced)},
        "tokens": {"input_tokens": kind(script.prompt_tokens + 60), "output_tokens": kind(produced + 2)},
    }
    if script.cached:
        counted["cached_tokens"] = kind(script.cached)
    return counted


def whole(script: Script, path: str, asked: dict[str, Any]) -> bytes:
    """Return a whole answer, or vectors."""
    if path == "/v2/embed":
        return _golden("embed_answer.json").encode()
    thinks = asked.get("thinking", {}).get("type") == "enabled"
    name = "answer_tools.json" if script.tools else "answer_thinking.json" if thinks else "answer.json"
    made: dict[str, Any] = json.loads(_golden(name))
    if not script.tools:
        made["message"]["content"][-1]["text"] = script.text
    return _compact(made | {"usage": usage(script, int)} | script.extra)


def events(script: Script) -> tuple[bytes, ...]:
    """Return the events of a stream."""
    blocks = _golden("stream_tools.sse" if script.tools else "stream.sse").split("\n\n")
    golden = [f"{block}\n\n".encode() for block in blocks if block]
    head, end, done = (*golden[:2],), json.loads(golden[-2].partition(b"data: ")[2]), golden[-1]
    end["delta"]["usage"] = usage(script, float)
    if script.tools:
        return (*golden[:-2], _event(end), done)
    pieces = [
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}
        for piece in script.pieces
    ]
    return (*head, *map(_event, pieces), golden[-3], _event(end), done)


def _event(told: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (told["type"].encode(), _compact(told))


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
