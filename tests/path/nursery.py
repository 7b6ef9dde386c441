"""A Python that has the whole product imported, of which commands and exchanges are forked.

Starting Python and importing the product takes longer than most commands, and hundreds are run. What is born here is a
process of its own all the same: it has the arguments, the environment and the files that it was given, nothing is open
in it but these, and it ends as Python ends. Only that it was not this process that imported the modules tells them
apart. Real starts stand in `tests/cli/test_main.py`, `tests/path/test_front.py` and `tests/rules/test_examples.py`.

`python nursery.py NUMBER` serves on the socket of that number until its other end is closed.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

LONGEST = 1 << 17
STATUS = struct.Struct("!i")


class Born:
    """A process of the nursery, with what is needed of `subprocess.Popen`. It is killed when nobody holds this.

    Attributes:
        returncode: the exit code, or the negated number of the signal that ended it; None until that was noticed.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        (self.pid,) = STATUS.unpack(channel.recv(STATUS.size))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs after so many seconds.
        """
        if self.returncode is None:
            ready = select.poll()
            ready.register(self._channel, select.POLLIN)
            if not ready.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(["trunkline"], timeout or 0)
            (self.returncode,) = STATUS.unpack(self._channel.recv(STATUS.size))
            self._channel.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing where it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The one of this process. Its processes run `trunkline` with the arguments they are given."""

    def __init__(self, source: str) -> None:
        """Start it. `source` is the folder that holds the product."""
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": source},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        atexit.register(self._close)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], out: IO[Any], errors: IO[Any]) -> Born:
        """Start `trunkline` with arguments; it writes into these two files."""
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = {"arguments": list(arguments), "environment": dict(environment), "folder": str(Path.cwd())}
        with theirs:
            handed = array.array("i", [theirs.fileno(), out.fileno(), errors.fileno()])
            self._orders.sendmsg([json.dumps(order).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
        return Born(channel)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `trunkline` with arguments; return its exit code and what it said.

        Raises:
            subprocess.TimeoutExpired: it took longer; it is killed.
        """
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            born = self.start(arguments, environment, out, errors)
            try:
                code = born.wait(timeout)
            except subprocess.TimeoutExpired:
                born.kill()
                born.wait()
                raise
            out.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(list(arguments), code, out.read(), errors.read())

    def _close(self) -> None:
        self._orders.close()
        self._process.wait()


@functools.cache
def nursery(source: str) -> Nursery:
    """Return the nursery of this process; started when it is first asked for."""
    return Nursery(source)


def serve(orders: socket.socket) -> int | None:
    """Bear what is ordered, each with a parent of its own. Returns in each process born; in the nursery at the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        order, handed, _, _ = socket.recv_fds(orders, LONGEST, 3)
        if not order:
            return None
        if os.fork() == 0:
            break
        for number in handed:
            os.close(number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    orders.close()
    channel = socket.socket(fileno=handed[0])
    if (child := os.fork()) != 0:
        _mind(child, channel)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    channel.detach()
    os.dup2(handed[1], 1)
    os.dup2(handed[2], 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    told = json.loads(order)
    os.environ.clear()
    os.environ.update(told["environment"])
    time.tzset()
    os.chdir(told["folder"])
    sys.argv[1:] = told["arguments"]
    return os.getpid()


def _mind(child: int, channel: socket.socket) -> None:
    """Tell a child's number, wait for its end and tell its exit code; kill it where nobody is left to be told."""
    channel.send(STATUS.pack(child))
    running = os.pidfd_open(child)
    ready = select.poll()
    ready.register(running, select.POLLIN)
    ready.register(channel, select.POLLIN)
    if running not in dict(ready.poll()):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        channel.send(STATUS.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


if __name__ == "__main__":
    for listed in importlib.import_module("trunkline.cli.commands").COMMANDS:
        importlib.import_module(listed.module)
    importlib.import_module("trunkline.store.postgres")
    if serve(socket.socket(fileno=int(sys.argv[1]))) is not None:
        importlib.import_module("trunkline.cli.main").run()
