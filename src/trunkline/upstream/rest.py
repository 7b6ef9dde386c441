"""What a call may still do where its first choice is not plain, or has failed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from trunkline.clock import NANOS_PER_SECOND
from trunkline.errors import Declined, Unreachable, UpstreamFault
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt, Permitted
from trunkline.upstream.attempts import SHORTEST, Bound, attempt_at, times_left, tokens_of
from trunkline.upstream.breaker import State
from trunkline.upstream.course import Course
from trunkline.upstream.gauge import Gauge, Standing
from trunkline.upstream.health import Event, Health

LONGEST_WAIT: Final = 2.0
"""Seconds that a call waits at most for a deployment that asked to be spared, or before it is repeated."""
FIRST_BACK_OFF: Final = 0.1
"""Seconds before a call is repeated at the same deployment: from half of it to the whole, doubled each time."""
REPEATABLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same deployment may answer the same request; nothing was billed."""

HALF: Final = 0.5
HEALTHY: Final = frozenset({Standing.GOOD, Standing.EASING_IN})
WORDS: Final = {
    Standing.EASING_IN: "is back only for a share of the calls",
    Standing.SHAKY: "fails too often",
    Standing.SPENT: "has too little of its quota left",
    Standing.OPEN: "has failed and is left alone",
    Standing.PAUSED: "asked to be spared",
    Standing.CROWDED: "has no room",
}


class _Candidate(msgspec.Struct, frozen=True):
    """An endpoint that a call may still go to.

    Attributes:
        due: whether it is time to see whether it is back.
        spared: whether it counts as good although it is not, because most of its pool is not.
    """

    endpoint: Endpoint
    place: int
    standing: Standing
    due: bool
    spared: bool = False


def _rank(candidate: _Candidate) -> tuple[int, int, bool, int]:
    """The lower the better."""
    standing = candidate.standing
    if standing <= Standing.SHAKY:
        return 0, candidate.place, not candidate.due, standing
    return standing, candidate.place, False, 0


class Rest:
    """What a call may still do, looked at whenever it needs another attempt."""

    def __init__(
        self, permitted: Permitted, bound: Bound, health: Health, course: Course, tried: tuple[Endpoint, ...] = ()
    ) -> None:
        self._permitted = permitted
        self._bound = bound
        self._health = health
        self._course = course
        self._tried = {endpoint.deployment: 1 for endpoint in tried}
        self._draw = random.random()  # noqa: S311 - spreads load, keeps no secret
        self._tokens = tokens_of(permitted.asked)

    def attempts(self) -> Iterator[Attempt]:
        """Yield one attempt for each endpoint that may be called now, then those for which waiting pays."""
        before: str | None = next(iter(self._tried), None)
        while (candidate := self._next()) is not None:
            endpoint = candidate.endpoint
            self._fail_over(before, endpoint)
            before = endpoint.deployment
            yield self._make(endpoint, self._why(candidate), 0.0)
        while (again := self._again()) is not None:
            endpoint, wait = again
            yield self._make(endpoint, self._why_again(endpoint, wait), wait)

    def take_turn(self, endpoint: Endpoint) -> Attempt:
        """Return an attempt where it is the call's turn, after it has waited for room."""
        since = self._course.waiting_since
        waited = 0.0 if since is None else (self._health.now() - since) / NANOS_PER_SECOND
        return self._make(endpoint, f"after {waited:.2f} s of waiting for room{self._why_full()}", 0.0)

    def _next(self) -> _Candidate | None:
        """The best of those that were not tried yet; None when there is none that may be called now."""
        candidates = self._candidates()
        if not candidates:
            return None
        best = min(candidates, key=_rank)
        equals = [one for one in candidates if _rank(one) == _rank(best)]
        return best if len(equals) == 1 else self._choose(equals)

    def _candidates(self) -> list[_Candidate]:
        health, course, now = self._health, self._course, self._health.now()
        found: list[_Candidate] = []
        left = course.left(now)
        for place, tier in enumerate(self._permitted.decision.tiers, start=1):
            here: list[_Candidate] = []
            for endpoint in tier:
                if endpoint.deployment in self._tried:
                    continue
                gauge = health.gauge(endpoint)
                if left is not None and self._is_late(gauge, left, now):
                    course.late.append(endpoint.deployment)
                    self._tried[endpoint.deployment] = 0
                    continue
                standing = gauge.standing(now, self._draw, self._tokens)
                if standing is Standing.PAUSED:
                    continue
                if standing is Standing.CROWDED:
                    course.crowded[endpoint.deployment] = endpoint
                    continue
                due = gauge.breaker.state is not State.CLOSED and standing is Standing.GOOD
                here.append(_Candidate(endpoint, place, standing, due))
            here = [self._keep_enough(one, now) for one in _enough_of(here)]
            found += here
            if any(one.standing <= Standing.SHAKY for one in here):
                break
        return found

    def _keep_enough(self, candidate: _Candidate, now: int) -> _Candidate:
        """Count one that still answers now and then as good, where too little of its pool is in good health."""
        endpoint, decision = candidate.endpoint, self._permitted.decision
        if candidate.standing is not Standing.OPEN or not self._health.gauge(endpoint).breaker.flaps:
            return candidate
        pool = decision.pools.get(endpoint.deployment, "")
        members = [one for one in decision.endpoints if decision.pools.get(one.deployment, "") == pool]
        if len(members) == 1:
            return candidate
        standings = [self._health.gauge(one).standing(now, 0.0, self._tokens) for one in members]
        well = sum(standing in HEALTHY for standing in standings)
        if well >= decision.min_healthy.get(pool, HALF) * len(members):
            return candidate
        return msgspec.structs.replace(candidate, standing=Standing.GOOD, spared=True)

    def _is_late(self, gauge: Gauge, left: float, now: int) -> bool:
        """Whether nothing that starts now would answer in time. The first attempt is made if there is time at all."""
        if left < SHORTEST:
            return True
        usual = gauge.first_byte(now, stream=self._permitted.asked.stream)
        return self._course.number > 0 and left < usual / 2

    def _choose(self, equals: Sequence[_Candidate]) -> _Candidate:
        """Choose among equals: by session, by declared weight, or the less loaded of two drawn at random."""
        own = self._permitted.decision.tiers[0][0].exactly
        weights = self._permitted.decision.weights
        if not any(one.endpoint.deployment in weights for one in equals):
            equals = [one for one in equals if one.endpoint.exactly == own] or equals
        session = self._permitted.asked.session
        if session is not None:
            return max(equals, key=lambda one: _affinity(session, one.endpoint.deployment, weights))
        if any(one.endpoint.deployment in weights for one in equals):
            shares = [weights.get(one.endpoint.deployment, 1) for one in equals]
            return random.choices(equals, shares)[0]  # noqa: S311 - spreads load, keeps no secret
        if len(equals) == 1:
            return equals[0]
        now, stream = self._health.now(), self._permitted.asked.stream
        two = random.sample(equals, 2)
        return min(two, key=lambda one: self._health.gauge(one.endpoint).work(now, self._tokens or 1, stream=stream))

    def _again(self) -> tuple[Endpoint, float] | None:
        """The endpoint that is worth waiting for, and the seconds to wait; None when none is."""
        health, course, now = self._health, self._course, self._health.now()
        left = course.left(now)
        longest = LONGEST_WAIT if left is None else min(LONGEST_WAIT, left - SHORTEST)
        best: tuple[float, Endpoint] | None = None
        last = dict(course.failed)
        for endpoint in self._permitted.decision.endpoints:
            deployment = endpoint.deployment
            gauge = health.gauge(endpoint)
            pause = max(0.0, (gauge.paused_until - now) / 1e9)
            tries = self._tried.get(deployment)
            if deployment in course.late or deployment in course.ejected or deployment in course.crowded:
                continue
            if tries is None:
                wait = pause
            elif tries > endpoint.retries or not _repeatable(last.get(deployment)) or gauge.breaker.state is State.OPEN:
                continue
            else:
                back_off = FIRST_BACK_OFF * 2 ** (tries - 1)
                wait = max(pause, back_off * (0.5 + random.random() / 2))  # noqa: S311 - spreads load
            if wait > longest:
                course.spared[deployment] = pause
            elif best is None or wait < best[0]:
                best = (wait, endpoint)
        if best is None:
            return None
        wait, endpoint = best
        if endpoint.deployment not in self._tried:
            return endpoint, wait
        if not health.gauge(endpoint).grant_retry(now):
            health.count(Event.NOT_RETRIED, endpoint.deployment)
            self._tried[endpoint.deployment] = endpoint.retries + 1
            return self._again()
        health.count(Event.RETRIED, endpoint.deployment)
        return endpoint, wait

    def _make(self, endpoint: Endpoint, reason: str, wait: float) -> Attempt:
        self._course.number += 1
        self._tried[endpoint.deployment] = self._tried.get(endpoint.deployment, 0) + 1
        stream = self._permitted.asked.stream
        times = times_left(endpoint.times, self._course, self._health.now(), wait, stream=stream)
        return attempt_at(self._permitted, endpoint, self._bound, self._course.number, reason, times, wait)

    def _fail_over(self, before: str | None, to: Endpoint) -> None:
        if before is not None and before != to.deployment and self._course.failed:
            self._health.count(Event.FAILED_OVER, before)

    def _why(self, chosen: _Candidate) -> str:
        """Why this one, in words."""
        reason = f"tier {chosen.place}"
        if self._course.failed:
            reason += f" after {len(self._course.failed)} failed"
        if chosen.due:
            reason += ", to see whether it is back"
        elif chosen.spared:
            reason += ", as most of its pool fails"
        elif chosen.standing is not Standing.GOOD:
            reason += f", though it {WORDS[chosen.standing]}"
        elif chosen.place <= len(self._permitted.decision.tiers) and (
            len(self._permitted.decision.tiers[chosen.place - 1]) > 1
        ):
            reason += self._why_among_equals(chosen)
        reason += self._why_full()
        passed = self._passed_over(chosen)
        return f"{reason}; {passed}" if passed else reason

    def _why_full(self) -> str:
        full = self._course.full
        return "".join(f"; {deployment} has no room: the limit of {words}" for deployment, words in full.items())

    def _why_among_equals(self, chosen: _Candidate) -> str:
        if self._permitted.asked.session is not None:
            return ", its session's"
        if chosen.endpoint.deployment in self._permitted.decision.weights:
            return ", by weight"
        return ", least work"

    def _passed_over(self, chosen: _Candidate) -> str:
        """Say of those that would have come before why they did not."""
        now = self._health.now()
        said = []
        for place, tier in enumerate(self._permitted.decision.tiers, start=1):
            if place > chosen.place:
                break
            for endpoint in tier:
                if endpoint is chosen.endpoint or endpoint.deployment in self._tried:
                    continue
                standing = self._health.gauge(endpoint).standing(now, self._draw, self._tokens)
                kept = self._keep_enough(_Candidate(endpoint, place, standing, due=False), now)
                if kept.standing > chosen.standing:
                    said.append(f"{endpoint.deployment} {WORDS[standing]}")
        return ", ".join(said)

    def _why_again(self, endpoint: Endpoint, wait: float) -> str:
        if self._tried.get(endpoint.deployment):
            return f"again after {len(self._course.failed)} failed, {wait:.2f} s later"
        return f"after {wait:.2f} s, for which it asked to be spared"


def _enough_of(tier: list[_Candidate]) -> list[_Candidate]:
    """Count shaky ones as good where most of a tier is shaky: or what is left of it would break under the load."""
    shaky = sum(one.standing is Standing.SHAKY for one in tier)
    if shaky * 2 <= len(tier):
        return tier
    return [
        msgspec.structs.replace(one, standing=Standing.GOOD) if one.standing is Standing.SHAKY else one for one in tier
    ]


def _repeatable(fault: UpstreamFault | None) -> bool:
    """Whether the same deployment may answer yet, and nothing was billed for the attempt that failed."""
    return isinstance(fault, Unreachable) or (isinstance(fault, Declined) and fault.status in REPEATABLE)


def _affinity(session: str, deployment: str, weights: dict[str, int]) -> float:
    """Weighted rendezvous hashing: as deployments come and go, only their own sessions move."""
    digest = blake2b(f"{session}\0{deployment}".encode(), digest_size=8).digest()
    drawn = (int.from_bytes(digest) + 1) / (2**64 + 1)
    return -weights.get(deployment, 1) / math.log(drawn)
