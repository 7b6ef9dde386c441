"""How many calls at once a deployment bears, found out from how it fares: an adaptive limit of concurrency.

Two signals. Refusals (429, 503, time-outs): additive increase, multiplicative decrease, as TCP does it (Netflix
concurrency-limits, `AIMDLimit`: a factor of 0.9, and one more for each round trip while the limit is used). Latency:
the gradient of Envoy's adaptive concurrency filter ("Adaptive Concurrency", gradient controller) and of Netflix
`Gradient2Limit`:

    gradient = tolerance x (least + slack) / recent, between 0.5 and 1
    limit    = gradient x limit + sqrt(limit)

`least` is the shortest time to the first byte of some minutes, among prompts of about the same length; `recent` is the
shortest of the last second, since a queue delays even the fastest call, as CoDel has it, while an ordinary spread does
not. Time to the first byte of streams alone counts: it does not depend on the length of the answer. There is no limit
until something tells of overload, and none after half a minute without.
"""

from __future__ import annotations

import math
from typing import Final

from trunkline.clock import NANOS_PER_SECOND

BACK_OFF: Final = 0.9
REFUSALS_ROUND: Final = NANOS_PER_SECOND // 4
"""Refusals within this time are one sign: those of calls that were sent together come together."""
FLOOR: Final = 4
"""Calls at once that are always let through: or nothing would tell that it is better."""
TOLERANCE: Final = 2.0
"""So many times the least is ordinary: prompts of one class differ by as much."""
SLACK: Final = NANOS_PER_SECOND // 10
STEEPEST: Final = 0.5
WINDOW: Final = NANOS_PER_SECOND
FEWEST: Final = 5
"""First bytes that a window must have."""
EPOCH: Final = 300 * NANOS_PER_SECOND
"""The least is that of this epoch and the one before."""
FORGOTTEN: Final = 30 * NANOS_PER_SECOND
"""After so long without a sign of overload there is no limit any more."""
IN_VAIN: Final = 4
"""After so many cuts that halved the limit and changed nothing, the deployment is slow by itself."""
HELPED: Final = 0.8


class Throttle:
    """One deployment's, as one process knows it. Times are monotonic nanoseconds.

    Attributes:
        limit: calls at once; None where nothing tells of overload.
        peak: the most calls at once since there was none.
    """

    __slots__ = (
        "_cut_at",
        "_cuts",
        "_epoch_ends",
        "_exact",
        "_first_limit",
        "_heard",
        "_least",
        "_least_before",
        "_ratio",
        "_steep",
        "_told_at",
        "_window_ends",
        "_worst",
        "limit",
        "peak",
    )

    def __init__(self) -> None:
        self.limit: int | None = None
        self.peak = 0
        self._exact = 0.0
        self._cut_at = 0
        self._told_at = 0
        self._cuts = 0
        self._worst = 0.0
        self._first_limit = 0.0
        self._steep = False
        self._least: dict[int, int] = {}
        self._least_before: dict[int, int] = {}
        self._epoch_ends = 0
        self._window_ends = 0
        self._heard = 0
        self._ratio = math.inf

    def refused(self, calls: int, now: int) -> bool:
        """Take a refusal or a time-out, with so many calls under way; return whether a limit begins by it."""
        self._told_at = now
        if now - self._cut_at < REFUSALS_ROUND and self._cut_at:
            return False
        return self._cut(self._in_use(calls) * BACK_OFF, now)

    def hear(self, first_byte: int, prompt: int, calls: int, now: int) -> bool:
        """Take the time to the first byte of a stream, with the length of its prompt; return whether a limit begins."""
        kind = prompt.bit_length()
        if now >= self._epoch_ends:
            self._least_before, self._least = self._least, {}
            self._epoch_ends = now + EPOCH
        least = min(self._least.get(kind, first_byte), self._least_before.get(kind, first_byte), first_byte)
        self._least[kind] = min(self._least.get(kind, first_byte), first_byte)
        if now - first_byte < self._cut_at:
            return False  # It began before the last cut, and tells nothing of what that did.
        self._heard += 1
        self._ratio = min(self._ratio, first_byte / (least + SLACK))
        if self._heard < FEWEST or now < self._window_ends:
            return False
        ratio, self._ratio, self._heard = self._ratio, math.inf, 0
        self._window_ends = now + WINDOW
        gradient = max(STEEPEST, min(1.0, TOLERANCE / ratio))
        self._steep = gradient < 1.0
        if not self._steep:
            self._cuts = 0
            return False
        self._told_at = now
        used = self._exact = self._in_use(calls)
        if self._is_vain(ratio):
            self._least, self._least_before = {}, {}
            self._forget()
            return False
        return self._cut(min(gradient * used + math.sqrt(used), used), now)

    def answered(self, calls: int, now: int) -> None:
        """Take an answer that went well, while there is a limit: more is tried where it is used, and in time none."""
        if self.limit is None:
            return
        if now - self._told_at >= FORGOTTEN:
            self._forget()
        elif 2 * calls >= self.limit and now - self._told_at >= WINDOW and not self._steep:
            self._exact += 1 / self._exact
            self.limit = int(self._exact)

    def _in_use(self, calls: int) -> float:
        """The limit, or the most calls at once of late where there is none."""
        return self._exact if self.limit is not None else float(max(self.peak, calls))

    def _cut(self, to: float, now: int) -> bool:
        begins = self.limit is None
        self._exact = max(to, FLOOR)
        self.limit = int(self._exact)
        self._cut_at = now
        return begins

    def _is_vain(self, ratio: float) -> bool:
        """Whether cuts have not helped: then it is not our calls that wait for each other there."""
        if not self._cuts or ratio < HELPED * self._worst:
            self._cuts, self._worst, self._first_limit = 1, ratio, self._exact
            return False
        self._cuts += 1
        self._worst = max(self._worst, ratio)  # A queue that is still growing is no proof that a cut did not help.
        return self._cuts > IN_VAIN and self._exact <= max(self._first_limit / 2, FLOOR)

    def _forget(self) -> None:
        self.limit = None
        self._cuts = 0
        self._steep = False
