from __future__ import annotations

from types import TracebackType

from trunkline.errors import Unavailable
from trunkline.observability.metrics import Metrics

MOST_IN_FLIGHT = 10_000


class Gate:
    """Counts the calls in flight and lets no more in than the exchange can carry."""

    __slots__ = ("_metrics", "most")

    def __init__(self, metrics: Metrics, most: int = MOST_IN_FLIGHT) -> None:
        self._metrics = metrics
        self.most = most

    @property
    def in_flight(self) -> int:
        """How many calls are inside."""
        return self._metrics.in_flight

    def __enter__(self) -> None:
        """Let one call in."""
        self._metrics.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it out."""
        self._metrics.leave()


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
