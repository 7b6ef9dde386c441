from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from trunkline.cli.findings import Verdict
from trunkline.cli.machine import clock, examine_machine, open_files, port_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_fails_unless_an_exchange_holds_the_folder(taken: int) -> None:
    found = port_free("127.0.0.1", taken, None)
    assert found.verdict is Verdict.FAIL
    assert "--port" in found.do
    assert port_free("127.0.0.1", taken, 4711).verdict is Verdict.OK


def test_a_free_port_is_fine() -> None:
    assert port_free("127.0.0.1", 0, None).verdict is Verdict.OK


def test_an_address_that_is_not_this_machines_fails() -> None:
    assert port_free("192.0.2.1", 8440, None).verdict is Verdict.FAIL


def test_a_clock_in_the_past_fails() -> None:
    assert clock(datetime(1970, 1, 1, tzinfo=UTC)).verdict is Verdict.FAIL
    assert clock(datetime(2027, 1, 1, tzinfo=UTC)).verdict is Verdict.OK


def test_few_open_files_are_warned_of_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1_024))
    found = open_files()
    assert found.verdict is Verdict.WARN
    assert "ulimit -Hn" in found.do
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 65_536))  # raised at the start
    assert open_files().verdict is Verdict.OK
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert open_files().verdict is Verdict.OK


def test_nothing_fails_on_a_machine_that_runs_these_tests() -> None:
    findings = list(examine_machine("127.0.0.1", 0, None, datetime.now(UTC)))
    assert [found for found in findings if found.verdict is Verdict.FAIL] == []
    assert all(found.do for found in findings if found.verdict is not Verdict.OK)
