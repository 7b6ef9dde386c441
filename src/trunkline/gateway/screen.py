from __future__ import annotations

from trunkline.estate.stages import Permitted


async def screen(permitted: Permitted) -> Permitted:
    """Hold the request against the use case's guardrails. None are in force yet: as it was."""
    return permitted
