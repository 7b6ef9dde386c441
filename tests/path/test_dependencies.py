"""What an exchange stands on goes away and comes back: a provider, its name. What callers see, and what readiness says.

The store has `test_store_away`, engines have `test_engines`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange, free_port
from tests.path.raw import HELLO, Answer, ask
from tests.path.steady import Steady
from tests.upstreams.scripted import Upstream, in_thread

BACK_WITHIN = 30.0
"""Seconds until a deployment gets calls again: it is probed within fifteen; a busy machine is given more."""
TOLERANCE = {"failures": 3, "wait": 1}


class Provider:
    """A provider that can be switched off: nobody listens at its port any more."""

    def __init__(self) -> None:
        self.port = free_port()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def on(self) -> None:
        ready, self._over = threading.Event(), threading.Event()
        over = self._over

        async def serve() -> None:
            async with Upstream(port=self.port):
                ready.set()
                await asyncio.to_thread(over.wait)

        self._thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def off(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(10)


@contextmanager
def provider() -> Iterator[Provider]:
    one = Provider()
    one.on()
    try:
        yield one
    finally:
        one.off()


def refusals(running: Exchange) -> list[dict[str, object]]:
    """What the log has of refused calls."""
    lines = (running.folder.parent / "up.log").read_text().splitlines()
    return [found for line in lines if line.startswith("{") and (found := json.loads(line))["message"] == "refused"]


def until_answered(running: Exchange, key: str, model: str, by: str) -> None:
    until = time.monotonic() + BACK_WITHIN
    while True:
        got = ask(running.port, key, HELLO | {"model": model})
        if got.status == 200 and got.headers["x-trunkline-deployment"] == by:
            return
        assert time.monotonic() < until, (got.status, got.body)


def told_of(running: Exchange, got: Answer, deployment: str) -> None:
    """Hold a refusal: it names the deployment, outside as in the log, and both have the same request id."""
    assert got.status in {502, 504}
    assert got.error is not None
    assert deployment in got.error["message"]
    assert "127.0.0.1" not in got.error["message"]
    logged = {str(line["request_id"]): line for line in refusals(running)}
    assert deployment in str(logged[got.headers["x-trunkline-request-id"]]["inside"])


@pytest.mark.timeout(180)
def test_a_provider_that_is_gone_costs_nobody_an_answer_who_has_another_and_is_used_again_once_it_is_back(
    tmp_path: Path,
) -> None:
    with provider() as gone, in_thread() as other:
        members = {"gone": deployment(gone.url, tolerance=TOLERANCE), "other": deployment(other.url)}
        made = estate(members, {"chat": [["gone"], ["other"]], "alone": [["gone"]]})
        with exchange(tmp_path, made, "--no-engine", "--workers", "2") as running:
            key = running.key("finance")
            until_answered(running, key, "chat", "gone")
            with Steady(running.port, key, 2) as chats, Steady(running.port, key, 1, stream=True) as streams:
                chats.reach(10)
                gone.off()
                # What was under way when it went may have begun; nothing that begins after it fails.
                chats.reach(5)
                failed = len(streams.failed)
                chats.reach(60)
            assert chats.failed == []
            assert len(streams.failed) == failed <= 1
            told_of(running, ask(running.port, key, HELLO | {"model": "alone"}), "gone")
            assert running.get("/readyz")[0] == 200
            assert 'trunkline_upstream_out{deployment="gone"' in running.get("/metrics")[1]
            gone.on()
            until_answered(running, key, "chat", "gone")
            until_answered(running, key, "alone", "gone")


@pytest.mark.timeout(120)
def test_a_name_that_leads_nowhere_is_passed_over_and_what_it_names_is_used_once_the_estate_says_where(
    tmp_path: Path, vendor: Upstream
) -> None:
    def declared(url: str) -> dict[str, object]:
        members = {"lost": deployment(url, tolerance=TOLERANCE), "other": deployment(vendor.url)}
        return estate(members, {"chat": [["lost"], ["other"]], "alone": [["lost"]]})

    with exchange(tmp_path, declared("http://no-such-host.invalid/v1")) as running:
        key = running.key("finance")
        for stream in (False, True):
            got = ask(running.port, key, HELLO | {"stream": stream})
            assert (got.status, got.headers["x-trunkline-deployment"], got.error) == (200, "other", None)
        got = ask(running.port, key, HELLO | {"model": "alone"})
        told_of(running, got, "lost")
        assert "no-such-host" not in json.dumps(got.error)
        assert running.get("/readyz")[0] == 200
        (tmp_path / "estate.yaml").write_text(json.dumps(declared(vendor.url)))
        until_answered(running, key, "alone", "lost")
