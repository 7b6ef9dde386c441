from __future__ import annotations

from collections.abc import Sequence

from trunkline.errors import (
    Declined,
    NotPermitted,
    RateLimited,
    Refusal,
    Slow,
    UpstreamFailed,
    UpstreamFault,
    UpstreamTooSlow,
)
from trunkline.estate.stages import Permitted

TOO_MANY_REQUESTS = 429


def refuse(permitted: Permitted, failed: Sequence[tuple[str, UpstreamFault]]) -> Refusal:
    """Turn the faults of a call's attempts into the answer its caller gets: rates, time-out or failure."""
    name = permitted.asked.model
    if not failed:
        return NotPermitted(
            f'The estate changed while the call ran, and "{name}" may no longer be sent anywhere. Try again, or ask '
            f'the owner, unit "{permitted.decision.owner}".',
        )
    tried = "; ".join(f"{deployment}: {fault.message}" for deployment, fault in failed)
    inside = "; ".join(f"{deployment}: {fault.inside}" for deployment, fault in failed)
    message = f'No deployment of "{name}" could answer. Tried {tried}.'
    declined = [fault for _, fault in failed if isinstance(fault, Declined) and fault.status == TOO_MANY_REQUESTS]
    if len(declined) == len(failed):
        waits = [fault.retry_after for fault in declined if fault.retry_after is not None]
        return RateLimited(message, code="upstream_rate_limit", inside=inside, retry_after=min(waits, default=1))
    if isinstance(failed[-1][1], Slow):
        return UpstreamTooSlow(message, inside=inside)
    return UpstreamFailed(message, inside=inside)
