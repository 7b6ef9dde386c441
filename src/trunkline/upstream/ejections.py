from __future__ import annotations

from typing import Final

from trunkline.clock import NANOS_PER_SECOND

EJECTED_FOR: Final = 300 * NANOS_PER_SECOND
"""How long a deployment stays out after an incident, unless an incident follows."""


class Ejections:
    """Which deployments this process leaves out for a while, after an incident. Times are monotonic nanoseconds."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, int] = {}

    def eject(self, deployment: str, now: int) -> None:
        """Leave a deployment out from now on."""
        self._until[deployment] = now + EJECTED_FOR

    def out(self, deployment: str, now: int) -> bool:
        """Whether a deployment is left out now."""
        until = self._until.get(deployment)
        if until is None:
            return False
        if now >= until:
            del self._until[deployment]
            return False
        return True

    def __bool__(self) -> bool:
        return bool(self._until)
