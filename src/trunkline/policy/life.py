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
        sunset: when it ends, in nanoseconds since 1970.
        until: when this changes by itself, in nanoseconds since 1970.
    """

    state: State
    warning: str = ""
    sunset: int | None = None
    until: int = FAR


def stand(name: str, use_case: UseCase, now: int) -> Standing:
    """Return how a use case stands at `now`, in nanoseconds since 1970."""
    if use_case.state is not State.DEPRECATED:
        return Standing(use_case.state)
    if use_case.retires is None:
        return Standing(State.DEPRECATED, _warn(name, use_case))
    ends = as_nanos(use_case.retires)
    if ends <= now:
        return Standing(State.RETIRED)
    return Standing(State.DEPRECATED, _warn(name, use_case), sunset=ends, until=ends)


def heir(name: str, use_cases: dict[str, UseCase], now: int) -> str | None:
    """Return the first of a use case's successors that is not retired itself; None where there is none."""
    seen = {name}
    step = use_cases[name].successor
    while step is not None and step in use_cases and step not in seen:
        if stand(step, use_cases[step], now).state is not State.RETIRED:
            return step
        seen.add(step)
        step = use_cases[step].successor
    return None


def _warn(name: str, use_case: UseCase) -> str:
    ends = f" and ends on {use_case.retires.date().isoformat()}" if use_case.retires is not None else ""
    instead = f"; use {use_case.successor}" if use_case.successor is not None else ""
    return f"use case {name} is deprecated{ends}{instead}"
