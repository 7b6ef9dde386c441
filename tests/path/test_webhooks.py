"""What happens to budgets is told to webhooks: once, signed, as soon as the receiver is there, beside all calls."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange, free_port
from tests.path.raw import ask
from tests.path.test_budgets import ANSWER, HELLO
from tests.postgres.sharing import Shared
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

KEY = b"a key of twenty-four byte"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
WITHIN = 20.0


class Receiver:
    """A webhook's other end, as any HTTP server; answers with `status` and keeps what it took."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 204
        self.headers: dict[str, str] = {}
        self.taken: list[dict[str, Any]] = []
        self.tried: list[str] = []
        self.paths: list[str] = []
        self._news = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver._hear(self.path, dict(self.headers.items()), body)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _hear(self, path: str, headers: dict[str, str], body: bytes) -> None:
        told = {name.lower(): value for name, value in headers.items()}
        signed = f"{told['webhook-id']}.{told['webhook-timestamp']}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert hmac.compare_digest(told["webhook-signature"], expected)
        assert abs(time.time() - int(told["webhook-timestamp"])) < 300
        with self._news:
            self.paths.append(path)
            self.tried.append(told["webhook-id"])
            if self.status < 300:
                self.taken.append(json.loads(body) | {"id": told["webhook-id"]})
            self._news.notify_all()

    def wait(self, holds: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(holds, WITHIN), (self.taken, self.tried)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@contextmanager
def receiving(port: int) -> Iterator[Receiver]:
    receiver = Receiver(port)
    try:
        yield receiver
    finally:
        receiver.close()


def declared(vendor: Upstream, **webhook: Any) -> dict[str, Any]:
    budgets = [
        {"on": {"unit": "acme"}, "per": "month", "amount": 0.001, "warn_at": [0.1, 0.3, 0.9]},
        {"on": {"unit": "finance"}, "per": "day", "amount": 1, "hard": True, "warn_at": [0.0002]},
    ]
    hook = {"url": "env:HOOK_URL", "secret": "env:HOOK_SECRET"} | webhook
    return estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]}, budgets=budgets, webhooks={"money": hook})


@contextmanager
def telling(folder: Path, made: dict[str, Any], port: int, *options: str, **more: str) -> Iterator[Exchange]:
    url = f"http://127.0.0.1:{port}/in?token=hidden-token"
    with exchange(folder, made, "--no-engine", *options, HOOK_URL=url, HOOK_SECRET=SECRET, **more) as running:  # type: ignore[arg-type]
        yield running


def spend(running: Exchange, key: str, calls: int) -> None:
    for _ in range(calls):
        assert ask(running.port, key, HELLO).status == 200


def value(running: Exchange, outcome: str) -> float:
    sample = f'trunkline_webhook_messages_total{{outcome="{outcome}",webhook="money"}} '
    lines = running.get("/metrics")[1].splitlines()
    other = f'trunkline_webhook_messages_total{{webhook="money",outcome="{outcome}"}} '
    return sum(float(line.split()[-1]) for line in lines if line.startswith((sample, other)))


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_each_threshold_is_told_once_by_two_workers_though_the_receiver_was_down_before(
    vendor: Upstream, tmp_path: Path
) -> None:
    vendor.default = ANSWER
    port = free_port()
    with telling(tmp_path, declared(vendor), port, "--workers", "2") as running:
        spend(running, running.key("finance"), 2)  # Nobody waits for the receiver.
        until(lambda: value(running, "failed") >= 3)
        with receiving(port) as receiver:
            receiver.status = 503
            receiver.wait(lambda: len(set(receiver.tried)) == 3)
            receiver.status = 204
            receiver.wait(lambda: len(receiver.taken) == 3)
            until(lambda: value(running, "taken") == 3)
            spend(running, running.key("marketing"), 4)
            receiver.wait(lambda: len(receiver.taken) == 4)
            until(lambda: value(running, "taken") == 4)
            assert max(Counter(one["id"] for one in receiver.taken).values()) == 1
            assert set(receiver.paths) == {"/in?token=hidden-token"}
    told = {(one["data"]["budget"], one["data"]["threshold"]): one for one in receiver.taken}
    assert sorted(told) == [
        ("unit:acme/month/EUR", "0.0001"),
        ("unit:acme/month/EUR", "0.0003"),
        ("unit:acme/month/EUR", "0.0009"),
        ("unit:finance/day/EUR", "0.0002"),
    ]
    first = told["unit:finance/day/EUR", "0.0002"]
    assert first["type"] == "budget.threshold"
    assert first["data"]["on"] == {"unit": "finance"}
    assert (first["data"]["limit"], first["data"]["hard"], first["data"]["ask"]) == ("1", True, "acme")
    assert 'The budget of unit "finance" has passed 0.0002 EUR' in first["data"]["message"]
    log = (tmp_path / "up.log").read_text()
    assert "a webhook did not take a message" in log
    for secret in (SECRET, KEY.decode(), "hidden-token"):
        assert secret not in log


def test_several_exchanges_tell_each_event_once_and_a_redirect_leads_nowhere(
    vendor: Upstream, tmp_path: Path, postgres: Shared
) -> None:
    vendor.default = ANSWER
    with receiving(free_port()) as elsewhere, receiving(free_port()) as receiver, ExitStack() as stack:
        url = stack.enter_context(postgres.database())
        receiver.status, receiver.headers = 302, {"location": f"http://127.0.0.1:{elsewhere.port}/"}
        both = [
            stack.enter_context(telling(tmp_path / name, declared(vendor), receiver.port, TRUNKLINE_STORE=url))
            for name in ("one", "two")
        ]
        for running in both:
            spend(running, running.key("marketing"), 1)
        receiver.wait(lambda: len(set(receiver.tried)) == 2)
        receiver.status, receiver.headers = 200, {}
        receiver.wait(lambda: len(receiver.taken) == 2)
        until(lambda: sum(value(running, "taken") for running in both) == 2)
        assert elsewhere.tried == []
        assert {one["data"]["threshold"] for one in receiver.taken} == {"0.0001", "0.0003"}


def test_an_overrun_is_told_even_where_only_it_is_asked_for(vendor: Upstream, tmp_path: Path) -> None:
    vendor.default = Script(pieces=("The ",) * 900)
    with receiving(free_port()) as receiver:
        made = declared(vendor, events=["budget.overrun"], units=["finance"])
        with telling(tmp_path, made, receiver.port) as running:
            spend(running, running.key("marketing"), 1)
            spend(running, running.key("finance"), 3)
            receiver.wait(lambda: len(receiver.taken) == 1)
    (told,) = receiver.taken
    assert told["type"] == "budget.overrun"
    assert (told["data"]["deployment"], told["data"]["unit"]) == ("gpt", "finance")
    assert float(told["data"]["cost"]) > float(told["data"]["held"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_receiver_that_hangs_holds_up_neither_calls_nor_the_end(
    vendor: Upstream, tmp_path: Path, workers: str
) -> None:
    vendor.default = ANSWER
    hung = threading.Event()
    with receiving(free_port()) as receiver:
        hear = receiver._hear

        def hang(*what: Any) -> None:
            hear(*what)
            hung.wait(WITHIN)

        receiver._hear = hang  # type: ignore[method-assign, assignment]
        made = declared(vendor)
        with telling(tmp_path, made, receiver.port, "--workers", workers) as running:
            key = running.key("finance")
            spend(running, key, 2)
            receiver.wait(lambda: bool(receiver.tried))
            spend(running, key, 2)
            running.process.terminate()
            assert running.process.wait(15) == 0
        hung.set()
