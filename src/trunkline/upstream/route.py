from __future__ import annotations

from collections.abc import Callable, Iterator

from trunkline.estate.stages import Attempt, Endpoint, Permitted
from trunkline.messages import Usage
from trunkline.money import Nano

Bound = Callable[[Permitted, Endpoint], tuple[Usage, Nano]]


def route(permitted: Permitted, bound: Bound) -> Iterator[Attempt]:
    """Order the allowed endpoints: pool after pool, tier after tier, as declared; one attempt each.

    Args:
        permitted: what policy allows; nothing outside it is ever tried.
        bound: the most tokens that a call can use at an endpoint, and what they cost.
    """
    number = 0
    for place, tier in enumerate(permitted.decision.tiers, start=1):
        for endpoint in tier:
            number += 1
            most, hold = bound(permitted, endpoint)
            reason = f"tier {place}" if number == 1 else f"tier {place} after {number - 1} failed"
            yield Attempt(
                permitted=permitted,
                endpoint=endpoint,
                number=number,
                bound=most,
                hold=hold,
                reason=reason,
            )
