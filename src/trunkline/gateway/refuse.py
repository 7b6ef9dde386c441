from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from trunkline.dialects.neutral import Trouble
from trunkline.dialects.translate import CONTEXT_CODE, KEY_CODE, MISSING_CODE, OVERLOADED_CODE, RATE_CODE
from trunkline.errors import (
    Declined,
    JournalFailed,
    Malformed,
    NotCarried,
    NotPermitted,
    RateLimited,
    Refusal,
    Slow,
    TooLong,
    Unavailable,
    UpstreamFailed,
    UpstreamFault,
    UpstreamTooSlow,
)
from trunkline.estate.stages import Permitted
from trunkline.upstream.course import Course

LIMITED: Final = frozenset({Trouble.RATE, Trouble.QUOTA})
PASSING: Final = LIMITED | {Trouble.OVERLOADED}
OPERATORS: Final[dict[str, str]] = {
    Trouble.AUTHENTICATION: KEY_CODE,
    Trouble.PERMISSION: KEY_CODE,
    Trouble.NOT_FOUND: MISSING_CODE,
}
"""Codes of what only the operator can mend, so that a retry is of no use."""


def refuse(permitted: Permitted, course: Course) -> Refusal:
    """Turn the way of a call into the answer its caller gets: rates, time-out or failure."""
    failed = course.failed
    if course.late and all(isinstance(fault, Slow) for _, fault in failed):
        return _too_late(permitted, course)
    return _refuse_failed(permitted, course) if failed else _refuse_untried(permitted, course)


def unrecorded(error: JournalFailed) -> Refusal:
    """Turn an intent that could not be written into the answer its caller gets."""
    return Unavailable(
        "The call was not sent, because it could not be recorded first. The operator has been told.",
        code="journal_failed",
        inside=error.inside,
        retry_after=5,
    )


def _refuse_untried(permitted: Permitted, course: Course) -> Refusal:
    name, ejected = permitted.asked.model, course.ejected
    if course.short:
        # What may pass by itself counts first: a caller that tries again later can succeed.
        passing = [one for one in course.short if not one.final]
        return min(passing, key=lambda one: one.retry_after or 0) if passing else course.short[0]
    if course.spared:
        spared = ", ".join(course.spared)
        return RateLimited(
            f'All that "{name}" may use has asked to be spared for a while: {spared}. Try again later.',
            code="upstream_rate_limit",
            retry_after=_whole(min(course.spared.values())),
        )
    if ejected:
        return Unavailable(
            f'All that is left for "{name}" is out after an incident for some minutes: {", ".join(ejected)}. Try again '
            f'later, or ask the owner, unit "{permitted.decision.owner}".',
            code="deployment_ejected",
            retry_after=60,
        )
    if course.uncarried:
        return _refuse_uncarried(permitted, course.uncarried)
    return NotPermitted(
        f'The estate changed while the call ran, and "{name}" may no longer be sent anywhere. Try again, or ask '
        f'the owner, unit "{permitted.decision.owner}".',
    )


def _refuse_failed(permitted: Permitted, course: Course) -> Refusal:
    name, failed = permitted.asked.model, course.failed
    tried = "; ".join(f"{deployment}: {fault.message}" for deployment, fault in failed)
    quote = permitted.decision.may_keep("log")
    inside = "; ".join(
        f"{deployment}: {fault.inside}{': ' + fault.said if quote and fault.said else ''}"
        for deployment, fault in failed
    )
    message = f'No deployment of "{name}" could answer. Tried {tried}.'
    if course.short:
        message += f" Others were not tried: {course.short[0].message}"
    refusal = _mean(message, inside, [fault for _, fault in failed])
    refusal.told = next((fault.told for _, fault in reversed(failed) if isinstance(fault, Declined)), None)
    return refusal


def _mean(message: str, inside: str, faults: Sequence[UpstreamFault]) -> Refusal:
    """Keep what all attempts have in common; where they have nothing, say that they failed.

    A refused key, or a model that the provider does not know, is the operator's to mend and never told as the caller's.
    """
    if all(isinstance(fault, TooLong) for fault in faults):
        return Malformed(message, param="messages", code=CONTEXT_CODE, inside=inside)
    declined = [fault for fault in faults if isinstance(fault, Declined)]
    troubles = {fault.told.trouble if fault.told else "" for fault in declined}
    if len(declined) == len(faults) and troubles <= PASSING:
        waits = [fault.retry_after for fault in declined if fault.retry_after is not None]
        wait = _whole(min(waits, default=1))
        if troubles <= LIMITED:
            return RateLimited(message, code=RATE_CODE, inside=inside, retry_after=wait)
        return Unavailable(message, code=OVERLOADED_CODE, inside=inside, retry_after=wait)
    if isinstance(faults[-1], Slow) or troubles == {Trouble.TIMEOUT}:
        return UpstreamTooSlow(message, inside=inside)
    code = OPERATORS.get(next(iter(troubles))) if len(troubles) == 1 and len(declined) == len(faults) else None
    return UpstreamFailed(message, code=code, inside=inside, final=None if code is None else True)


def _refuse_uncarried(permitted: Permitted, uncarried: Sequence[tuple[str, NotCarried]]) -> Malformed:
    asked, decision = permitted.asked, permitted.decision
    reasons = "; ".join(f"{deployment}: {lost.message}" for deployment, lost in uncarried)
    drop = " or to say `uncarried: drop`" if any(lost.droppable for _, lost in uncarried) else ""
    return Malformed(
        f'No deployment of "{asked.model}" can carry all of this request. {reasons}. Send it without, or ask unit '
        f'"{decision.owner}", the owner, for a deployment that speaks {asked.dialect}{drop}',
        code="not_carried",
        param=uncarried[0][1].fields[0],
    )


def _too_late(permitted: Permitted, course: Course) -> Refusal:
    """Say that the caller's own time is over, or too short for what is left to try."""
    tried = "; ".join(f"{deployment}: {fault.message}" for deployment, fault in course.failed)
    done = f"Tried {tried}." if tried else "Nothing was sent."
    return UpstreamTooSlow(
        f'"{permitted.asked.model}" could not answer in the time that the request gives. {done} No time was left for '
        f"{', '.join(dict.fromkeys(course.late))}. Ask for less at once, or wait longer.",
        code="deadline_exceeded",
    )


def _whole(seconds: float) -> int:
    """Round up to whole seconds, one at least: `Retry-After` knows no parts of them."""
    return max(1, math.ceil(seconds))
