"""Calls at once over three exchanges on one Postgres: an upstream never carries more of them, whoever is killed."""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, start, stop
from tests.path.raw import HELLO, Answer, ask
from tests.postgres.sharing import Shared
from tests.upstreams.script import Script
from tests.upstreams.scripted import Received, Upstream

LIMIT = 6
EXCHANGES = 3
CALLERS = 8
LASTS = 10.0
"""Seconds after which slots of the dead have lapsed."""


class Busy:
    """How many requests an upstream carries at once."""

    def __init__(self, vendor: Upstream) -> None:
        self._script = Script(delay=0.05)
        self._open: set[int] = set()
        self.most = 0
        vendor.choose = self._begin
        vendor.on_over = self._end

    def _begin(self, received: Received) -> Script:
        self._open.add(received.number)
        self.most = max(self.most, len(self._open))
        return self._script

    def _end(self, received: Received) -> None:
        self._open.discard(received.number)


class Load:
    """Callers at an exchange that ask without a pause until told to end, or until it is gone."""

    def __init__(self, running: Exchange, key: str, callers: int = CALLERS) -> None:
        self.answers: list[Answer] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(running.port, key)) for _ in range(callers)]
        for thread in self._threads:
            thread.start()

    def _call(self, port: int, key: str) -> None:
        with suppress(OSError, HTTPException):
            while not self._end.is_set():
                answer = ask(port, key, HELLO)
                self.answers.append(answer)
                if answer.status != 200:
                    self._end.wait(0.1)

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(30)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_never_are_more_calls_under_way_than_the_limit_and_the_slots_of_the_dead_come_back(
    vendor: Upstream, tmp_path: Path, postgres: Shared, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same kills for the same seed
    limits = [{"on": {"unit": "acme"}, "concurrency": LIMIT}]
    made: dict[str, Any] = estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]}, limits=limits)
    with ExitStack() as stack:
        url = stack.enter_context(postgres.database())
        running = []
        for number in range(EXCHANGES):
            workers = ("--no-engine", "--workers", "2") if number == 0 else ("--no-engine",)
            one = start(tmp_path / str(number), made, *workers, TRUNKLINE_STORE=url)
            stack.callback(stop, one)
            running.append(one)
        key = running[0].key("marketing")
        busy = Busy(vendor)
        loads = [Load(one, key) for one in running]
        assert vendor.wait_for(100, 30)
        dead = chance.choice(running[1:])
        dead.kill()
        assert vendor.wait_for(len(vendor.received) + 100, 30)
        for load in loads:
            load.end()
        said = {(one.status, one.json["error"]["code"]) for load in loads for one in load.answers if one.status != 200}
        assert said <= {(429, "rate_limit_exceeded")}
        assert busy.most <= LIMIT
        killed_at = time.monotonic()
        alone = next(one for one in running[1:] if one is not dead)
        last = Load(alone, key)
        before, busy.most = len(vendor.received), 0
        while busy.most < LIMIT:
            assert time.monotonic() - killed_at < 3 * LASTS, (busy.most, len(vendor.received) - before)
            time.sleep(0.1)
        last.end()
        assert busy.most == LIMIT
