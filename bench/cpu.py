"""CPU time and memory of a process and all below it, read from the kernel."""

from __future__ import annotations

import os
import time
from pathlib import Path

PROC = Path("/proc")
NANOS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
CHILDREN_UTIME, CHILDREN_STIME = 13, 14  # counted from the field after the command's name in /proc/PID/stat


def tree(pid: int) -> list[int]:
    """Return the process and all its descendants that live at the moment."""
    found = [pid]
    for parent in found:
        for thread in PROC.joinpath(str(parent), "task").glob("*"):
            try:
                found += [int(child) for child in (thread / "children").read_text().split()]
            except OSError:  # the thread ended while we looked
                continue
    return found


def spent(pid: int) -> int:
    """Return the CPU time of the tree so far, in nanoseconds.

    The sum of `/proc/PID/task/*/schedstat`, as the scheduler counts it, with threads that have ended, whose files are
    gone: the process' CPU clock (`clock_getcpuclockid`, whose id is `~pid << 3 | 2`) holds both. Children that ended
    and were waited for are added from `/proc/PID/stat`, which counts in ticks.
    """
    total = 0
    for member in tree(pid):
        try:
            total += time.clock_gettime_ns((~member << 3) | 2)
            fields = PROC.joinpath(str(member), "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[CHILDREN_UTIME]) + int(fields[CHILDREN_STIME])) * NANOS_PER_TICK
    return total


def resident(pid: int) -> int:
    """Return the memory of the tree in bytes: resident pages, those shared between processes counted once."""
    total = 0
    for member in tree(pid):
        try:
            lines = PROC.joinpath(str(member), "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total
