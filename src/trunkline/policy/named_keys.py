from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trunkline.estate.estate import Estate

PREFIX = "key:"


class NamedKey(msgspec.Struct, frozen=True):
    """A key that an estate names: where, and what it is named for if it does not work."""

    path: tuple[str | int, ...]
    key: str
    in_vain: str


def named_keys(estate: Estate) -> Iterator[NamedKey]:
    """Yield every key that an estate names by its id."""
    for name, use_case in estate.use_cases.items():
        for place, who in enumerate(use_case.audience):
            if who.startswith(PREFIX):
                in_vain = f"use case {name} lets nobody in by it"
                yield NamedKey(("use_cases", name, "audience", place), who.removeprefix(PREFIX), in_vain)
    nodes = {"budget": [one.on for one in estate.budgets], "limit": [one.on for one in estate.limits]}
    for what, several in nodes.items():
        for place, node in enumerate(several):
            if node.key is not None:
                yield NamedKey((f"{what}s", place, "on", "key"), node.key, f"the {what} on it binds nothing")
