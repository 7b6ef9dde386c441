"""A failover set of three under load, one killed and one hung: callers notice nothing, and all come back."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.path.exchange import deployment, estate, exchange
from tests.path.raw import HELLO, ask
from tests.path.steady import Steady
from tests.upstreams import script as scripts
from tests.upstreams.scripted import in_thread

TIMES = {"connect": 1, "first_byte": 1, "between": 1, "total": 10}


@pytest.mark.timeout(240)
def test_one_killed_and_one_hung_cost_no_caller_an_error_and_few_calls_and_all_return(tmp_path: Path) -> None:
    with ExitStack() as stack:
        upstreams = {name: stack.enter_context(in_thread()) for name in ("killed", "hung", "sound")}
        tolerance = {"failures": 3, "wait": 2}
        members = {name: deployment(one.url, timeouts=TIMES, tolerance=tolerance) for name, one in upstreams.items()}
        made = estate(members, {"chat": [["killed"], ["hung"], ["sound"]]})
        running = stack.enter_context(exchange(tmp_path, made, "--no-engine", "--workers", "2"))
        key = running.key("finance")
        with Steady(running.port, key, 4) as plain, Steady(running.port, key, 2, stream=True) as streams:
            plain.reach(50)
            assert not upstreams["hung"].received
            upstreams["killed"].default = scripts.RESET
            upstreams["hung"].default = scripts.HANG_BEFORE_HEAD
            upstreams["killed"].received.clear()
            began = time.monotonic()
            plain.reach(600, 60)
            seconds = time.monotonic() - began
            calls = len(upstreams["sound"].received)
            asked = {name: len(upstreams[name].received) for name in ("killed", "hung")}
            for name in ("killed", "hung"):
                upstreams[name].default = scripts.NORMAL
        assert plain.failed == []
        assert streams.failed == []
        # Each of two workers and six callers may meet it before the breaker opens; then a probe now and then.
        most = 2 * 3 + 6 + 2 * (seconds / 0.8 + 1)
        assert asked["killed"] <= most, (asked, calls, seconds)
        assert asked["hung"] <= most, (asked, calls, seconds)
        until = time.monotonic() + 40
        while True:
            back = Counter(ask(running.port, key, HELLO).headers["x-trunkline-deployment"] for _ in range(20))
            if back["killed"] == 20:
                break
            assert time.monotonic() < until, back
        upstreams["killed"].default = scripts.SERVER_ERROR
        until = time.monotonic() + 40
        while ask(running.port, key, HELLO).headers["x-trunkline-deployment"] != "hung":
            # It is probed 15 seconds after its last failure at the latest, by a call that the first one failed.
            assert time.monotonic() < until, "the hung one does not come back"
        text = running.get("/metrics")[1]
        for name in ("killed", "hung"):
            for event in ("opened", "closed"):
                counted = rf'trunkline_upstream_events_total\{{deployment="{name}",event="{event}"\}} [1-9]'
                assert re.search(counted, text), (name, event)
