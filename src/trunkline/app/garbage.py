"""The garbage collector, around what is built once and stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def building() -> Iterator[None]:
    """Look for no garbage while an estate is read and compiled, and leave what stands then out of all later looks.

    Nearly all that is made meanwhile stays. Looking through it again and again would take longer than to make it, and
    would later keep a request waiting, the longer the larger the estate. What is replaced is freed all the same.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
