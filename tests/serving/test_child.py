from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest

from trunkline.serving.child import FAILED, READY, Orders
from trunkline.serving.weights import find_weights

# Loads for ever, holding the interpreter's lock as the real one does.
SLOW_ENGINE = """
import ctypes
from types import SimpleNamespace

def CommonParams():
    return SimpleNamespace(model=SimpleNamespace(), cpuparams=SimpleNamespace())

def Server(parameters):
    open(parameters.model.path, "rb")
    while True:
        ctypes.PyDLL(None).pause()
"""


def order(child: subprocess.Popen[bytes], weights: Path) -> None:
    assert child.stdin is not None
    orders = Orders(str(weights), "embeddings", "m", slots=1, context=128, threads=1, key="k")
    child.stdin.write(msgspec.json.encode(orders) + b"\n")
    child.stdin.flush()


def line(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().decode()


@pytest.fixture
def serving_child(child: subprocess.Popen[bytes], data: Path) -> subprocess.Popen[bytes]:
    weights = find_weights("sentence-transformers/all-minilm-l6-v2", "builtin", None, data, lambda _: None)
    order(child, weights.path)
    assert line(child).startswith(f"{READY}http://127.0.0.1:")
    return child


def test_a_serving_child_ends_when_its_input_ends(serving_child: subprocess.Popen[bytes]) -> None:
    assert serving_child.stdin is not None
    serving_child.stdin.close()
    serving_child.wait(5)


def test_a_serving_child_ends_on_sigterm(serving_child: subprocess.Popen[bytes]) -> None:
    serving_child.terminate()
    serving_child.wait(5)


def test_a_serving_child_lets_the_exchange_hear_ctrl_c(serving_child: subprocess.Popen[bytes]) -> None:
    status = Path(f"/proc/{serving_child.pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert ignored & 1 << (signal.SIGINT - 1)


def test_a_child_that_still_loads_ends_when_its_input_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "xllamacpp.py").write_text(SLOW_ENGINE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    child: subprocess.Popen[bytes] = request.getfixturevalue("child")
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    order(child, begun)
    with begun.open("wb"):  # opens when the child has begun to load
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(5) == -signal.SIGIO


def test_a_child_whose_input_ends_before_its_orders_ends(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(5) == 0


def test_a_child_says_why_it_cannot_serve(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    order(child, broken)
    assert line(child).startswith(f"{FAILED}llama.cpp does not load {broken}")
    assert child.wait(5) == 3


def test_an_engine_listens_on_loopback_alone(serving_child: subprocess.Popen[bytes]) -> None:
    own = {str(link.readlink()) for link in Path(f"/proc/{serving_child.pid}/fd").iterdir()}
    listening = []
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{serving_child.pid}/net/{table}").read_text().splitlines()[1:]:
            cells = row.split()
            if cells[3] == "0A" and f"socket:[{cells[9]}]" in own:
                listening.append(cells[1].partition(":")[0])
    assert listening == [f"{int.from_bytes(socket.inet_aton('127.0.0.1'), 'little'):08X}"]
