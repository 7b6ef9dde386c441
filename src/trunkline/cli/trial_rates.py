"""What is tried out in a running exchange, from two looks at its metrics: the arms of splits, and copies of calls."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from trunkline.cli.rates import Look, Rate, rates
from trunkline.estate.estate import Estate
from trunkline.messages import SHADOW

_EVENTS: Final = "trunkline_upstream_events_total"


class ArmRate(msgspec.Struct, frozen=True):
    """What one arm of a split does, or the copies of a shadow.

    Attributes:
        trial: `split` or `shadow`, with its name.
        arm: the model or deployment.
        share: of the use case's calls that it is declared to get.
        rate: what it does, counted as `cli.rates` has it.
        left_out: copies per second that were not made, at the deployment of a shadow; of all its shadows together.
    """

    use_case: str
    trial: str
    arm: str
    share: float
    rate: Rate
    left_out: float = 0.0


def trial_rates(before: Look, now: Look, estate: Estate) -> Iterator[ArmRate]:
    """Yield the arms of every split and shadow that the estate declares, in its order."""
    for name, use_case in estate.use_cases.items():
        for trial, split in use_case.splits.items():
            whole = sum(split.shares.values()) or 1
            for arm, weight in split.shares.items():
                members = {
                    called for called, deployment in estate.deployments.items() if arm in (called, deployment.model)
                }
                rate = _rate(before, now, name, members)
                yield ArmRate(name, f"split {trial}", arm, weight / whole, rate)
        for trial, shadow in use_case.shadows.items():
            rate = _rate(before, now, f"{name} {SHADOW}{trial}", {shadow.to})
            left_out = _left_out(before, now, shadow.to)
            yield ArmRate(name, f"{SHADOW}{trial}", shadow.to, shadow.share, rate, left_out)


def _rate(before: Look, now: Look, use_case: str, members: Collection[str]) -> Rate:
    narrow = (_within(before, use_case, members), _within(now, use_case, members))
    return next(iter(rates(*narrow, "use_case")), Rate(use_case))


def _within(look: Look, use_case: str, members: Collection[str]) -> Look:
    wanted = ("use_case", use_case)
    samples = {
        key: value
        for key, value in look.samples.items()
        if wanted in key[1] and dict(key[1]).get("deployment") in members
    }
    return Look(look.at, samples)


def _left_out(before: Look, now: Look, deployment: str) -> float:
    key = (_EVENTS, frozenset({"event": "not_copied", "deployment": deployment}.items()))
    gained = now.samples.get(key, 0.0) - before.samples.get(key, 0.0)
    return max(0.0, gained) / max(now.at - before.at, 1e-9)
