"""Following the ledger: attempts are told once, when they are settled."""

from __future__ import annotations

from trunkline.clock import NANOS_PER_SECOND
from trunkline.metering.ports import LedgerStore
from trunkline.metering.records import AttemptRow, Status

LOOK_BACK = 10 * NANOS_PER_SECOND
"""How far behind the newest attempt another may still appear: journals are drained one after the other."""

MOST = 10_000


class Follower:
    """Remembers what was told. Attempts that are open when they appear are told once they have ended."""

    def __init__(self, ledger: LedgerStore, count: int) -> None:
        self._ledger = ledger
        self._told: dict[tuple[str, int], int] = {}
        self._first = ledger.tail(count)
        self._floor = self._first[0].at - 1 if self._first else 0

    def fresh(self) -> tuple[AttemptRow, ...]:
        """Return the attempts that were settled since the last call, oldest first."""
        rows = self._first or self._ledger.tail(MOST, self._floor)
        self._first = ()
        settled = tuple(
            row for row in rows if row.status is not Status.OPEN and (row.request, row.attempt) not in self._told
        )
        self._told.update({(row.request, row.attempt): row.at for row in settled})
        if rows:
            waiting = [row.at for row in rows if row.status is Status.OPEN]
            self._floor = max(self._floor, min([rows[-1].at - LOOK_BACK, *(at - 1 for at in waiting)]))
            self._told = {attempt: at for attempt, at in self._told.items() if at > self._floor}
        return settled
