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
    """Return the threads of each engine: one core stays free, chats share the rest, encoders take a quarter each.

    llama.cpp's threads wait for each other at every layer, and burn their core while they wait. One thread that has to
    share its core holds all others up: on two busy cores, one thread wrote 50 tokens a second and two threads 2. So
    there are never more than can run beside the exchange; an encoder works in short bursts and is not counted.
    """
    chats = sum(kind == "chat" for kind in kinds.values())
    return {
        name: max(1, (cores - 1) // chats if kind == "chat" else cores // _CORES_PER_ENCODER)
        for name, kind in kinds.items()
    }
