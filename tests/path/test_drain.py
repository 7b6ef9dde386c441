"""Told to stop, the exchange lets running calls finish, within a limit, and settles every one."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.path.exchange import Exchange, deployment, estate, start, stop
from tests.path.raw import HELLO, Answer, ask
from tests.path.steady import Steady
from tests.upstreams.script import HANG_MID_BODY, Script
from tests.upstreams.scripted import Upstream, in_thread

FORMS = [(), ("--workers", "2")]
forms = pytest.mark.parametrize("form", FORMS, ids=["one process", "two workers"])


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


class Call:
    """One streamed call in a thread of its own."""

    def __init__(self, running: Exchange, key: str) -> None:
        self.got: Answer | None = None
        self._thread = threading.Thread(target=self._ask, args=(running.port, key))
        self._thread.start()

    def _ask(self, port: int, key: str) -> None:
        try:
            self.got = ask(port, key, HELLO | {"stream": True, "user": "draining"})
        except (OSError, ValueError):
            self.got = None

    def end(self) -> Answer | None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.got


def begin(folder: Path, vendor: Upstream, *options: str) -> Exchange:
    return start(folder, estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]}), "--no-engine", *options)


def rows(running: Exchange) -> list[str]:
    return [row["status"] for row in running.rows("ledger", "tail", "--count", "1000")]


@forms
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_stream_comes_to_its_end(
    tmp_path: Path, vendor: Upstream, form: tuple[str, ...], number: signal.Signals
) -> None:
    vendor.default = Script(pace=0.2)
    running = begin(tmp_path, vendor, *form)
    try:
        call = Call(running, running.key("finance"))
        assert vendor.wait_for(1)
        running.process.send_signal(number)
        got = call.end()
        assert running.process.wait(20) == 0
    finally:
        stop(running)
    assert got is not None
    assert (got.whole, got.text, got.data[-1]) == (True, Script().text, "[DONE]")
    assert rows(running) == ["ok"]


@forms
def test_a_stream_beyond_the_limit_is_cut_honestly_and_settled(
    tmp_path: Path, vendor: Upstream, form: tuple[str, ...]
) -> None:
    vendor.default = HANG_MID_BODY
    running = begin(tmp_path, vendor, "--grace", "0.5", *form)
    try:
        call = Call(running, running.key("finance"))
        assert vendor.wait_for(1)
        running.process.terminate()
        got = call.end()
        assert running.process.wait(20) == 0
    finally:
        stop(running)
    assert got is None or not got.whole or got.error
    assert rows(running) == ["left"]


@forms
def test_a_second_signal_ends_it_at_once(tmp_path: Path, vendor: Upstream, form: tuple[str, ...]) -> None:
    vendor.default = Script(hang="body")
    running = begin(tmp_path, vendor, "--grace", "600", *form)
    try:
        call = Call(running, running.key("finance"))
        assert vendor.wait_for(1)
        running.process.terminate()
        refused(running.port)
        running.process.terminate()
        got = call.end()
        assert running.process.wait(15) == 0
    finally:
        stop(running)
    assert got is None or not got.whole or got.error
    assert rows(running) == ["left"]


def refused(port: int) -> None:
    """Wait until nobody listens any more."""
    for _ in range(100_000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionResetError:
            continue
        except ConnectionRefusedError:
            return
    raise AssertionError("it still listens")


@forms
def test_nobody_is_refused_in_a_restart_behind_an_inherited_socket(
    tmp_path: Path, vendor: Upstream, form: tuple[str, ...]
) -> None:
    first = begin(tmp_path, vendor, *form)
    key = first.key("finance")
    stop(first)
    hand_over = (
        'import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ["LISTEN_PID"] = str(os.getpid()); '
        "os.execv(sys.executable, sys.argv[2:])"
    )
    up = [sys.executable, "-m", "trunkline", "up", "--data", str(first.folder), "--no-engine", *form]
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        port = listener.getsockname()[1]

        def again() -> subprocess.Popen[bytes]:
            number = listener.fileno()
            environment = first.environment | {"LISTEN_FDS": "1"}
            with (tmp_path / "up.log").open("ab") as log:
                return subprocess.Popen(
                    [sys.executable, "-c", hand_over, str(number), *up],
                    env=environment,
                    pass_fds=(number,),
                    stdout=log,
                    stderr=log,
                )

        process = again()
        try:
            with Steady(port, key, 4) as steady:
                for _ in range(3):
                    steady.reach(50)
                    before, process = process, again()
                    before.terminate()
                    assert before.wait(20) == 0
                steady.reach(50)
        finally:
            process.terminate()
            process.wait(20)
    assert steady.failed == []
