"""What the tests of routing, health and waiting stand on: a clock that stands still, endpoints, calls."""

from __future__ import annotations

from trunkline.clock import NANOS_PER_SECOND as SECOND
from trunkline.estate.decisions import Decision
from trunkline.estate.deployments import Pattern, Tolerance
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt, Permitted
from trunkline.estate.unit_prices import UnitPrice
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation, Usage
from trunkline.money import Nano
from trunkline.tenancy.callers import Caller
from trunkline.wire.origins import Origin, Times


class Clock:
    """Stands still unless it is moved; nanoseconds."""

    def __init__(self) -> None:
        self.at = 1_000 * SECOND

    def now(self) -> int:
        return self.at

    def ticks(self) -> int:
        return self.at


def endpoint(name: str, model: str = "openai/gpt", retries: int = 0, failures: int = 5) -> Endpoint:
    return Endpoint(
        deployment=name,
        pattern=Pattern.SAAS,
        boundary="b",
        model=model,
        upstream_model=model,
        dialect="openai",
        origin=Origin(name, 80, tls=False),
        base_path="/v1",
        headers=b"",
        price=UnitPrice(),
        times=Times(2, 20, 30, 600),
        retries=retries,
        tolerance=Tolerance(failures=failures),
    )


def permitted(
    *tiers: tuple[Endpoint, ...],
    weights: dict[str, int] | None = None,
    unit: str = "acme",
    priority: int = 1,
    wait: float = 5.0,
    **asked: object,
) -> Permitted:
    made = Asked(Operation.CHAT, "openai", "chat", {}, prompt_bound=400, **asked)  # type: ignore[arg-type]
    decision = Decision("chat", "acme", "internal", tiers, weights=weights or {}, priority=priority, wait=wait)
    return Permitted(Caller(KeyId("k"), unit, "CC"), made, decision)


def bound(_permitted: Permitted, _endpoint: Endpoint) -> tuple[Usage, Nano]:
    return Usage(input=100, output=100), Nano(0)


def attempt(call: Permitted, to: Endpoint) -> Attempt:
    most, hold = bound(call, to)
    return Attempt(call, to, 1, most, hold, "because", to.times)
