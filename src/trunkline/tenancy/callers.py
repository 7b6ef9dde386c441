from __future__ import annotations

import msgspec

from trunkline.ids import KeyId


class Caller(msgspec.Struct, frozen=True):
    """Who asks, resolved from a key: its unit and cost centre, and the use cases the key is restricted to (or None).

    Attributes:
        person: who uses the key, where it was issued to one person.
    """

    key: KeyId
    unit: str
    cost_centre: str
    use_cases: frozenset[str] | None = None
    person: str | None = None
