"""The interpreter, set to serve: what it does beside the calls keeps none of them waiting."""

from __future__ import annotations

import ctypes
import gc
import sys

COLLECT_EVERY = 20_000
"""How many more objects than before there must be for the collector to look at the young ones."""

GIVE_WAY_AFTER = 0.000_5
"""Seconds after which a thread that holds Python's lock gives way: a call waits that long while the journal drains."""

M_MMAP_THRESHOLD = -3
LARGE_BLOCK = 1024 * 1024
"""From so many bytes on a block of memory is one that the system gives and takes back."""


def suit_interpreter() -> None:
    """Have the collector spare what stays for ever (code, catalogue, estate), and threads give way to calls early."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 10, 10)
    sys.setswitchinterval(GIVE_WAY_AFTER)
    _return_large_blocks()


def _return_large_blocks() -> None:
    """Have blocks of a large request given back to the system at once, where the C library is one that can be told.

    By itself glibc comes to keep them, after the first, for others that may never come. Source: mallopt(3).
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(M_MMAP_THRESHOLD, LARGE_BLOCK)
