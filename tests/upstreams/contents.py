"""Gemini's answers, made from the golden fixtures so that upstream and fixtures cannot drift apart."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.upstreams.script import Script

GOLDEN = Path(__file__).parent.parent / "golden" / "gemini"
ERRORS = {
    400: "error_invalid_request.json",
    403: "error_permission.json",
    404: "error_not_found.json",
    429: "error_rate_limit.json",
    503: "error_overloaded.json",
    504: "error_deadline.json",
}
JSON = "application/json; charset=UTF-8"
EVENTS = "text/event-stream"
DIMENSIONS = 8


@cache
def _golden(name: str) -> str:
    return (GOLDEN / name).read_text()


def error(status: int) -> bytes:
    """Return Google's error body for a status."""
    body = json.loads(_golden(ERRORS.get(status, "error_server.json")))
    body["error"]["code"] = status
    return _compact(body)


def usage(script: Script, produced: int) -> dict[str, int]:
    """Return Google's usage after so many tokens; what was thought is not in the candidates' count."""
    counted = {
        "promptTokenCount": script.prompt_tokens,
        "candidatesTokenCount": produced,
        "totalTokenCount": script.prompt_tokens + produced + script.reasoning,
    }
    if script.cached:
        counted["cachedContentTokenCount"] = script.cached
    if script.reasoning:
        counted["thoughtsTokenCount"] = script.reasoning
    return counted


def answer(script: Script, path: str, asked: dict[str, Any]) -> bytes:
    """Return a whole answer."""
    made: dict[str, Any] = json.loads(_golden("answer_tools.json" if script.tools else "answer.json"))
    made["modelVersion"] = _model(path)
    (first,) = made["candidates"]
    if not script.tools:
        first["content"]["parts"][0]["text"] = script.text
    made["candidates"] = [first | {"index": index} for index in range(_answers(asked))]
    if script.usage == "none":
        del made["usageMetadata"]
    else:
        made["usageMetadata"] = usage(script, len(script.pieces) * _answers(asked))
    return _compact(made | script.extra)


def events(script: Script, path: str, asked: dict[str, Any]) -> tuple[bytes, ...]:
    """Return the events of a stream. Each tells what was used so far; none is only an end."""
    golden = [json.loads(line[6:]) for line in _golden("stream_tools.sse" if script.tools else "stream.sse").splitlines() if line]  # fmt: skip  # noqa: E501
    if not script.tools:
        golden = [*(_piece(golden[0], {"text": piece}) for piece in script.pieces), golden[-1]]
    answers = _answers(asked)
    made = []
    for place, event in enumerate(golden):
        for index in range(answers):
            last = place == len(golden) - 1
            produced = len(script.pieces) * answers if last else place * answers + index + 1
            one = event | {"candidates": [event["candidates"][0] | {"index": index}], "modelVersion": _model(path)}
            if script.usage == "none":
                del one["usageMetadata"]
            else:
                one["usageMetadata"] = usage(script, produced)
            made.append(one | script.extra)
    if script.error_after is not None:
        return (*(_event(script, one) for one in made[: script.error_after]), _event(script, json.loads(error(503))))
    return tuple(_event(script, one) for one in made)


def embeddings(script: Script, path: str, asked: dict[str, Any]) -> bytes:
    """Return vectors, one for each text."""
    made: dict[str, Any] = json.loads(_golden("embed_answer.json"))
    one = path.endswith(":embedContent")
    count = 1 if one else len(asked["requests"])
    vectors = [{"values": [(index + 1) / 2**place for place in range(DIMENSIONS)]} for index in range(count)]
    made |= {"embedding": vectors[0]} if one else {"embeddings": vectors}
    if one:
        del made["embeddings"]
    if script.usage == "none":
        del made["usageMetadata"]
    else:
        made["usageMetadata"] = {"promptTokenCount": script.prompt_tokens}
    return _compact(made | script.extra)


def count(script: Script) -> bytes:
    """Return how many tokens a prompt has."""
    return _compact(json.loads(_golden("embed_count.json")) | {"totalTokens": script.prompt_tokens})


def _piece(event: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    (first,) = event["candidates"]
    return event | {"candidates": [first | {"content": {"parts": [part], "role": "model"}}]}


def _answers(asked: dict[str, Any]) -> int:
    config: dict[str, Any] = asked.get("generationConfig") or {}
    return int(config.get("candidateCount") or 1)


def _model(path: str) -> str:
    return path.rpartition("/")[2].partition(":")[0] + "-001"


def _event(script: Script, event: dict[str, Any]) -> bytes:
    end = script.newline.encode()
    comment = b": ping" + end + end if script.comments else b""
    return comment + b"data: " + _compact(event) + end + end


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
