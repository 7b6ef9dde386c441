"""Several processes behind one port: they count, reload and stop as one, and a death is no more than its own."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange, start, stop
from tests.path.raw import HELLO, ask
from tests.path.steady import Steady
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

from trunkline.app.workers import COUNT_EVERY

WITHIN = 20.0


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


def declared(vendor: Upstream) -> dict[str, Any]:
    return estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]})


@pytest.fixture
def running(tmp_path: Path, vendor: Upstream) -> Iterator[Exchange]:
    with exchange(tmp_path, declared(vendor), "--no-engine", "--workers", "2") as started:
        yield started


def children(process: int) -> dict[int, str]:
    """The command line of each living child."""
    found = {}
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        with suppress(OSError):
            found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def workers(running: Exchange) -> list[int]:
    return sorted(child for child, line in children(running.process.pid).items() if "trunkline.app.worker" in line)


def until(holds: Callable[[], bool], what: str, within: float = WITHIN) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def replaced(running: Exchange, *known: int) -> None:
    """Wait until a worker has ended and another one that is not among the known ones stands in for it."""
    until(lambda: gone(known[0]), "it does not end")
    until(lambda: len(workers(running)) == 2 and len({*workers(running)} - {*known}) >= 1, "it is not replaced")


def gone(process: int) -> bool:
    """Whether a process has ended, even if nobody has taken notice of it yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def value(running: Exchange, name: str) -> float:
    """The sum of a metric over its labels."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", running.get("/metrics")[1], re.MULTILINE)
    return sum(map(float, found))


def test_each_worker_answers_and_any_counts_for_all(running: Exchange, vendor: Upstream) -> None:
    key = running.key("finance")
    before = value(running, "trunkline_attempts_total")
    with Steady(running.port, key, 16) as steady:
        steady.reach(200)
    asked = len(steady.answered)
    assert steady.failed == []
    assert {value(running, "trunkline_attempts_total") - before for _ in range(8)} == {asked}
    assert value(running, "trunkline_workers") == 2
    used = [int(Path(f"/proc/{one}/schedstat").read_text().split()[0]) for one in workers(running)]
    assert len(used) == 2
    assert value(running, "process_cpu_seconds_total") >= sum(used) / 2e9


def test_the_ledger_speaks_for_all_workers(running: Exchange, vendor: Upstream) -> None:
    with Steady(running.port, running.key("finance"), 8) as steady:
        steady.reach(100)
    running.await_booked()
    rows = running.rows("ledger", "tail", "--count", "100000")
    assert Counter(row["end_customer"] for row in rows) == Counter(steady.answered)


def test_a_revoked_key_is_void_at_every_worker(running: Exchange, vendor: Upstream) -> None:
    made = json.loads(running.command("key", "create", "--unit", "finance", "--json"))
    until(lambda: ask(running.port, made["key"], HELLO).status == 200, "the key is not in force")
    running.command("key", "revoke", made["id"])
    until(
        lambda: {ask(running.port, made["key"], HELLO).status for _ in range(40)} == {401}, "it is not void everywhere"
    )


def test_a_worker_that_is_killed_under_load_breaks_only_its_own_calls_and_loses_nothing(
    running: Exchange, vendor: Upstream
) -> None:
    vendor.choose = lambda received: Script(pace=0.02) if received.number % 2 else None
    key = running.key("finance")
    with Steady(running.port, key, 4) as plain, Steady(running.port, key, 4, stream=True) as streams:
        for _ in range(3):
            plain.reach(50)
            victim, other = workers(running)
            os.kill(victim, signal.SIGKILL)
            replaced(running, victim, other)
            assert other in workers(running)
            plain.reach(50)
            streams.reach(10)
    broken = plain.failed + streams.failed
    # A caller has one call at a time, so each kill breaks at most one of each.
    assert len(broken) <= 3 * 8
    assert all(re.search("IncompleteRead|RemoteDisconnected|reset|Broken", one, re.IGNORECASE) for one in broken), (
        broken
    )
    assert all(received.over.wait(10) for received in vendor.received)
    until(lambda: value(running, "trunkline_worker_restarts_total") == 3, "the replacements are not counted")
    seen = Counter(json.loads(received.body)["user"] for received in vendor.received)

    def booked() -> list[dict[str, Any]]:
        return running.rows("ledger", "tail", "--count", "100000")

    until(lambda: not [row for row in booked() if row["status"] == "open"], "attempts stay open")
    rows = booked()
    assert not {name: count for name, count in seen.items() if [r["end_customer"] for r in rows].count(name) != count}
    assert len({(row["request_id"], row["attempt"]) for row in rows}) == len(rows)
    for row in rows:
        if row["status"] != "ok":
            assert row["status"] in {"lost", "left"}
            assert row["end_customer"] in {one.split(":")[0] for one in broken}, row
        if row["status"] == "lost":
            assert row["cost"] == row["hold"] > 0
    assert set(plain.answered + streams.answered) <= {row["end_customer"] for row in rows}
    # What stands in journals now is of workers that live.
    folders = [one for one in (running.folder / "journal").iterdir() if one.is_dir()]
    assert len(folders) == 2


def test_counts_never_fall_when_a_worker_dies(running: Exchange, vendor: Upstream) -> None:
    key = running.key("finance")
    with Steady(running.port, key, 16) as steady:
        steady.reach(100)
    before = value(running, "trunkline_attempts_total")
    for victim in workers(running):
        os.kill(victim, signal.SIGKILL)
    until(lambda: len(workers(running)) == 2 and running_answers(running), "they are not replaced")
    assert value(running, "trunkline_attempts_total") == before


def test_counts_that_nobody_scraped_outlive_a_killed_worker(running: Exchange, vendor: Upstream) -> None:
    key = running.key("finance")
    with Steady(running.port, key, 8) as steady:
        steady.reach(50)
    answered = len(steady.answered)
    time.sleep(4 * COUNT_EVERY)  # nothing tells from outside that the parent has looked
    for victim in workers(running):
        os.kill(victim, signal.SIGKILL)
    until(lambda: len(workers(running)) == 2 and running_answers(running), "they are not replaced")
    assert value(running, "trunkline_attempts_total") == answered


def running_answers(running: Exchange) -> bool:
    with suppress(OSError):
        return running.get("/readyz")[0] == 200
    return False


def test_workers_ended_one_after_the_other_under_load_fail_no_request(running: Exchange, vendor: Upstream) -> None:
    vendor.choose = lambda received: Script(pace=0.01) if received.number % 4 == 0 else None
    key = running.key("finance")
    with Steady(running.port, key, 4) as plain, Steady(running.port, key, 4, stream=True) as streams:
        for victim in workers(running):
            plain.reach(50)
            os.kill(victim, signal.SIGTERM)
            replaced(running, victim)
            streams.reach(50)
    assert (plain.failed, streams.failed) == ([], [])


def test_a_parent_that_is_killed_takes_all_workers_with_it(tmp_path: Path, vendor: Upstream) -> None:
    running = start(tmp_path, declared(vendor), "--no-engine", "--workers", "3")
    family = workers(running)
    assert len(family) == 3
    vendor.default = Script(hang="body")
    with Steady(running.port, running.key("finance"), 2, stream=True) as steady:
        assert vendor.wait_for(2)
        running.kill()
        until(lambda: all(map(gone, family)), "workers outlive their parent", 10)
    assert steady.answered == []
    again = start(tmp_path, declared(vendor), "--no-engine", "--workers", "2")
    try:
        rows = again.rows("ledger", "tail", "--count", "1000")
    finally:
        stop(again)
    assert len(rows) >= 2
    assert {row["status"] for row in rows} <= {"left", "lost"}


def test_a_worker_that_hangs_does_not_outlive_its_parent_either(tmp_path: Path, vendor: Upstream) -> None:
    running = start(tmp_path, declared(vendor), "--no-engine", "--workers", "2")
    hung, _ = workers(running)
    os.kill(hung, signal.SIGSTOP)
    try:
        running.kill()
        os.kill(hung, signal.SIGCONT)
        until(lambda: gone(hung), "it outlives its parent", 10)
    finally:
        with suppress(ProcessLookupError):
            os.kill(hung, signal.SIGKILL)


@pytest.mark.parametrize("form", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_a_second_exchange_on_the_folder_is_refused(
    running: Exchange, tmp_path: Path, vendor: Upstream, form: tuple[str, ...]
) -> None:
    with pytest.raises(AssertionError, match="held by another exchange: process"):
        start(tmp_path, declared(vendor), "--no-engine", *form)
    assert running_answers(running)


def test_the_folder_stays_held_until_the_last_worker_of_a_killed_parent_is_gone(
    tmp_path: Path, vendor: Upstream
) -> None:
    running = start(tmp_path, declared(vendor), "--no-engine", "--workers", "2")
    stopped, _ = workers(running)
    os.kill(stopped, signal.SIGSTOP)
    try:
        running.kill()
        with pytest.raises(AssertionError, match="held by another exchange"):
            start(tmp_path, declared(vendor), "--no-engine")
    finally:
        os.kill(stopped, signal.SIGKILL)


def test_a_scrape_does_not_wait_for_a_worker_that_hangs(running: Exchange, vendor: Upstream) -> None:
    with Steady(running.port, running.key("finance"), 8) as steady:
        steady.reach(100)
    before = value(running, "trunkline_attempts_total")
    hung, _ = workers(running)
    os.kill(hung, signal.SIGSTOP)
    try:
        assert value(running, "trunkline_attempts_total") == before
    finally:
        os.kill(hung, signal.SIGCONT)


def test_engines_end_with_a_parent_that_is_killed_though_workers_were_started_beside_them(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the extra `engine` is not installed")
    smol = {
        "model": "huggingface/smollm2-135m-instruct",
        "pattern": "self_managed",
        "boundary": "vendor",
        "engine": {"kind": "embedded", "weights": "builtin", "slots": 1},
    }
    made = estate({"smol": smol}, {"chat": [["smol"]]})
    running = start(tmp_path, made, "--workers", "2", within=120)
    try:
        assert ask(running.port, running.key("finance"), HELLO | {"max_tokens": 4}).status == 200
        family = children(running.process.pid)
        assert sum("trunkline.serving.child" in line for line in family.values()) == 1
        assert sum("trunkline.app.worker" in line for line in family.values()) == 2
    finally:
        running.kill()
    until(lambda: all(map(gone, family)), "something outlives the parent", 15)
