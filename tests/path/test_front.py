"""What the product shows on its socket: HTTPS, OPTIONS, and the web pages that may call."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import openai
import pytest
from tests.path.exchange import SOURCE, Exchange, deployment, estate, exchange, write
from tests.upstreams.scripted import Upstream

TLS = Path(__file__).parents[1] / "wire" / "tls"
PAGE = "https://chat.example"
OTHER = "http://localhost:5173"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-stainless-lang"}
EXPOSED = {"x-trunkline-request-id", "x-trunkline-deployment", "x-trunkline-cost", "retry-after"}


def trusted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(TLS / "ca.pem")
    return context


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    """An exchange that serves HTTPS, to web pages of two origins."""
    declared = estate({"gpt": deployment(vendor_of_module.url)}, {"chat": [["gpt"]]})
    with exchange(
        tmp_path_factory.mktemp("secured"),
        declared,
        tls=trusted(),
        TRUNKLINE_TLS_CERT=str(TLS / "server.pem"),
        TRUNKLINE_TLS_KEY=str(TLS / "server.key"),
        TRUNKLINE_CORS_ORIGIN=f"{PAGE} {OTHER}",
    ) as running:
        yield running


def ask(running: Exchange, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
    connection: http.client.HTTPConnection
    if running.tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", running.port, timeout=30, context=running.tls)
    try:
        connection.request(method, path, headers=dict(headers))
        with connection.getresponse() as answer:
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_official_sdk_talks_https_whole_and_streamed(secured: Exchange) -> None:
    key = secured.key("finance")
    with openai.OpenAI(
        api_key=key, base_url=secured.url, max_retries=0, http_client=openai.DefaultHttpxClient(verify=trusted())
    ) as client:
        answer = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
        assert answer.choices[0].message.content
        pieces = list(
            client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}], stream=True)
        )
        assert pieces[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("origin", [PAGE, OTHER])
def test_a_page_that_is_let_in_may_ask_and_read(secured: Exchange, origin: str) -> None:
    status, headers, body = ask(secured, "OPTIONS", "/v1/chat/completions", {"Origin": origin, **ASKED})
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert headers["access-control-allow-headers"] == ASKED["Access-Control-Request-Headers"]
    assert headers["vary"] == "origin"
    for path, answer in (("/healthz", 200), ("/v1/models", 401), ("/nowhere", 404), ("/v1/chat/completions", 405)):
        status, headers, _ = ask(secured, "GET", path, {"Origin": origin})
        assert (status, headers["access-control-allow-origin"]) == (answer, origin)
        assert set(headers["access-control-expose-headers"].split(", ")) >= EXPOSED
        assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://chat.example.evil.example", "http://chat.example", "null", PAGE + "/"]
)
def test_a_page_that_is_not_let_in_gets_no_word_that_a_browser_would_take(secured: Exchange, origin: str) -> None:
    for method, path in (("OPTIONS", "/v1/chat/completions"), ("GET", "/healthz")):
        _, headers, _ = ask(secured, method, path, {"Origin": origin, **ASKED})
        assert not [name for name in headers if name.startswith("access-control-")]
        assert headers["vary"] == "origin"


@pytest.mark.parametrize("names", ["a\tb", "x, ", "a;b", "<script>", "a:b"])
def test_header_names_that_are_none_are_not_repeated_to_the_page(secured: Exchange, names: str) -> None:
    asked = ASKED | {"Access-Control-Request-Headers": names}
    _, headers, _ = ask(secured, "OPTIONS", "/v1/models", {"Origin": PAGE, **asked})
    assert "access-control-allow-headers" not in headers


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/chat/completions", "POST, OPTIONS"),
        ("/v1/models", "GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("*", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/v1/responses/resp_1", "GET, HEAD, DELETE, OPTIONS"),
    ],
)
def test_options_says_what_a_path_takes_and_no_page_is_let_in_unless_declared(
    running: Exchange, path: str, allow: str
) -> None:
    status, headers, _ = ask(running, "OPTIONS", path, {"Origin": PAGE, **ASKED})
    assert (status, headers["allow"]) == (204, allow)
    assert not [name for name in headers if name.startswith("access-control-")]


def test_a_method_that_a_path_does_not_take_is_told_which_it_does(running: Exchange) -> None:
    assert ask(running, "GET", "/v1/chat/completions", {})[1]["allow"] == "POST, OPTIONS"
    assert ask(running, "DELETE", "/v1/models", {})[1]["allow"] == "GET, HEAD, OPTIONS"
    assert ask(running, "OPTIONS", "/nowhere", {})[0] == 404


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tls-cert", str(TLS / "server.pem")], "both --tls-cert and --tls-key"),
        (["--tls-cert", str(TLS / "server.pem"), "--tls-key", str(TLS / "other.key")], "the certificate's own"),
        (["--tls-client-ca", str(TLS / "ca.pem")], "beside --tls-client-ca"),
        (["--tls-client-optional"], "give --tls-client-ca, too"),
        (["--body-limit", "1GB"], "raise --bytes-in-flight or lower --body-limit"),
        (["--cors-origin", "https://chat.example/"], "is no origin"),
        (["--cors-origin", "chat.example"], "is no origin"),
    ],
)
def test_a_start_with_what_cannot_be_says_why(tmp_path: Path, options: list[str], message: str) -> None:
    declared = write(tmp_path, estate({"gpt": deployment("http://127.0.0.1:1/v1")}, {"chat": [["gpt"]]}))
    command = [sys.executable, "-m", "trunkline", "up", "--no-engine", "--data", str(tmp_path / "data"), "--port", "0"]
    command += ["--estate", str(declared), *options]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert message in " ".join((done.stdout + done.stderr).split())
