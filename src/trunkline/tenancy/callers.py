from __future__ import annotations

import msgspec

from trunkline.ids import KeyId


class Caller(msgspec.Struct, frozen=True):
    """Who asks, resolved from a key: its unit and cost centre, and the use cases the key is restricted to (or None)."""

    key: KeyId
    unit: str
    cost_centre: str
    use_cases: frozenset[str] | None = None
