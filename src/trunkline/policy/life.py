"""Where a use case stands in its life at a moment, and what callers are told of it."""

from __future__ import annotations

import msgspec

from trunkline.clock import as_nanos
from trunkline.estate.use_cases import State, UseCase
from trunkline.policy.satisfy import FAR


class Standing(msgspec.Struct, frozen=True):
    """How a use case stands.

    Attributes:
        state: a deprecated one is retired from its day on.
        warning: what callers are told beside each answer; empty when there is nothing to say.
        deprecated: since when it is deprecated, in nanoseconds since 1970; None when it is not.
        sunset: when it ends, in nanoseconds since 1970.
        successor: what to use instead: the first in the line of successors that is not retired.
        until: when this changes by itself, in nanoseconds since 1970.
    """

    state: State
    warning: str = ""
    deprecated: int | None = None
    sunset: int | None = None
    successor: str | None = None
    until: int = FAR


def stand(name: str, use_cases: dict[str, UseCase], now: int) -> Standing:
    """Return how a use case stands at `now`, in nanoseconds since 1970.

    One that does not say since when it is deprecated is so from now on.
    """
    use_case = use_cases[name]
    state, instead = _state(use_case, now), heir(name, use_cases, now)
    if state is not State.DEPRECATED:
        return Standing(state, successor=instead)
    ends = None if use_case.retires is None else as_nanos(use_case.retires)
    return Standing(
        state,
        warning=_warn(name, use_case, instead),
        deprecated=now if use_case.deprecated_at is None else as_nanos(use_case.deprecated_at),
        sunset=ends,
        successor=instead,
        until=FAR if ends is None else ends,
    )


def heir(name: str, use_cases: dict[str, UseCase], now: int) -> str | None:
    """Return the first of a use case's successors that is not retired itself; None where there is none."""
    seen = {name}
    step = use_cases[name].successor
    while step is not None and step in use_cases and step not in seen:
        if _state(use_cases[step], now) is not State.RETIRED:
            return step
        seen.add(step)
        step = use_cases[step].successor
    return None


def _state(use_case: UseCase, now: int) -> State:
    ends = use_case.retires
    gone = use_case.state is State.DEPRECATED and ends is not None and as_nanos(ends) <= now
    return State.RETIRED if gone else use_case.state


def _warn(name: str, use_case: UseCase, instead: str | None) -> str:
    ends = f" and ends on {use_case.retires.date().isoformat()}" if use_case.retires is not None else ""
    use = f"; use {instead}" if instead is not None else ""
    return f"use case {name} is deprecated{ends}{use}"
