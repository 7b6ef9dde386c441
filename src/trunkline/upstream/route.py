"""The order in which a call tries the endpoints that it is allowed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt, Permitted
from trunkline.upstream.attempts import SHORTEST, Bound, attempt_at, times_left, tokens_of
from trunkline.upstream.breaker import State
from trunkline.upstream.course import Course
from trunkline.upstream.gauge import Standing
from trunkline.upstream.health import Health
from trunkline.upstream.rest import Rest


def foresee(permitted: Permitted, bound: Bound) -> Iterator[Attempt]:
    """Order the allowed endpoints as declared: pool after pool, tier after tier. What a call does if all are well."""
    number = 0
    for place, tier in enumerate(permitted.decision.tiers, start=1):
        for endpoint in tier:
            number += 1
            reason = f"tier {place}" if number == 1 else f"tier {place} after {number - 1} failed"
            yield attempt_at(permitted, endpoint, bound, number, reason, endpoint.times)


def route(permitted: Permitted, bound: Bound, health: Health, course: Course) -> Iterator[Attempt]:
    """Order the allowed endpoints, one attempt each, and then those that are worth another one.

    Tier goes before tier, those in good health before all others; nothing outside what is allowed is ever tried, and
    nothing that is allowed is left out for its health alone. It looks again before each attempt.

    Args:
        permitted: what policy allows.
        bound: the most tokens that a call can use at an endpoint, and what they cost.
        health: how the deployments fare.
        course: how the call has fared; whoever sends writes its failures there.
    """
    if course.turn is not None:
        yield Rest(permitted, bound, health, course).take_turn(course.turn)
        return
    tiers = permitted.decision.tiers
    first = tiers[0]
    if len(first) == 1:
        gauge = health.gauges.get(first[0].deployment)
        chosen, reason = (first[0] if gauge is None or gauge.calm else None), "tier 1"
    else:
        chosen, reason = _calm_choice(permitted, health), "tier 1, least work"
    if chosen is None:
        yield from Rest(permitted, bound, health, course).attempts()
        return
    times = chosen.times
    if course.in_haste:
        now = health.now()
        if (course.left(now) or 0.0) < SHORTEST:
            course.late.append(chosen.deployment)
            return
        times = times_left(times, course, now, 0.0, stream=permitted.asked.stream)
    course.number = 1
    yield attempt_at(permitted, chosen, bound, 1, reason, times)
    yield from Rest(permitted, bound, health, course, tried=(chosen,)).attempts()


def shadow(permitted: Permitted, bound: Bound, health: Health, number: int) -> Attempt | None:
    """Return the one attempt of a call's copy; None where its deployment is not in good health."""
    endpoint = permitted.decision.tiers[0][0]
    gauge = health.gauge(endpoint)
    if not gauge.calm:
        draw = random.random()  # noqa: S311 - spreads load, keeps no secret
        standing = gauge.standing(health.now(), draw, tokens_of(permitted.asked))
        if standing is not Standing.GOOD or gauge.breaker.state is not State.CLOSED:
            return None
    return attempt_at(permitted, endpoint, bound, number, "a copy, once the call was answered", endpoint.times)


def _calm_choice(permitted: Permitted, health: Health) -> Endpoint | None:
    """The less loaded of two drawn from the first tier, where nothing speaks against any of it; else None."""
    asked, decision = permitted.asked, permitted.decision
    tier = decision.tiers[0]
    if asked.session is not None or decision.weights:
        return None
    own = tier[0].exactly
    equals = []
    for endpoint in tier:
        gauge = health.gauges.get(endpoint.deployment)
        if gauge is None or not gauge.calm:
            return None
        if endpoint.exactly == own:
            equals.append((gauge, endpoint))
    if len(equals) == 1:
        return None
    place = int(random.random() * len(equals))  # noqa: S311 - spreads load, keeps no secret
    other = (place + 1 + int(random.random() * (len(equals) - 1))) % len(equals)  # noqa: S311 - the same
    now, tokens, stream = health.now(), tokens_of(asked) or 1, asked.stream
    one, another = equals[place], equals[other]
    fewer = one[0].work(now, tokens, stream=stream) <= another[0].work(now, tokens, stream=stream)
    return one[1] if fewer else another[1]
