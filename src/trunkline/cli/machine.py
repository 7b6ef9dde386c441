"""Whether this machine can run an exchange."""

from __future__ import annotations

import platform
import resource
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata, util

from trunkline.cli.findings import Finding, doubtful, fine, wrong

LEAST_PYTHON = (3, 11)
FEW_FILES = 4_096
BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""No earlier than this can it truly be."""

_NEEDED = ("uvloop", "httptools", "msgspec", "sqlalchemy")
_ENGINE = ("xllamacpp", "gguf", "numpy")


def examine_machine(host: str, port: int, held_by: int | None, now: datetime) -> Iterator[Finding]:
    """Yield what is found. `held_by` is the process that holds the data folder: the port may then be its own."""
    yield python()
    yield system()
    yield needed_parts()
    yield engine_parts()
    yield open_files()
    yield clock(now)
    yield port_free(host, port, held_by)


def python() -> Finding:
    """The version of Python."""
    running = platform.python_version()
    if sys.version_info < LEAST_PYTHON:
        return wrong("python", running, "install Python 3.11 or newer and make the environment again")
    return fine("python", f"{running} at {sys.executable}")


def system() -> Finding:
    """The operating system."""
    name = platform.system()
    if name != "Linux":
        return doubtful("system", name, "run on Linux: nothing else is tested")
    return fine("system", platform.platform(terse=True))


def needed_parts() -> Finding:
    """The packages without which nothing starts."""
    missing = [name for name in _NEEDED if util.find_spec(name) is None]
    if missing:
        return wrong("packages", f"not installed: {', '.join(missing)}", "install trunkline again")
    return fine("packages", ", ".join(f"{name} {metadata.version(name)}" for name in _NEEDED))


def engine_parts() -> Finding:
    """The packages of the embedded engine. Its weights are looked at with the data folder, where their hashes are."""
    missing = [name for name in _ENGINE if util.find_spec(name) is None]
    if missing:
        return doubtful("engine", f"not installed: {', '.join(missing)}", "pip install 'trunkline[engine]'")
    return fine("engine", f"xllamacpp {metadata.version('xllamacpp')}")


def open_files() -> Finding:
    """How many files and connections the exchange may have: at its start it raises the limit as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FEW_FILES:
        return doubtful(
            "open files",
            f"{hard} at once at most, two for each call",
            "raise the hard limit: ulimit -Hn, or LimitNOFILE= of the service",
        )
    return fine("open files", "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard} at once")


def clock(now: datetime) -> Finding:
    """Whether the clock may be right: keys and claims expire by it."""
    if now < BUILT:
        return wrong("clock", f"{now:%Y-%m-%d %H:%M} UTC is in the past", "set the clock, best by NTP")
    return fine("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def port_free(host: str, port: int, held_by: int | None) -> Finding:
    """Whether the exchange could listen."""
    place = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as taken:
        if held_by is not None:
            return fine("port", f"{place} is taken, as an exchange runs (process {held_by})")
        return wrong(
            "port", f"{place}: {taken.strerror or taken}", "choose another with --port, or stop what listens there"
        )
    return fine("port", f"{place} is free")
