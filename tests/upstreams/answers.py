"""OpenAI's answers, by way of `responses` those too; of `messages` Anthropic's, `contents` Gemini's, `chats` Cohere's.

They are made from the golden fixtures, so that a scripted upstream and the fixtures cannot drift apart.
"""

from __future__ import annotations

import base64
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from tests.upstreams import chats, contents, messages, responses
from tests.upstreams.script import Script

GOLDEN = Path(__file__).parent.parent / "golden" / "openai"
DIMENSIONS = 8
OTHERS = (":generateContent", ":streamGenerateContent", ":countTokens", ":embedContent", ":batchEmbedContents")
"""How the paths of Gemini end."""
ERRORS = {
    400: "error_invalid_request.json",
    401: "error_authentication.json",
    404: "error_not_found.json",
    429: "error_rate_limit.json",
}


class Answer(msgspec.Struct, frozen=True):
    """An answer before it is framed: `units` are the events of a stream, or one whole body."""

    status: int
    content_type: str
    units: tuple[bytes, ...]
    streamed: bool = False


@cache
def _golden(name: str) -> str:
    return (GOLDEN / name).read_text()


def _template(name: str) -> Any:
    return json.loads(_golden(name))


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def error(status: int) -> dict[str, Any]:
    """Return OpenAI's error object for a status."""
    body: dict[str, Any] = _template(ERRORS.get(status, "error_server.json"))
    return body


def usage(script: Script, produced: int) -> dict[str, Any]:
    """Return OpenAI's usage object after so many tokens were produced."""
    completion = produced + script.reasoning
    counted: dict[str, Any] = _template("chat_completion.json")["usage"]
    counted.update(
        prompt_tokens=script.prompt_tokens,
        completion_tokens=completion,
        total_tokens=script.prompt_tokens + completion,
    )
    counted["prompt_tokens_details"]["cached_tokens"] = script.cached
    counted["completion_tokens_details"]["reasoning_tokens"] = script.reasoning
    return counted


def answer(script: Script, path: str, body: bytes) -> Answer:
    """Return what the API at this path would answer to this request, bent as the script says."""
    if "/messages" in path or path.endswith(OTHERS) or path in chats.PATHS:
        other = _messages if "/messages" in path else _chats if path in chats.PATHS else _contents
        made = other(script, path, body)
        return made if script.body is None else msgspec.structs.replace(made, units=(script.body,))
    if script.status != 200:
        return Answer(script.status, "application/json", (script.body or _compact(error(script.status)),))
    if path.endswith("/models"):
        return Answer(200, "application/json", (_compact({"object": "list", "data": []}),))
    try:
        asked = json.loads(body)
    except ValueError:
        return Answer(400, "application/json", (_compact(error(400)),))
    if path.endswith("/embeddings"):
        made = Answer(200, "application/json", (_compact(_embeddings(script, asked)),))
    elif path.endswith("/responses/input_tokens"):
        counted = {"object": "response.input_tokens", "input_tokens": script.prompt_tokens}
        made = Answer(200, "application/json", (_compact(counted),))
    elif path.endswith("/responses"):
        made = _responses(script, asked)
    elif not path.partition("?")[0].endswith("/chat/completions"):
        return Answer(404, "application/json", (_compact(error(404)),))
    elif asked.get("stream"):
        made = Answer(200, "text/event-stream; charset=utf-8", _events(script, asked), streamed=True)
    else:
        made = Answer(200, "application/json", (_compact(_completion(script, asked)),))
    return made if script.body is None else msgspec.structs.replace(made, units=(script.body,))


def _chats(script: Script, path: str, body: bytes) -> Answer:
    if script.status != 200:
        return Answer(script.status, chats.JSON, (script.body or chats.error(script.status),))
    asked = json.loads(body)
    if asked.get("stream"):
        return Answer(200, chats.EVENTS, chats.events(script), streamed=True)
    return Answer(200, chats.JSON, (chats.whole(script, path, asked),))


def _messages(script: Script, path: str, body: bytes) -> Answer:
    if path.endswith("/count_tokens"):
        return Answer(200, messages.JSON, (_compact({"input_tokens": script.prompt_tokens}),))
    if script.status != 200:
        return Answer(script.status, messages.JSON, (messages.error(script.status),))
    asked = json.loads(body)
    if asked.get("stream"):
        return Answer(200, messages.EVENTS, messages.events(script, asked), streamed=True)
    return Answer(200, messages.JSON, (messages.message(script, asked),))


def _contents(script: Script, path: str, body: bytes) -> Answer:
    if script.status != 200:
        return Answer(script.status, contents.JSON, (contents.error(script.status),))
    asked = json.loads(body)
    if path.endswith(":countTokens"):
        return Answer(200, contents.JSON, (contents.count(script),))
    if path.endswith((":embedContent", ":batchEmbedContents")):
        return Answer(200, contents.JSON, (contents.embeddings(script, path, asked),))
    if path.endswith(":streamGenerateContent"):
        return Answer(200, contents.EVENTS, contents.events(script, path, asked), streamed=True)
    return Answer(200, contents.JSON, (contents.answer(script, path, asked),))


def _responses(script: Script, asked: dict[str, Any]) -> Answer:
    if asked.get("stream"):
        return Answer(200, "text/event-stream; charset=utf-8", responses.events(script, asked), streamed=True)
    return Answer(200, "application/json", (responses.whole(script, asked),))


def _completion(script: Script, asked: dict[str, Any]) -> dict[str, Any]:
    answers = asked.get("n") or 1
    made: dict[str, Any] = _template("chat_completion_tools.json" if script.tools else "chat_completion.json")
    made["model"] = f"{asked['model']}-2025-04-14"
    first = made["choices"][0]
    if not script.tools:
        first["message"]["content"] = script.text
    made["choices"] = [first | {"index": index} for index in range(answers)]
    if script.usage == "none":
        del made["usage"]
    else:
        made["usage"] = usage(script, len(script.pieces) * answers)
    return made | script.extra


def _embeddings(script: Script, asked: dict[str, Any]) -> dict[str, Any]:
    given = asked["input"]
    inputs = given if isinstance(given, list) and not (given and isinstance(given[0], int)) else [given]
    made: dict[str, Any] = _template("embeddings.json")
    made["model"] = asked["model"]
    made["data"] = []
    for index in range(len(inputs)):
        vector = [(index + 1) / 2**place for place in range(DIMENSIONS)]
        packed = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
        as_text = asked.get("encoding_format") == "base64"
        made["data"].append({"object": "embedding", "embedding": packed if as_text else vector, "index": index})
    if script.usage == "none":
        del made["usage"]
    else:
        made["usage"] = {"prompt_tokens": script.prompt_tokens, "total_tokens": script.prompt_tokens}
    return made | script.extra


def _events(script: Script, asked: dict[str, Any]) -> tuple[bytes, ...]:
    wanted = bool((asked.get("stream_options") or {}).get("include_usage"))
    events = [_event(script, chunk) for chunk in _chunks(script, asked, wanted=wanted)]
    if script.error_after is not None:
        events[script.error_after :] = [_event(script, error(500))]
    if script.done:
        events.append(_framed(script, b"[DONE]"))
    return tuple(events)


def _chunks(script: Script, asked: dict[str, Any], *, wanted: bool) -> list[dict[str, Any]]:
    answers = asked.get("n") or 1
    name = "chat_stream_tools.sse" if script.tools else "chat_stream.sse"
    golden = [json.loads(line[6:]) for line in _golden(name).splitlines() if line.startswith("data: {")]
    opening, closing = golden[0], golden[-1]
    head = {key: value for key, value in opening.items() if key != "choices"}
    head["model"] = f"{asked['model']}-2025-04-14"
    if script.tools:
        deltas = [chunk["choices"][0]["delta"] for chunk in golden[:-1]]
    else:
        deltas = [opening["choices"][0]["delta"], *({"content": piece} for piece in script.pieces)]
    shape = opening["choices"][0]
    made = [
        {"choices": [shape | {"index": index, "delta": delta}], "produced": max(place - 1, 0) * answers + index + 1}
        for place, delta in enumerate(deltas)
        for index in range(answers)
    ]
    total = len(script.pieces) * answers
    made += [{"choices": [closing["choices"][0] | {"index": index}], "produced": total} for index in range(answers)]
    chunks = [_counted(script, head | chunk, wanted=wanted) for chunk in made]
    if wanted and script.usage == "asked":
        chunks.append(head | {"choices": [], "usage": usage(script, total)} | script.extra)
    return chunks


def _counted(script: Script, chunk: dict[str, Any], *, wanted: bool) -> dict[str, Any]:
    produced = chunk.pop("produced")
    if script.usage == "every":
        chunk["usage"] = usage(script, produced)
    elif wanted and script.usage == "asked":
        chunk["usage"] = None
    return chunk | script.extra


def _event(script: Script, chunk: object) -> bytes:
    return _framed(script, _compact(chunk))


def _framed(script: Script, data: bytes) -> bytes:
    end = script.newline.encode()
    comment = b": ping" + end + end if script.comments else b""
    return comment + b"data: " + data + end + end
