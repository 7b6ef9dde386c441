"""How one call has fared so far: what its next attempt, and its refusal, go by."""

from __future__ import annotations

from trunkline.clock import NANOS_PER_SECOND, Clock
from trunkline.errors import NotCarried, Refusal, UpstreamFault
from trunkline.estate.endpoints import Endpoint
from trunkline.messages import Asked

MARGIN = 0.25
"""Seconds before the caller's own time-out at which the exchange gives up: its answer must still arrive."""


class Course:
    """One call's.

    Attributes:
        failed: the attempts that failed, in order: the deployment and what went wrong.
        ejected: deployments left out after an incident.
        short: why budgets and limits let other deployments not be tried.
        full: deployments that were passed over because a limit leaves no room, each with what it binds.
        crowded: deployments that had no room a moment ago, and may have some soon.
        turn: the one at which it is the call's turn now; None before it has waited.
        number: of the attempt that was made last.
        waiting_since: since when it has waited for room, in monotonic nanoseconds; None where it has not.
        waits_until: until when it may.
        uncarried: deployments that speak another dialect and cannot carry something of the request, each with what.
        spared: deployments that asked not to be called yet, with the seconds until they may be.
        late: deployments that could not have answered in the time that the caller has left.
        in_haste: whether the caller said how long it waits.
    """

    __slots__ = (
        "_first_by",
        "_whole_by",
        "crowded",
        "ejected",
        "failed",
        "full",
        "in_haste",
        "late",
        "number",
        "short",
        "spared",
        "turn",
        "uncarried",
        "waiting_since",
        "waits_until",
    )

    def __init__(self, asked: Asked, clock: Clock) -> None:
        self.failed: list[tuple[str, UpstreamFault]] = []
        self.ejected: list[str] = []
        self.full: dict[str, str] = {}
        self.crowded: dict[str, Endpoint] = {}
        self.turn: Endpoint | None = None
        self.number = 0
        self.waiting_since: int | None = None
        self.waits_until = 0
        self.uncarried: list[tuple[str, NotCarried]] = []
        self.short: list[Refusal] = []
        self.spared: dict[str, float] = {}
        self.late: list[str] = []
        self._first_by: int | None = None
        self._whole_by: int | None = None
        self.in_haste = asked.patience is not None or asked.time_limit is not None
        if self.in_haste:
            self._hurry(asked, clock.ticks())

    def left(self, now: int) -> float | None:
        """Return the seconds until an answer must have begun; None where the caller waits for ever."""
        return None if self._first_by is None else (self._first_by - now) / NANOS_PER_SECOND

    def left_in_all(self, now: int) -> float | None:
        """Return the seconds until the whole answer must be there; None where the caller waits for ever."""
        return None if self._whole_by is None else (self._whole_by - now) / NANOS_PER_SECOND

    def _hurry(self, asked: Asked, began: int) -> None:
        waits = [began + _nanos(wait) for wait in (asked.patience, asked.time_limit) if wait is not None]
        self._first_by = min(waits)
        self._whole_by = None if asked.time_limit is None else began + _nanos(asked.time_limit)


def _nanos(seconds: float) -> int:
    margin = min(MARGIN, seconds / 10)
    return int((seconds - margin) * NANOS_PER_SECOND)
