"""A changed estate is in force without a restart; one with a fault changes nothing."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import HELLO, ask
from tests.path.steady import Steady
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

WITHIN = 40.0
FORMS = [(), ("--workers", "2")]


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture
def spare() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture
def running(tmp_path: Path, vendor: Upstream) -> Iterator[Exchange]:
    with exchange(tmp_path, declared(vendor), "--no-engine") as started:
        yield started


def declared(vendor: Upstream, **use_cases: Any) -> dict[str, Any]:
    return estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]], **use_cases})


def write(running: Exchange, text: str) -> None:
    """Replace the estate's file as an editor does: written aside, then renamed."""
    path = running.folder.parent / "estate.yaml"
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)


def reloads(running: Exchange, result: str) -> int:
    """How often the estate was read again with this result."""
    line = f'trunkline_estate_reload_total{{result="{result}"}} '
    found = [text for text in running.get("/metrics")[1].splitlines() if text.startswith(line)]
    return int(float(found[0].removeprefix(line)))


def until(holds: Callable[[], bool], what: str) -> None:
    """Ask until it holds."""
    end = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < end, what


def reload(running: Exchange, result: str = "applied") -> None:
    """Send SIGHUP and wait until the estate was read again."""
    before = reloads(running, result)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: reloads(running, result) > before, f"no reload was {result}")


def log_of(running: Exchange) -> str:
    return (running.folder.parent / "up.log").read_text()


def test_a_changed_file_is_in_force_without_a_word(running: Exchange, vendor: Upstream) -> None:
    key = running.key("finance")
    assert ask(running.port, key, HELLO | {"model": "more"}).status == 404
    write(running, json.dumps(declared(vendor, more=[["gpt"]])))
    until(lambda: ask(running.port, key, HELLO | {"model": "more"}).status == 200, "the change is not in force")
    assert reloads(running, "applied") == 1


def test_sighup_reads_the_estate_again_and_what_it_refers_to(tmp_path: Path, vendor: Upstream) -> None:
    made = declared(vendor)
    made["boundaries"]["vendor"]["credentials"] = "file:secret.txt"
    (tmp_path / "secret.txt").write_text("sk-first")
    with exchange(tmp_path, made, "--no-engine") as running:
        key = running.key("finance")
        ask(running.port, key, HELLO)
        (tmp_path / "secret.txt").write_text("sk-second")
        reload(running)
        ask(running.port, key, HELLO)
    assert [one.header("authorization") for one in vendor.received] == ["Bearer sk-first", "Bearer sk-second"]


@pytest.mark.parametrize("fault", ["units: [", json.dumps({"estate": "x"}), "", "\0"])
def test_a_file_with_a_fault_changes_nothing_and_says_where(running: Exchange, fault: str, vendor: Upstream) -> None:
    key = running.key("finance")
    version = info(running)
    write(running, fault)
    reload(running, "refused")
    assert ask(running.port, key, HELLO).status == 200
    assert running.get("/readyz")[0] == 200
    assert info(running) == version
    assert "estate.yaml:1" in log_of(running)
    write(running, json.dumps(declared(vendor, more=[["gpt"]])))
    until(lambda: ask(running.port, key, HELLO | {"model": "more"}).status == 200, "it does not recover")


def info(running: Exchange) -> str:
    (line,) = [one for one in running.get("/metrics")[1].splitlines() if one.startswith("trunkline_estate_info{")]
    return line


@pytest.mark.parametrize("form", FORMS, ids=["one process", "two workers"])
def test_no_request_fails_while_the_estate_changes_under_load(
    tmp_path: Path, vendor: Upstream, spare: Upstream, form: tuple[str, ...]
) -> None:
    versions = [
        declared(vendor),
        estate({"gpt": deployment(vendor.url), "other": deployment(spare.url)}, {"chat": [["other"], ["gpt"]]}),
        declared(vendor, more=[["gpt"]]),
    ]
    with exchange(tmp_path, versions[0], "--no-engine", *form) as running:
        key = running.key("finance")
        with (
            Steady(running.port, key, 3) as plain,
            Steady(running.port, key, 3, stream=True) as streams,
        ):
            for number in range(6):
                write(running, json.dumps(versions[number % len(versions)]))
                reload(running)
                plain.reach(20)
                streams.reach(20)
        assert (plain.failed, streams.failed) == ([], [])
    assert spare.received
    assert vendor.received


def test_a_call_under_way_goes_on_with_the_deployment_that_is_gone(running: Exchange, vendor: Upstream) -> None:
    vendor.default = Script(pace=0.3)
    with Steady(running.port, running.key("finance"), 1, stream=True) as one:
        assert vendor.wait_for(1)
        write(running, json.dumps(estate({"new": deployment(vendor.url)}, {"chat": [["new"]]})))
        reload(running)
        one.reach(1)
    assert one.failed == []


def test_a_new_attempt_must_be_allowed_by_the_estate_of_that_moment(
    tmp_path: Path, vendor: Upstream, spare: Upstream
) -> None:
    both = {"first": deployment(vendor.url), "second": deployment(spare.url)}
    vendor.default = Script(status=500, delay=1.5)
    with exchange(tmp_path, estate(both, {"chat": [["first"], ["second"]]}), "--no-engine") as running:
        key = running.key("finance")
        with Steady(running.port, key, 1) as one:
            assert vendor.wait_for(1)
            stricter = estate(both, {"chat": [["first"], ["second"]]})
            stricter["use_cases"]["chat"]["data_class"] = "restricted"
            write(running, json.dumps(stricter))
            reload(running)
            one.reach(1)
    assert not spare.received
    assert one.failed[0].split(" ")[1] in {"403", "502"}


def test_a_unit_that_is_gone_takes_its_keys_with_it(running: Exchange, vendor: Upstream) -> None:
    key = running.key("marketing")
    made = declared(vendor)
    del made["units"]["marketing"]
    write(running, json.dumps(made))
    reload(running)
    assert ask(running.port, key, HELLO).status == 401
    write(running, json.dumps(declared(vendor)))
    reload(running)
    assert ask(running.port, key, HELLO).status == 200


def test_the_next_start_without_a_name_takes_the_estate_applied_last(tmp_path: Path, vendor: Upstream) -> None:
    with exchange(tmp_path, declared(vendor), "--no-engine") as running:
        write(running, json.dumps(declared(vendor, more=[["gpt"]])))
        reload(running)
        kept = json.loads((running.folder / "applied-estate" / "estate.yaml").read_text())
    assert "more" in kept["use_cases"]


def engines(running: Exchange) -> list[int]:
    process = running.process.pid
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    found = []
    for child in children:
        with suppress(OSError):  # It has ended meanwhile.
            if "trunkline.serving.child" in Path(f"/proc/{child}/cmdline").read_text():
                found.append(int(child))
    return found


def test_only_engines_that_change_are_started_anew_and_their_calls_finish_first(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the extra `engine` is not installed")

    def made(slots: int, **more: Any) -> dict[str, Any]:
        smol = {
            "model": "huggingface/smollm2-135m-instruct",
            "pattern": "self_managed",
            "boundary": "vendor",
            "engine": {"kind": "embedded", "weights": "builtin", "slots": slots},
            "price": {"input_mtok": 0, "output_mtok": 0},
        }
        return estate({"smol": smol}, {"chat": [["smol"]]}, **more)

    with exchange(tmp_path, made(2), "--workers", "2", within=120.0) as running:
        key = running.key("finance")
        first = engines(running)
        limit = [{"on": {"unit": "acme"}, "per": "month", "amount": 1, "hard": True}]
        write(running, json.dumps(made(2, budgets=limit)))
        reload(running)
        assert engines(running) == first
        assert ask(running.port, key, HELLO | {"max_tokens": 4}).status == 200
        with Steady(running.port, key, 1, stream=True, max_tokens=200) as one:
            one.reach(1)
            write(running, json.dumps(made(1)))
            # Not by the count of reloads: the change before may be read once more, as the file that changed.
            until(lambda: len(engines(running)) == 1 and engines(running) != first, "the engine is not started anew")
            until(lambda: running.get("/readyz")[0] == 200, "the new engine does not answer")
            ended = list(one.failed)
    # None that was under way is broken; a new one may find no engine until the changed one has loaded.
    assert not [fault for fault in ended if "broken" in fault]
