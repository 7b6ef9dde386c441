from __future__ import annotations

from types import TracebackType

from trunkline.errors import Unavailable

MOST_IN_FLIGHT = 10_000


class Gate:
    """Counts the calls in flight and lets no more in than the exchange can carry."""

    __slots__ = ("in_flight", "most")

    def __init__(self, most: int = MOST_IN_FLIGHT) -> None:
        self.in_flight = 0
        self.most = most

    def __enter__(self) -> None:
        """Let one call in."""
        self.in_flight += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it out."""
        self.in_flight -= 1


def admit(gate: Gate) -> Gate:
    """Refuse early and cheaply; otherwise return the gate to pass through. Token rates are not in force yet.

    Raises:
        Unavailable: the exchange carries as many calls as it can.
    """
    if gate.in_flight >= gate.most:
        raise Unavailable(
            f"The exchange carries {gate.most} calls at once and takes no more at the moment.",
            code="overloaded",
            retry_after=1,
        )
    return gate
