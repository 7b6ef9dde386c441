"""A caller's side of the exchange, over plain HTTP: streamed chat answers and the list of models."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec

from trunkline.errors import TrunklineError

CONNECT_SECONDS = 5.0
BETWEEN_SECONDS = 300.0


class NotAnswered(TrunklineError):
    """The exchange refused the request, broke the answer off, or cannot be reached; the message says which."""


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)


class _Fault(msgspec.Struct):
    message: str = ""
    code: str | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    error: _Fault | None = None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] = []


class Answer:
    """A streamed answer. Iterating gives its text as it comes; leaving early stops the model."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.request = response.headers.get("x-trunkline-request-id", "")
        self.deployment = response.headers.get("x-trunkline-deployment", "")
        self.pattern = response.headers.get("x-trunkline-pattern", "")

    def __iter__(self) -> Iterator[str]:
        """Yield the text piece by piece.

        Raises:
            NotAnswered: the answer broke off.
        """
        ended = False
        # Read to the last byte, behind the end as well: hanging up before it would look like leaving.
        for data in self._events():
            if data == b"[DONE]":
                ended = True
                continue
            try:
                event = msgspec.json.decode(data, type=_Event)
            except msgspec.DecodeError as garbled:
                raise NotAnswered(f"the answer cannot be read: {garbled}") from None
            if event.error is not None:
                raise NotAnswered(f"the answer broke off: {event.error.message}")
            for choice in event.choices[:1]:
                if choice.delta.content:
                    yield choice.delta.content
        if not ended:
            raise NotAnswered("the answer broke off: the connection ended before its end")

    def _events(self) -> Iterator[bytes]:
        """The data of each event. The exchange writes one `data:` line per event, so far as OpenAI's dialect goes."""
        try:
            while line := self._response.readline():
                if line.startswith(b"data:"):
                    yield line[5:].strip()
        except (OSError, http.client.HTTPException) as broken:
            raise NotAnswered(f"the answer broke off: {broken}") from None


class Conversation:
    """Talks to one exchange with one key, remembering what was said."""

    def __init__(self, url: str, key: str, model: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.host = parts.hostname or "127.0.0.1"
        self.model = model
        self._parts = parts
        self._key = key
        self._messages: list[dict[str, str]] = []

    def clear(self) -> None:
        """Forget what was said."""
        self._messages.clear()

    @contextmanager
    def ask(self, text: str) -> Iterator[Answer]:
        """Send what the person says and give the answer.

        Raises:
            NotAnswered: the exchange refuses or cannot be reached.
        """
        body = {"model": self.model, "stream": True, "messages": [*self._messages, {"role": "user", "content": text}]}
        connection = self._connect()
        try:
            yield Answer(self._send(connection, "POST", "/v1/chat/completions", msgspec.json.encode(body)))
        finally:
            connection.close()

    def remember(self, text: str, answer: str) -> None:
        """Keep an exchange of words for the questions after it."""
        self._messages += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]

    def models(self) -> tuple[str, ...]:
        """Return what this key may name as a model.

        Raises:
            NotAnswered: the exchange refuses or cannot be reached.
        """
        connection = self._connect()
        try:
            listed = msgspec.json.decode(self._send(connection, "GET", "/v1/models", None).read(), type=_Models)
        finally:
            connection.close()
        return tuple(model.id for model in listed.data)

    def _connect(self) -> http.client.HTTPConnection:
        parts = self._parts
        if parts.scheme == "https":
            return http.client.HTTPSConnection(
                self.host, parts.port, timeout=CONNECT_SECONDS, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self.host, parts.port, timeout=CONNECT_SECONDS)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> http.client.HTTPResponse:
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        try:
            connection.connect()
            connection.sock.settimeout(BETWEEN_SECONDS)
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status == http.client.OK:
                return response
            refusal = response.read()
        except (OSError, http.client.HTTPException) as unreachable:
            raise NotAnswered(
                f"no exchange answers at {self.url} ({unreachable}): start one with `trunkline up`, or give --url"
            ) from None
        raise NotAnswered(_said(response.status, refusal))


def _said(status: int, body: bytes) -> str:
    """The message of a refusal in OpenAI's shape, or its status where it has none."""
    refusal: Any
    try:
        refusal = msgspec.json.decode(body, type=_Event)
    except msgspec.DecodeError:
        refusal = _Event()
    if refusal.error is None or not refusal.error.message:
        return f"refused with status {status}"
    return str(refusal.error.message)
