from __future__ import annotations

import asyncio

import msgspec

from trunkline.errors import NotCarried, OverBudget, Unavailable
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.stages import Attempt
from trunkline.gateway.admit import let_in
from trunkline.gateway.exchange import Exchange
from trunkline.metering.purses import Pledge
from trunkline.metering.visit import Visit
from trunkline.policy.permit import still_permitted
from trunkline.upstream.compose import Letter, compose
from trunkline.upstream.course import Course


class Ready(msgspec.Struct, frozen=True):
    """An attempt that may be sent at once: what is to be sent, and what it holds in the budgets above it."""

    letter: Letter
    pledge: Pledge | None


async def prepare(
    exchange: Exchange, snapshot: Snapshot, attempt: Attempt, course: Course, visit: Visit | None = None
) -> Ready | None:
    """Wait for an attempt's turn, its limits and its budgets, and make sure that it may still be sent.

    Nothing is waited for between the last look at the estate and the return: what is ready is permitted at this moment.

    Args:
        exchange: which estate is in force, which budgets, and what is left out.
        snapshot: the estate that the call was permitted under.
        attempt: what is to be sent.
        course: hears why an attempt is not made.
        visit: counts the call against the limits above it; None where there are none.

    Returns:
        What is to be sent; None where this attempt is not to be made, and holds nothing.

    Raises:
        RateLimited: a limit of the caller's own is reached.
        Malformed: a request that must be translated is not as its dialect has it.
    """
    if attempt.wait:
        await asyncio.sleep(attempt.wait)
        if exchange.health.is_crowded(attempt.endpoint):
            course.crowded[attempt.endpoint.deployment] = attempt.endpoint
            return None
    if visit is not None and not await let_in(visit, attempt, course, exchange.waiting):
        return None
    pledge: Pledge | None = None
    cashier = exchange.cashier
    if cashier is not None and cashier.in_force:
        try:
            pledge = await cashier.pledge(attempt)
        except (OverBudget, Unavailable) as refusal:
            course.short.append(refusal)
            return None
    ready: Ready | None = None
    try:
        if _may_be_sent(exchange, snapshot, attempt, course):
            ready = Ready(compose(attempt, None if pledge is None else pledge.output_limit), pledge)
    except NotCarried as lost:
        course.uncarried.append((attempt.endpoint.deployment, lost))
    finally:
        if ready is None and pledge is not None:
            pledge.settle(0)
    return ready


def _may_be_sent(exchange: Exchange, snapshot: Snapshot, attempt: Attempt, course: Course) -> bool:
    current, endpoint = exchange.snapshot, attempt.endpoint
    if current is not snapshot and not (
        # A hold in the currency of an estate that is gone would be booked as so much of the new one.
        current.currency == snapshot.currency and still_permitted(current, attempt.permitted, endpoint)
    ):
        return False
    if exchange.is_ejected(attempt):
        course.ejected.append(endpoint.deployment)
        return False
    return True
