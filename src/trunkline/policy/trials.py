"""Splits and shadows of a use case at a moment: which of them hold, and where they send a call.

Neither widens what policy allows: a split orders what is allowed, and a shadow's deployment is decided on like any.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from trunkline.clock import as_nanos
from trunkline.estate.decisions import Arm, Decision, Drawn
from trunkline.estate.moments import begins, ends
from trunkline.estate.trials import Shadow, Split
from trunkline.messages import Asked
from trunkline.policy.failover import line_up
from trunkline.policy.satisfy import FAR
from trunkline.tenancy.callers import Caller

Trial = Split | Shadow


def _span(trial: Trial) -> tuple[int | None, int | None]:
    """When a trial begins and ends, in nanoseconds since 1970; None where it does not say."""
    since = None if trial.from_ is None else as_nanos(begins(trial.from_))
    return since, None if trial.until is None else as_nanos(ends(trial.until))


def holds(trial: Trial, now: int) -> bool:
    """Whether a trial holds at a moment."""
    since, until = _span(trial)
    return (since is None or since <= now) and (until is None or now < until)


def changes_at(trials: Iterable[Trial], now: int) -> int:
    """When the first of several trials begins or ends after now."""
    dates = [date for trial in trials for date in _span(trial) if date is not None and date > now]
    return min(dates, default=FAR)


def share_out(decision: Decision, splits: Mapping[str, Split], now: int) -> Decision:
    """Return a decision with a branch for each arm of the split that holds and that something allowed can serve."""
    name, split = next(((name, one) for name, one in splits.items() if holds(one, now)), ("", None))
    if split is None:
        return decision
    branches: dict[str, Decision] = {}
    for arm in split.shares:
        branch = line_up(msgspec.structs.replace(decision, arm=arm, trial=f"split {name}: {arm}"))
        if branch.arm:
            branches[arm] = branch
    if not branches:
        return decision
    whole, upto = sum(split.shares[arm] for arm in branches), 0
    arms = []
    for arm in branches:
        upto += split.shares[arm]
        arms.append(Arm(arm, upto / whole))
    drawn = Drawn(by=split.by, salt=f"{decision.use_case}\0{name}", arms=tuple(arms))
    return msgspec.structs.replace(decision, drawn=drawn, branches=branches)


def draw(drawn: Drawn, caller: Caller, asked: Asked) -> str:
    """Return the arm that a call goes to: the same for all that have in common what the split goes by."""
    match drawn.by:
        case "session":
            whom = asked.session
        case "key":
            whom = caller.key
        case "end_customer":
            whom = asked.end_customer
        case _:
            whom = None
    point = random.random() if whom is None else _point(drawn.salt, whom)  # noqa: S311 - shares out, keeps no secret
    return next((arm.name for arm in drawn.arms if point < arm.upto), drawn.arms[-1].name)


def _point(salt: str, whom: str) -> float:
    digest = blake2b(f"{salt}\0{whom}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
