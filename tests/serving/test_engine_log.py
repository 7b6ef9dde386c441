from __future__ import annotations

import resource
from pathlib import Path

import pytest

from trunkline.serving.engine_log import EngineLog


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (
            "0.35.523.394 E srv    send_error: task id = 1, error: secret",
            "0.35.523.394 E srv    send_error: (withheld)",
        ),
        ("0.35.523.394 W srv    operator(): got exception: secret", None),
        ("secret, the second line of a message", None),
        ("ggml.c:12: GGML_ASSERT(n > 0) failed", "ggml.c:12: GGML_ASSERT(n > 0) failed"),
    ],
)
def test_while_calls_run_only_how_a_process_dies_is_kept(tmp_path: Path, line: str, kept: str | None) -> None:
    log = EngineLog(tmp_path / "engines" / "smol.log")
    log.write(line, calls_run=True)
    log.close()
    assert (tmp_path / "engines" / "smol.log").read_text() == ("" if kept is None else f"{kept}\n")


def test_the_last_fault_of_loading_is_remembered(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "smol.log")
    log.write("0.00.872.593 E gguf_init_from_reader: invalid magic characters")
    log.write("0.00.872.593 I srv  init: bye")
    assert log.last_fault == "invalid magic characters"
    log.close()


def test_the_log_is_bounded(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "smol.log")
    for _ in range(30):
        log.write("x" * 100_000)
    log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"smol.log", "smol.log.1"}
    assert all(0 < size <= 1 << 20 for size in sizes.values())


def test_a_line_that_cannot_be_written_is_lost_without_harm(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "smol.log")
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))  # Python ignores SIGXFSZ: the write fails
    try:
        log.write("no room")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    log.write("room again")
    log.close()
    assert (tmp_path / "smol.log").read_text() == "room again\n"
