"""How many cores there are, and who among the engines computes on how many."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trunkline.serving.builtin import Kind

_CORES_PER_ENCODER = 4


def count_cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the cores that this process may use: its affinity, or the share its container gives if that is less.

    A server that starts a thread per core of the host inside a container with two spends its time waiting for turns.
    `cpu.max` holds `<quota or max> <period>`: https://docs.kernel.org/admin-guide/cgroup-v2.html.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text("ascii").split()
        share = max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return cores
    return min(cores, share)


def share_cores(kinds: Mapping[str, Kind], cores: int) -> dict[str, int]:
    """Return the threads of each engine: chats share all cores evenly, encoders take a quarter each.

    An encoder works in short bursts. Chats that run at once on more threads than cores wait for each other at every
    layer, so they split the machine; each has at least one thread.
    """
    chats = sum(kind == "chat" for kind in kinds.values())
    return {
        name: max(1, cores // chats if kind == "chat" else cores // _CORES_PER_ENCODER) for name, kind in kinds.items()
    }
