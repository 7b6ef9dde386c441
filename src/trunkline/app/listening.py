"""Sockets that listen: made here, or inherited from who started the exchange."""

from __future__ import annotations

import os
import socket

FIRST = 3
"""The first descriptor that is handed over. Source: sd_listen_fds(3)."""


def inherited() -> socket.socket | None:
    """Return the listening socket that a service manager handed over, where it did: systemd's `LISTEN_FDS`.

    Such a socket outlives the process, so a restart behind it refuses nobody: callers wait in its queue.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not os.environ.get("LISTEN_FDS", "").isdigit():
        return None
    if int(os.environ["LISTEN_FDS"]) < 1:
        return None
    listener = socket.socket(fileno=os.dup(FIRST))  # A duplicate is not inherited by engines and workers.
    os.close(FIRST)
    listener.settimeout(0)
    return listener
