"""A client without opinions: what stands on the wire, byte for byte, and whether the framing says it is whole."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HELLO: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Answer:
    """An answer. `whole` is false when the connection ended before the framing said so."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of each event, in order."""
        lines = self.body.decode().replace("\r\n", "\n").split("\n")
        return [line[5:].lstrip(" ") for line in lines if line.startswith("data:")]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The events that are JSON, parsed."""
        return [json.loads(data) for data in self.data if data != "[DONE]"]

    @property
    def text(self) -> str:
        """The text of a stream's first choice, put together."""
        choices = (choice for chunk in self.chunks for choice in chunk.get("choices", ()) if choice["index"] == 0)
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def error(self) -> dict[str, Any] | None:
        """The error object, of a refusal's body or of the last event that holds one."""
        found = self.chunks if self.headers.get("content-type", "").startswith("text/event-stream") else [self.json]
        return next((one["error"] for one in reversed(found) if "error" in one), None)


def ask(
    port: int,
    key: str | None,
    body: object,
    path: str = "/v1/chat/completions",
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> Answer:
    """Send one request on a connection of its own. `body` is sent as it is when it is bytes, else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", **(headers or {})}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, raw, sent)
        with connection.getresponse() as answer:  # Closed here, or a cut one keeps its socket until it is collected.
            found = {name.lower(): value for name, value in answer.getheaders()}
            try:
                return Answer(answer.status, found, answer.read(), whole=True)
            except http.client.IncompleteRead as cut:
                return Answer(answer.status, found, cut.partial, whole=False)
    finally:
        connection.close()
