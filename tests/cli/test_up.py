from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.app import run
from trunkline.app.options import Options
from trunkline.app.welcome import Announcer
from trunkline.errors import DataFolderBusy

if TYPE_CHECKING:
    from tests.cli.conftest import Command


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What the exchange was started with; it stops at once."""
    seen: list[Options] = []

    def up(options: Options, announcer: Announcer) -> None:
        announcer.progress("starting")
        seen.append(options)

    monkeypatch.setattr(run, "up", up)
    return seen


@pytest.fixture(autouse=True)
def no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.observability.log.configure", lambda *_: None)


def test_without_options_it_listens_on_this_machine_only(trunkline: Command, started: list[Options]) -> None:
    done = trunkline("up")
    assert (done.code, done.out) == (0, "starting\n")
    assert started == [Options(data=Path.home() / ".trunkline")]


def test_every_option_reaches_the_exchange(trunkline: Command, started: list[Options], tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    trunkline(
        *("up", "--estate", tmp_path / "estate.yaml", "--data", tmp_path, "--host", "127.0.0.2", "--port", "1"),
        *("--no-engine", "--log-level", "debug", "--ca-file", tmp_path / "ca.pem", "--workers", "3"),
        *("--grace", "1.5", "--log-style", "json"),
    )
    assert started == [
        Options(
            data=tmp_path,
            estate=tmp_path / "estate.yaml",
            host="127.0.0.2",
            port=1,
            engines=False,
            log_level="debug",
            ca_file=tmp_path / "ca.pem",
            workers=3,
            grace=1.5,
            log_style="json",
        )
    ]


def test_the_environment_stands_for_options(
    trunkline: Command, started: list[Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PORT": "4711", "DATA": str(tmp_path), "NO_ENGINE": "1", "ESTATE": "e.yaml"}.items():
        monkeypatch.setenv(f"TRUNKLINE_{name}", value)
    trunkline("up", "--port", "4712")
    assert started == [Options(data=tmp_path, estate=Path("e.yaml"), port=4712, engines=False)]


@pytest.mark.parametrize("words", [("--port", "70000"), ("--log-level", "loud"), ("--ca-file", "/nowhere.pem")])
def test_an_option_that_makes_no_sense_starts_nothing(
    trunkline: Command, started: list[Options], words: tuple[str, str]
) -> None:
    assert trunkline("up", *words).code == 2
    assert started == []


def test_what_keeps_it_from_starting_is_said_in_one_line(trunkline: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def up(*_: object) -> None:
        raise DataFolderBusy("another exchange holds it: process 7")

    monkeypatch.setattr(run, "up", up)
    done = trunkline("up")
    assert (done.code, done.err) == (1, "trunkline: another exchange holds it: process 7\n")
