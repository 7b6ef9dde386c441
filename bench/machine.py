"""What the bench needs of the machine: tools, two cores, enough open files."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

GATEWAY_CORE = 0
LOAD_CORE = 1
OPEN_FILES = 8192
ROOT = Path(__file__).resolve().parents[1]

PIN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execvp(sys.argv[2], sys.argv[2:])"


class MissingTool(Exception):
    """A tool is not on this machine; the message says what to install."""


def find(tool: str) -> str:
    """Return a tool's path.

    Raises:
        MissingTool: with the command that installs it.
    """
    # Debian keeps nginx where an ordinary user's PATH does not look.
    path = shutil.which(tool) or shutil.which(tool, path="/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise MissingTool(
            f"{tool} is not on this machine, and `make bench` measures beside it; install it with "
            f"`apt-get install {tool}`, `dnf install {tool}` or `brew install {tool}`"
        )
    return path


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def model() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def dialled(port: int) -> socket.socket:
    """Return a connection to the port, or raise OSError."""
    return socket.create_connection(("127.0.0.1", port), timeout=1)


@contextlib.contextmanager
def pinned_children(core: int) -> Iterator[None]:
    """Stand on one core for as long as the block lasts, so that children started in it stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core if core in before else min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_open_files() -> None:
    """Let this process and its children open enough files for a thousand streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """Return the command that runs another on one core; its process id is the other's."""
    return [sys.executable, "-c", PIN, str(core if core < cores() else 0), *command]


@contextlib.contextmanager
def running(
    core: int,
    command: Sequence[str],
    *,
    stdout: int | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on one core, with standard input at hand, and end it."""
    with subprocess.Popen(pinned(core, command), stdin=subprocess.PIPE, stdout=stdout, cwd=ROOT, env=env) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
