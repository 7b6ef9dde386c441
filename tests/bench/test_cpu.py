from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from bench import cpu

NANOS = 1_000_000_000


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_the_time_of_a_thread_that_has_ended_is_counted() -> None:
    before = cpu.spent(os.getpid())
    thread = threading.Thread(target=burn, args=(0.1,))
    thread.start()
    thread.join()
    assert cpu.spent(os.getpid()) - before >= 0.1 * NANOS


def test_the_time_and_memory_of_a_child_are_counted() -> None:
    code = "import time\nwhile time.process_time() < 0.1: pass\nprint(flush=True)\ninput()"
    before = cpu.spent(os.getpid()), cpu.resident(os.getpid())
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in cpu.tree(os.getpid())
        assert cpu.spent(os.getpid()) - before[0] >= 0.1 * NANOS
        assert cpu.resident(os.getpid()) > before[1]
        child.communicate(b"\n")
