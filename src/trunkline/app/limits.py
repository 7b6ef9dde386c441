"""A worker's limits, joined with who waits for room under them."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.app.ground import Ground
from trunkline.gateway.exchange import Exchange
from trunkline.metering.counters import Page
from trunkline.metering.limits import Limits
from trunkline.metering.portions import Queue
from trunkline.metering.slots import Slots
from trunkline.metering.turnstile import Turnstile


def make_turnstile(ground: Ground, limits: Limits, exchange: Exchange) -> Turnstile:
    """Return what counts a worker's calls: in its data folder, and together with others where they share the store."""
    page = Page(ground.folder.path / "rates", alone=ground.options.workers == 1)
    store = ground.store if ground.store.shared else None
    turnstile = Turnstile(page, limits, ground.clock, store, ground.name)
    if turnstile.slots is not None:
        _join(turnstile.slots, turnstile, exchange)
    return turnstile


def _join(slots: Slots, turnstile: Turnstile, exchange: Exchange) -> None:
    """Have slots know who waits for them here, and who waits here know what others wait for elsewhere."""

    def waiting(limit: str) -> dict[str, Queue]:
        queues = exchange.waiting.queues(turnstile.bound_by(limit))
        return {unit: Queue(weight if calls else weigh(unit), calls) for unit, (weight, calls) in queues.items()}

    def weigh(unit: str) -> int:
        return exchange.snapshot.weights.get(unit, 1)

    def hear_spread(limit: str, spread: Mapping[str, float]) -> None:
        exchange.waiting.hear_spread(turnstile.bound_by(limit), spread)

    slots.waiting, slots.hear_spread, slots.weigh = waiting, hear_spread, weigh
