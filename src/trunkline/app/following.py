"""What goes on beside the calls for as long as a process runs: looking for changes, asking for leases, knocking."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

AGAIN: Final = 1.0
"""Seconds after which what failed begins again."""

log = logging.getLogger("trunkline.app")


def follow(stack: AsyncExitStack, what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Begin work that goes on until the stack ends. `what` names it in the log, where it fails."""
    stack.callback(asyncio.create_task(keep_on(what, work)).cancel)


async def keep_on(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do work that has no end; a fault that it does not meet itself is logged, and it begins again."""
    while True:
        try:
            await work()
        except Exception:  # the border: nobody waits for it, so its end would go unseen
            log.exception("%s failed, and begins again", what)
        else:
            return
        await asyncio.sleep(AGAIN)
