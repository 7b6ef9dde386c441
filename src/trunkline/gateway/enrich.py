from __future__ import annotations

from trunkline.estate.stages import Permitted


async def enrich(permitted: Permitted) -> Permitted:
    """Add what the use case's data sets hold for this caller. No use case has data sets in force yet: as it was."""
    return permitted
