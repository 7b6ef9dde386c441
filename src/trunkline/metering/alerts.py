"""What webhooks are told of budgets: each event in words and numbers, under an id that is the same whoever finds it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Protocol

import msgspec

from trunkline.clock import NANOS_PER_SECOND, iso
from trunkline.estate.estate import Estate
from trunkline.estate.stages import Attempt
from trunkline.estate.webhooks import Event, Webhook
from trunkline.metering.budgets import Stands
from trunkline.metering.periods import FOREVER, Period
from trunkline.metering.ports import LeaseRow, Standing
from trunkline.metering.records import Settlement
from trunkline.money import bare

HOUR: Final = 3_600 * NANOS_PER_SECOND
"""Overruns of a deployment are told once in so many nanoseconds."""


class Alert(msgspec.Struct, frozen=True):
    """One message to one webhook.

    Attributes:
        id: the same for the same event, so that it is kept once.
        at: when it was found, in nanoseconds since 1970.
        body: the JSON that is sent.
    """

    id: str
    webhook: str
    at: int
    body: str


class Due(msgspec.Struct, frozen=True):
    """A message that is to be sent now, for the `tries`th time."""

    alert: Alert
    tries: int


class AlertStore(Protocol):
    """Where messages wait until they are taken. Implemented by the store; every method is one transaction."""

    def add_alerts(self, alerts: Sequence[Alert]) -> None:
        """Keep messages to be sent; those that were kept before stay as they are."""
        ...

    def due_alerts(self, webhooks: Collection[str], most: int) -> tuple[Due, ...]:
        """Take messages that are due, oldest first: nobody else gets them for a minute."""
        ...

    def postpone_alert(self, alert: Alert, wait: int) -> None:
        """Have a message be due again in so many nanoseconds."""
        ...

    def end_alert(self, alert: Alert, outcome: str) -> None:
        """Note that a message was taken, or is given up: it is never due again."""
        ...

    def sweep_alerts(self) -> None:
        """Take out messages that ended long ago."""
        ...


class Recipients(msgspec.Struct, frozen=True):
    """The webhooks of an estate.

    Attributes:
        of: what each declares.
        units: for each, the units it is told of with all below them; None for everything.
    """

    estate: str
    of: Mapping[str, Webhook]
    units: Mapping[str, frozenset[str] | None]

    def __bool__(self) -> bool:
        return bool(self.of)

    def told(self, event: Event, unit: str) -> tuple[str, ...]:
        """Return the webhooks that are told of an event that concerns a unit; empty where it concerns none."""
        return tuple(
            name
            for name, webhook in self.of.items()
            if (not webhook.events or event in webhook.events)
            and ((units := self.units[name]) is None or unit in units)
        )


def compile_recipients(estate: Estate) -> Recipients:
    """Return the webhooks of a checked estate."""
    units = {
        name: frozenset(one for one in estate.units if not set(webhook.units).isdisjoint(estate.lineage(one)))
        if webhook.units
        else None
        for name, webhook in estate.webhooks.items()
    }
    return Recipients(estate.name, estate.webhooks, units)


def tell_thresholds(to: Recipients, stands: Stands, standing: Standing, passed: int, now: int) -> tuple[Alert, ...]:
    """Return what is told of the thresholds that a budget has passed and nobody was told of yet.

    Those of a period that is over were passed by what was booked late, or while nobody looked.
    """
    allowance = standing.allowance
    limit, spent = allowance.limit + allowance.raised, allowance.settled
    alerts: list[Alert] = []
    for place in range(standing.warned, passed):
        threshold = stands.warn_at[place]
        message = (
            f"The budget of {stands.words} has passed {bare(threshold)} {stands.currency}: {bare(spent)} of "
            f"{bare(limit)} {stands.currency} {_period(stands)} {_spent(allowance.period, now)}."
        )
        data = _budget(stands, standing.allowance.period) | {
            "threshold": bare(threshold),
            "spent": bare(spent),
            "limit": bare(limit),
        }
        key = ("threshold", allowance.name, str(allowance.period.starts), bare(threshold))
        alerts += _alerts(to, "budget.threshold", _unit(stands), key, now, message, data)
    return tuple(alerts)


def tell_frozen(to: Recipients, stands: Stands, rows: Iterable[LeaseRow], now: int) -> tuple[Alert, ...]:
    """Return what is told of a budget's leases whose workers are gone, once for each journal."""
    amounts: dict[tuple[str, int], int] = {}
    periods: dict[int, Period] = {}
    for row in rows:
        if row.allowance.name == stands.account.name and row.lease.frozen(now):
            period = row.allowance.period
            periods[period.starts] = period
            key = (row.lease.journal, period.starts)
            amounts[key] = amounts.get(key, 0) + row.lease.room
    alerts: list[Alert] = []
    for (journal, starts), amount in amounts.items():
        message = (
            f"{bare(amount)} {stands.currency} of the budget of {stands.words} are frozen: their worker is gone, and "
            "its journal was not read yet. Start its exchange on its data folder, or see `trunkline ledger resolve`."
        )
        data = _budget(stands, periods[starts]) | {"frozen": bare(amount), "journal": journal}
        key_of = ("frozen", stands.account.name, str(starts), journal)
        alerts += _alerts(to, "budget.frozen", _unit(stands), key_of, now, message, data)
    return tuple(alerts)


def tell_overrun(to: Recipients, attempt: Attempt, settlement: Settlement, currency: str) -> tuple[Alert, ...]:
    """Return what is told of an attempt that cost more than could be held; once an hour for each deployment."""
    permitted, deployment = attempt.permitted, attempt.endpoint.deployment
    message = (
        f"{deployment} billed {bare(settlement.cost)} {currency} for a call that could cost {bare(attempt.hold)} at "
        "most. It is booked in full, beyond the budgets if need be. Further ones within this hour are not told apart."
    )
    data = {
        "deployment": deployment,
        "request_id": settlement.request,
        "unit": permitted.caller.unit,
        "use_case": permitted.decision.use_case,
        "held": bare(attempt.hold),
        "cost": bare(settlement.cost),
        "currency": currency,
    }
    key = ("overrun", deployment, permitted.caller.unit, str(settlement.at // HOUR))
    return _alerts(to, "budget.overrun", permitted.caller.unit, key, settlement.at, message, data)


def _alerts(
    to: Recipients, event: Event, unit: str, key: tuple[str, ...], now: int, message: str, data: Mapping[str, Any]
) -> tuple[Alert, ...]:
    names = to.told(event, unit)
    if not names:
        return ()
    id_of = "msg_" + sha256("\0".join((to.estate, *key)).encode()).hexdigest()[:32]
    body = {"type": event, "timestamp": iso(now), "data": {"estate": to.estate, "message": message, **data}}
    written = msgspec.json.encode(body).decode()
    return tuple(Alert(id_of, name, now, written) for name in names)


def _budget(stands: Stands, period: Period) -> dict[str, Any]:
    return {
        "budget": stands.account.name,
        "on": {stands.kind: stands.node},
        "period": {"starts": iso(period.starts), "ends": iso(period.ends) if period.ends < FOREVER else None},
        "hard": stands.account.hard,
        "currency": stands.currency,
        "ask": stands.owner or None,
    }


def _period(stands: Stands) -> str:
    return f"per {stands.per}" if stands.fixed is None else f"in {stands.per}"


def _spent(period: Period, now: int) -> str:
    return (
        "are spent"
        if now < period.ends
        else f"were spent in the period from {iso(period.starts)} to {iso(period.ends)}"
    )


def _unit(stands: Stands) -> str:
    """Which unit a budget concerns: itself, or the owner of what it is on."""
    return stands.node if stands.kind == "unit" else stands.owner
