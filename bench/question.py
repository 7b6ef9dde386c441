"""The request that every measurement sends, and what a whole answer to it is."""

from __future__ import annotations

import json

CHUNKS = 64
PACE = 0.02  # seconds
PATH = "/v1/chat/completions"

PROMPT = (
    "Our quarterly letter to customers needs a friendlier opening paragraph. Rewrite the following one in plain words, "
    "keep every fact, and do not promise anything that is not promised there: 'Pursuant to the provisions of the "
    "framework agreement, deliveries scheduled for the fourth quarter will be executed in accordance with the amended "
    "timetable communicated on the third of October.'"
)
PIECES = tuple(f"piece{number:02d} " for number in range(CHUNKS))

ANSWER = json.dumps(
    {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "bench-2025-04-14",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "As agreed, your fourth quarter deliveries follow the timetable we sent on 3 October.",
                    "refusal": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 82,
            "completion_tokens": 17,
            "total_tokens": 99,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "system_fingerprint": "fp_44709d6fcb",
    }
)


def body(model: str, *, stream: bool, pace: float = PACE) -> bytes:
    """Return the body of a chat request; `x_pace` tells the fake upstream the seconds between chunks."""
    asked: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": 256,
        "temperature": 0.2,
    }
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}, "x_pace": pace}
    return json.dumps(asked).encode()


def request(model: str, key: str, *, stream: bool, pace: float = PACE) -> bytes:
    """Return a whole HTTP request."""
    raw = body(model, stream=stream, pace=pace)
    return (
        b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer %b\r\n"
        b"content-length: %d\r\n\r\n" % (PATH.encode(), key.encode(), len(raw))
    ) + raw
