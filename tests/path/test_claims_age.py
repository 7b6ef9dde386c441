"""Claims of a running exchange: they expire by themselves, and what is verified anew is in force within seconds."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.path.exchange import ADMIN_KEY, Exchange, deployment, estate, exchange, start, stop, write
from tests.path.raw import HELLO, Answer, ask
from tests.upstreams.scripted import Upstream


def claim(expires: datetime) -> dict[str, Any]:
    return {
        "training_use": {
            "value": "never",
            "basis": "contract",
            "verified_at": "2020-01-01",
            "expires": expires.isoformat(),
            "evidence": {"title": "Service terms"},
        }
    }


def declared(vendor: Upstream, spare: Upstream, expires: datetime) -> dict[str, Any]:
    return estate(
        {"short": deployment(vendor.url, controls=claim(expires)), "long": deployment(spare.url)},
        {"chat": [["short"]], "both": [["short"], ["long"]]},
    )


def until(running: Exchange, what: Callable[[Answer], bool], model: str = "chat", within: float = 30.0) -> Answer:
    """Ask until the answer is as wanted; the last answer."""
    end = time.monotonic() + within
    while not what(got := ask(running.port, ADMIN_KEY, HELLO | {"model": model})):
        assert time.monotonic() < end, got
        time.sleep(0.02)
    return got


def gauge(running: Exchange, name: str) -> float | None:
    wanted = f'trunkline_claim_expires_in_seconds{{control="training_use",deployment="{name}"}} '
    found = [line for line in running.get("/metrics")[1].splitlines() if line.startswith(wanted)]
    return float(found[0].removeprefix(wanted)) if found else None


def test_a_claim_expires_while_the_exchange_runs_and_is_verified_anew(
    tmp_path: Path, vendor: Upstream, spare: Upstream
) -> None:
    with exchange(tmp_path, declared(vendor, spare, datetime.now(UTC) + timedelta(hours=1))) as running:
        assert ask(running.port, ADMIN_KEY, HELLO).status == 200
        left = gauge(running, "short")
        assert left is not None
        assert 0 < left <= 3_600
        expires = datetime.now(UTC) + timedelta(seconds=4)
        write(tmp_path, declared(vendor, spare, expires))

        refused = until(running, lambda got: got.status == 403)
        assert datetime.now(UTC) >= expires
        assert refused.error is not None
        assert "training_use is never" in refused.error["message"]
        assert "'Service terms'" in refused.error["message"]
        assert f"expired {expires.date().isoformat()}" in refused.error["message"]
        assert (gauge(running, "short") or 0) < 0

        vendor.reset()
        assert ask(running.port, ADMIN_KEY, HELLO | {"model": "both"}).headers["x-trunkline-deployment"] == "long"
        assert not vendor.received

        running.command("claims", "verify", "short.training_use", "--evidence", "Terms renewed", "--expires", "1d")
        until(running, lambda got: got.status == 200)
        assert (gauge(running, "short") or 0) > 80_000


def test_a_claim_that_turned_out_untrue_takes_the_deployment_out_within_seconds_and_for_good(
    tmp_path: Path, vendor: Upstream, spare: Upstream
) -> None:
    made = declared(vendor, spare, datetime.now(UTC) + timedelta(days=300))
    running = start(tmp_path, made)
    try:
        assert ask(running.port, ADMIN_KEY, HELLO).status == 200
        running.command("claims", "verify", "short.training_use", "--value", "opt_out", "--evidence", "They changed it")
        refused = until(running, lambda got: got.status == 403)
        assert refused.error is not None
        assert "'They changed it'" in refused.error["message"]
    finally:
        stop(running)
    with exchange(tmp_path, made) as again:
        vendor.reset()
        assert ask(again.port, ADMIN_KEY, HELLO).status == 403
        assert not vendor.received


def test_the_start_announces_what_expires_soon(tmp_path: Path, vendor: Upstream, spare: Upstream) -> None:
    soon = datetime.now(UTC) + timedelta(days=10, minutes=1)
    with exchange(tmp_path, declared(vendor, spare, soon)) as running:
        assert running.get("/healthz")[0] == 200
    lines = [line for line in (tmp_path / "up.log").read_text("utf-8").splitlines() if line.startswith("{")]
    said = next(event for event in map(json.loads, lines) if "expire within 30 days" in event["message"])
    assert (said["expired"], said["expiring"]) == (0, 1)
    assert re.search(r"short\.training_use in 10 days", said["first"])
