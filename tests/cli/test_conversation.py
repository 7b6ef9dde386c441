from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from trunkline.cli.conversation import Conversation, NotAnswered


class Scripted(ThreadingHTTPServer):
    """Answers every request with the same status and bytes, and keeps what it was asked."""

    daemon_threads = True
    status = 200
    answer: bytes = b""
    asked: ClassVar[list[tuple[str, str, dict[str, object]]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, self.headers["authorization"], body))
        self._reply()

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["authorization"], {}))
        self._reply()

    def _reply(self) -> None:
        self.send_response(self.server.status)
        self.send_header("x-trunkline-request-id", "req_1")
        self.send_header("x-trunkline-deployment", "smol")
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def exchange() -> Iterator[Scripted]:
    with Scripted(("127.0.0.1", 0), Handler) as server:
        server.asked = []  # type: ignore[misc]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def conversation(exchange: Scripted) -> Conversation:
    return Conversation(f"http://127.0.0.1:{exchange.server_port}/v1", "tl-key", "general-chat")


def stream(*pieces: str) -> bytes:
    events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def test_an_answer_comes_in_pieces_with_its_request_id(conversation: Conversation, exchange: Scripted) -> None:
    exchange.answer = b": hello\n\n" + stream("Hel", "lo") + b'data: {"choices": []}\n\ndata: [DONE]\n\n'
    with conversation.ask("Hi") as answer:
        assert list(answer) == ["Hel", "lo"]
        assert answer.request == "req_1"
        assert answer.deployment == "smol"
    path, key, body = exchange.asked[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer tl-key")
    assert body == {"model": "general-chat", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}


def test_what_was_said_is_sent_along_until_it_is_cleared(conversation: Conversation, exchange: Scripted) -> None:
    exchange.answer = b"data: [DONE]\n\n"
    conversation.remember("Hi", "Hello")
    with conversation.ask("And?") as answer:
        list(answer)
    assert [message["content"] for message in exchange.asked[0][2]["messages"]] == ["Hi", "Hello", "And?"]  # type: ignore[attr-defined]
    conversation.clear()
    with conversation.ask("Anew") as answer:
        list(answer)
    assert len(exchange.asked[1][2]["messages"]) == 1  # type: ignore[arg-type]


def test_a_refusal_is_said_in_its_own_words(conversation: Conversation, exchange: Scripted) -> None:
    exchange.status = 401
    exchange.answer = b'{"error": {"message": "no valid key", "code": "invalid_api_key"}}'
    with pytest.raises(NotAnswered, match="no valid key"), conversation.ask("Hi"):
        pass


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"error": "x"}'])
def test_a_refusal_without_words_says_its_status(conversation: Conversation, exchange: Scripted, body: bytes) -> None:
    exchange.status = 503
    exchange.answer = body
    with pytest.raises(NotAnswered, match="status 503"), conversation.ask("Hi"):
        pass


def test_a_stream_that_ends_without_its_end_is_no_whole_answer(conversation: Conversation, exchange: Scripted) -> None:
    exchange.answer = stream("Hel")
    with conversation.ask("Hi") as answer:
        pieces = iter(answer)
        assert next(pieces) == "Hel"
        with pytest.raises(NotAnswered, match="broke off"):
            next(pieces)


def test_an_error_event_is_said(conversation: Conversation, exchange: Scripted) -> None:
    exchange.answer = stream("Hel") + b'data: {"error": {"message": "upstream gone"}}\n\ndata: [DONE]\n\n'
    with pytest.raises(NotAnswered, match="upstream gone"), conversation.ask("Hi") as answer:
        list(answer)


def test_models_are_listed_by_name(conversation: Conversation, exchange: Scripted) -> None:
    exchange.answer = b'{"object": "list", "data": [{"id": "general-chat"}, {"id": "search-vectors"}]}'
    assert conversation.models() == ("general-chat", "search-vectors")


def test_an_exchange_that_is_not_there_is_said_with_what_to_do(exchange: Scripted) -> None:
    nobody = Conversation("http://127.0.0.1:1", "tl-key", "general-chat")
    with pytest.raises(NotAnswered, match="trunkline up"):
        nobody.models()


def test_an_answer_is_read_to_its_last_byte_so_that_it_does_not_look_like_leaving(
    conversation: Conversation, exchange: Scripted
) -> None:
    exchange.answer = stream("Hi") + b"data: [DONE]\n\n"
    with conversation.ask("Hi") as answer:
        assert list(answer) == ["Hi"]
        assert answer._response.isclosed()


def test_garbage_in_a_stream_is_said(conversation: Conversation, exchange: Scripted) -> None:
    exchange.answer = b"data: {oops\n\n"
    with pytest.raises(NotAnswered, match="cannot be read"), conversation.ask("Hi") as answer:
        list(answer)
