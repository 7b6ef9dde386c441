"""What the operator tells a running exchange by signals."""

from __future__ import annotations

import asyncio
import signal
from typing import Self

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """SIGINT and SIGTERM ask to stop, a second one to stop at once, a third one ends the process; SIGHUP reloads.

    Attributes:
        stop: no new calls; running ones may finish.
        at_once: running calls are cut off, honestly.
        reload: read the estate again; cleared by who does it.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()
        self.reload = asyncio.Event()

    @classmethod
    def heard(cls) -> Self:
        """Listen to the signals from now on, in the running loop."""
        signals = cls()
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, signals.ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, signals.reload.set)
        return signals

    def ask_to_stop(self) -> None:
        """Take a request to stop; the second one in a row means at once."""
        if not self.stop.is_set():
            self.stop.set()
        elif not self.at_once.is_set():
            self.at_once.set()
            loop = asyncio.get_running_loop()
            for number in STOPPING:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
