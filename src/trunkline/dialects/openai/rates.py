"""What is left of a caller's limits, as OpenAI tells it.

Source: OpenAI API documentation, "Rate limits", section "Rate limits in headers".
"""

from __future__ import annotations

import math

from trunkline.errors import RatesLeft


def rate_lines(rates: RatesLeft) -> bytes:
    """Return the header lines, each ended by CR LF; none for what has no limit."""
    lines = b""
    for what, left in (("requests", rates.requests), ("tokens", rates.tokens)):
        if left is not None:
            lines += (
                f"x-ratelimit-limit-{what}: {left.limit}\r\n"
                f"x-ratelimit-remaining-{what}: {left.left}\r\n"
                f"x-ratelimit-reset-{what}: {_span(left.resets_in)}\r\n"
            ).encode()
    return lines


def _span(seconds: float) -> str:
    """Write a duration as Go does: `6m0s`, `1h0m5s`, `12s`."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
