"""Budgets while the exchange runs: how they stand, for the metrics, and a word to the operator at each threshold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

import msgspec

from trunkline.clock import NANOS_PER_SECOND, Clock, iso
from trunkline.errors import Unavailable
from trunkline.metering.alerts import AlertStore, Recipients, tell_frozen, tell_thresholds
from trunkline.metering.budgets import Budgets, Stands
from trunkline.metering.ports import LeaseStore, Standing
from trunkline.money import bare
from trunkline.observability.metrics import BudgetReading
from trunkline.store.changes import Changes

LOOK_EVERY = 1.0
"""Seconds between two looks, at least."""

LOOK_BACK_EVERY = 60
"""Seconds between two looks at periods that are over: what is booked of them is told within so many."""

SWEEP_EVERY = 300
"""Seconds between two sweeps of leases that are gone."""

BUDGETS = "budgets"

SWEPT_AT_ONCE = 500
SWEEPS = 20
"""Bounds of one sweep: so many rows in a transaction, and so many transactions."""

log = logging.getLogger("trunkline.app")


class WatchedStore(LeaseStore, AlertStore, Protocol):
    """Where budgets stand, and what is told of them waits."""


class BudgetWatch:
    """Looks now and then how the budgets stand. Whichever process of however many sees it first tells the operator."""

    def __init__(self, budgets: Budgets, recipients: Recipients, store: WatchedStore, clock: Clock) -> None:
        self._budgets = budgets
        self._recipients = recipients
        self._store = store
        self._clock = clock
        self._frozen: dict[str, int] = {}
        self._standings: tuple[Standing, ...] = ()

    def adopt(self, budgets: Budgets, recipients: Recipients) -> None:
        """Go on with the budgets and the webhooks of another estate."""
        self._budgets, self._recipients = budgets, recipients

    async def follow(self, changes: Changes | None = None) -> None:
        """Look now and then, for ever; with `changes` that tell of all there are, seldom where nothing changes."""
        swept, looked_back = self._clock.ticks(), 0
        while True:
            if self._budgets:
                await asyncio.to_thread(self.look)
                if not looked_back or self._clock.ticks() - looked_back > LOOK_BACK_EVERY * NANOS_PER_SECOND:
                    await asyncio.to_thread(self.look_back)
                    looked_back = self._clock.ticks()
            if self._clock.ticks() - swept > SWEEP_EVERY * NANOS_PER_SECOND:
                await asyncio.to_thread(self.sweep)
                swept = self._clock.ticks()
            await asyncio.sleep(LOOK_EVERY)
            if changes is not None:
                await changes.wait(BUDGETS, 0)

    def look(self) -> None:
        """Look once; while the store is away, what was seen last stays."""
        try:
            by_name = {one.account.name: one for one in self._budgets}
            self._standings = tuple(
                standing
                for standing in self._store.standings()
                if (stands := by_name.get(standing.allowance.name)) is not None
                and stands.has(standing.allowance.period)
            )
            for standing in self._standings:
                self._warn(by_name[standing.allowance.name], standing)
            self._tell_frozen(by_name)
        except Unavailable:
            return

    def look_back(self) -> None:
        """Tell of thresholds of periods that are over, passed by what was booked late or while nobody looked."""
        by_name = {one.account.name: one for one in self._budgets}
        try:
            for standing in self._store.late_standings():
                stands = by_name.get(standing.allowance.name)
                if stands is not None and stands.has(standing.allowance.period):
                    self._warn(stands, standing)
                    self._store.note_seen(standing)
        except Unavailable:
            return

    def sweep(self) -> None:
        """Have the store take out leases that are gone, some at a time; what it does not manage waits."""
        try:
            for _ in range(SWEEPS):
                if self._store.sweep(SWEPT_AT_ONCE) < SWEPT_AT_ONCE:
                    return
        except Unavailable:
            return

    def readings(self) -> dict[str, BudgetReading]:
        """Return how the budgets of the estate stand."""
        declared = {one.account.name for one in self._budgets}
        return {
            one.allowance.name: BudgetReading(
                limit=one.allowance.limit + one.allowance.raised,
                settled=one.allowance.settled,
                leased=one.allowance.leased,
                frozen=one.frozen,
                warned=one.warned,
                warned_before=one.warned_before,
            )
            for one in self._standings
            if one.allowance.name in declared
        }

    def _warn(self, stands: Stands, standing: Standing) -> None:
        allowance = standing.allowance
        passed = sum(allowance.settled >= amount for amount in stands.warn_at)
        now = self._clock.now()
        over = allowance.period.ends <= now
        # What was passed when somebody looked after the end was told then: thresholds of today have nothing to add.
        told = sum(standing.seen >= amount for amount in stands.warn_at) if standing.seen is not None else 0
        if passed <= max(standing.warned, told):
            if passed < standing.warned and not over:
                self._forget(stands, standing, passed)
            return
        # Kept before it is noted, under an id of its own: who dies in between leaves it to others.
        new = msgspec.structs.replace(standing, warned=max(standing.warned, told))
        self._store.add_alerts(tell_thresholds(self._recipients, stands, new, passed, now))
        if not self._store.warn_once(allowance.name, allowance.period.starts, standing.warned, passed):
            return
        log.warning(
            "a budget has passed a threshold",
            extra={
                "budget": allowance.name,
                "threshold": bare(stands.warn_at[passed - 1]),
                "spent": bare(allowance.settled),
                "limit": bare(allowance.limit + allowance.raised),
                "currency": stands.currency,
                "owner": stands.owner,
            }
            | ({"period": f"{iso(allowance.period.starts)} to {iso(allowance.period.ends)}"} if over else {}),
        )

    def _forget(self, stands: Stands, standing: Standing, passed: int) -> None:
        """Have thresholds be passed anew that another declaration put out of reach again: only by the newest one."""
        allowance = standing.allowance
        if stands.account.declared_at >= allowance.declared_at and stands.account.limit == allowance.limit:
            self._store.warn_once(allowance.name, allowance.period.starts, standing.warned, passed)

    def _tell_frozen(self, by_name: Mapping[str, Stands]) -> None:
        """Have webhooks told of what is frozen, when that has changed since the last look."""
        frozen = {one.allowance.name: one.frozen for one in self._standings if one.frozen}
        if frozen == self._frozen:
            return
        if frozen and self._recipients:
            rows, now = self._store.open_leases(), self._clock.now()
            alerts = [
                alert
                for name in frozen
                if name in by_name
                for alert in tell_frozen(self._recipients, by_name[name], rows, now)
            ]
            self._store.add_alerts(alerts)
        self._frozen = frozen
