"""Azure OpenAI with tokens of Microsoft Entra ID: the cloud's own library against a managed identity's endpoint."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import Answer, ask
from tests.upstreams.scripted import Upstream

HI: Any = [{"role": "user", "content": "hi"}]
SECRET = "identity-header"
RESOURCE = "https://cognitiveservices.azure.com"


class Identity:
    """The endpoint of a managed identity (App Service REST protocol): hands out numbered tokens, or fails."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []
        self.life: int | None = 3600
        self._lock = threading.Lock()
        identity = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                resource = parse_qs(urlsplit(self.path).query)["resource"][0]
                status, body = identity.answer(self.headers.get("x-identity-header"), resource)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/token"

    def answer(self, header: str | None, resource: str) -> tuple[int, bytes]:
        with self._lock:
            self.asked.append((header, resource))
            if self.life is None:
                return 500, b'{"statusCode":500,"message":"no identity today"}'
            token = f"entra-{len(self.asked)}"
            ends = int(time.time()) + self.life
        return 200, json.dumps(
            {"access_token": token, "expires_on": str(ends), "resource": resource, "token_type": "Bearer"}
        ).encode()


@pytest.fixture
def identity() -> Iterator[Identity]:
    made = Identity()
    with made.server:
        thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield made
        made.server.shutdown()
        thread.join()


def declared(vendor: Upstream) -> dict[str, Any]:
    made = estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]})
    made["boundaries"]["vendor"] |= {"provider": "azure-openai", "credentials": "azure-default"}
    return made


def started(
    folder: Path, vendor: Upstream, identity: Identity, *options: str
) -> contextlib.AbstractContextManager[Exchange]:
    """An exchange on a machine that has this identity."""
    return exchange(
        folder,
        declared(vendor),
        *("--no-engine", *options),
        IDENTITY_ENDPOINT=identity.url,
        IDENTITY_HEADER=SECRET,
        AZURE_TOKEN_CREDENTIALS="managedidentitycredential",
        NO_PROXY="127.0.0.1",
    )


def until(running: Exchange, key: str, status: int, seconds: float = 20) -> Answer:
    """Ask until the answer has this status."""
    ends = time.monotonic() + seconds
    while True:
        got = ask(running.port, key, {"model": "chat", "messages": HI})
        if got.status == status:
            return got
        assert time.monotonic() < ends, (got.status, got.body)
        time.sleep(0.05)


def bearer(upstream: Upstream) -> str:
    return upstream.received[-1].header("authorization") or ""


def test_a_token_of_the_identity_is_sent_and_no_key(tmp_path: Path, vendor: Upstream, identity: Identity) -> None:
    with started(tmp_path, vendor, identity) as running:
        key = running.key("finance")
        until(running, key, 200)
        assert bearer(vendor) == "Bearer entra-1"
        assert vendor.received[-1].header("api-key") is None
        assert identity.asked == [(SECRET, RESOURCE)]
        for _ in range(5):
            assert ask(running.port, key, {"model": "chat", "messages": HI}).status == 200
        assert len(identity.asked) == 1
        _, metrics = running.get("/metrics", key)
        assert 'trunkline_credential_tokens_total{chain="azure-default",outcome="fetched"} 1.0' in metrics


def test_a_token_is_renewed_ahead_and_when_none_comes_calls_are_refused_with_the_reason(
    tmp_path: Path, vendor: Upstream, identity: Identity
) -> None:
    identity.life = 4
    with started(tmp_path, vendor, identity) as running:
        key = running.key("finance")
        until(running, key, 200)
        first = bearer(vendor)
        ends = time.monotonic() + 20
        while bearer(vendor) == first:
            assert ask(running.port, key, {"model": "chat", "messages": HI}).status == 200
            assert time.monotonic() < ends
            time.sleep(0.1)
        identity.life = None
        refused = until(running, key, 503)
        error = refused.json["error"]
        assert error["code"] == "no_deployment_configured"
        assert "azure-default: " in error["message"]
        assert "no identity today" not in error["message"]
        identity.life = 3600
        until(running, key, 200)


def test_each_of_two_workers_has_a_token_of_its_own(tmp_path: Path, vendor: Upstream, identity: Identity) -> None:
    with started(tmp_path, vendor, identity, "--workers", "2") as running:
        key = running.key("finance")
        seen: set[str] = set()
        ends = time.monotonic() + 30
        while len(seen) < 2:
            if ask(running.port, key, {"model": "chat", "messages": HI}).status == 200:
                seen.add(bearer(vendor))
            assert time.monotonic() < ends, seen
        assert seen == {"Bearer entra-1", "Bearer entra-2"}
        assert len(identity.asked) == 2
