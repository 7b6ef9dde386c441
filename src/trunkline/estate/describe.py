from __future__ import annotations

import msgspec

from trunkline.estate.deployments import Pattern
from trunkline.estate.estate import Estate


class Summary(msgspec.Struct, frozen=True):
    """An estate in a few plain words and numbers, for the start-up and `trunkline check`.

    Attributes:
        root: the one unit without a parent.
        data_classes: loosest first.
        deployments: names by pattern, in the order of the patterns; a pattern without a deployment has an empty list.
    """

    estate: str
    version: str
    currency: str
    root: str
    data_classes: tuple[str, ...]
    deployments: dict[str, tuple[str, ...]]
    units: int
    boundaries: int
    pools: int
    use_cases: int
    budgets: int
    limits: int


def describe(estate: Estate) -> Summary:
    """Summarise an estate."""
    return Summary(
        estate=estate.name,
        version=estate.version,
        currency=estate.currency,
        root=estate.root,
        data_classes=tuple(estate.data_classes),
        deployments={
            pattern.value: tuple(name for name, each in estate.deployments.items() if each.pattern is pattern)
            for pattern in Pattern
        },
        units=len(estate.units),
        boundaries=len(estate.boundaries),
        pools=len(estate.pools),
        use_cases=len(estate.use_cases),
        budgets=len(estate.budgets),
        limits=len(estate.limits),
    )
