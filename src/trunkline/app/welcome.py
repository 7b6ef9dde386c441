"""What the exchange tells the one who starts it, and to whom it tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from trunkline.estate.deployments import Pattern
from trunkline.observability.metrics import UpstreamState


class Standing(msgspec.Struct, frozen=True):
    """How a deployment stands, and why where it cannot be called."""

    deployment: str
    pattern: Pattern
    model: str
    state: UpstreamState
    reason: str = ""


class Welcome(msgspec.Struct, frozen=True):
    """All that is said once the exchange answers.

    Attributes:
        url: where it listens, without a path.
        root: the unit at the top, for which the first key is.
        key: the first key, only at the start that made it.
        model: a use case to try.
        notices: what is declared but not in force, one line each.
    """

    url: str
    estate: str
    data: Path
    root: str
    deployments: tuple[Standing, ...]
    key: str | None = None
    model: str = "general-chat"
    notices: tuple[str, ...] = ()


class Announcer(Protocol):
    """Shows it. Implemented by the command line."""

    def progress(self, line: str) -> None:
        """Show what the start is waiting for."""
        ...

    def welcome(self, welcome: Welcome) -> None:
        """Show that the exchange answers, and how to call it."""
        ...
