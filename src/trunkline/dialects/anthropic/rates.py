"""What is left of a caller's limits, as Anthropic tells it.

Source: Anthropic API documentation, "Rate limits", section "Response headers".
"""

from __future__ import annotations

import math

from trunkline.clock import NANOS_PER_SECOND, as_datetime
from trunkline.errors import RatesLeft


def rate_lines(rates: RatesLeft) -> bytes:
    """Return the header lines, each ended by CR LF; none for what has no limit."""
    lines = b""
    for what, left in (("requests", rates.requests), ("tokens", rates.tokens)):
        if left is not None:
            resets = as_datetime(math.ceil(left.resets_at / NANOS_PER_SECOND) * NANOS_PER_SECOND)
            lines += (
                f"anthropic-ratelimit-{what}-limit: {left.limit}\r\n"
                f"anthropic-ratelimit-{what}-remaining: {left.left}\r\n"
                f"anthropic-ratelimit-{what}-reset: {resets:%Y-%m-%dT%H:%M:%SZ}\r\n"
            ).encode()
    return lines
