from __future__ import annotations

from collections.abc import Sequence

from trunkline.errors import (
    Declined,
    Malformed,
    NotCarried,
    NotPermitted,
    RateLimited,
    Refusal,
    Slow,
    Unavailable,
    UpstreamFailed,
    UpstreamFault,
    UpstreamTooSlow,
)
from trunkline.estate.stages import Permitted

TOO_MANY_REQUESTS = 429


def refuse(
    permitted: Permitted,
    failed: Sequence[tuple[str, UpstreamFault]],
    passed_over: tuple[Sequence[str], Sequence[tuple[str, NotCarried]]] = ((), ()),
    short: Sequence[Refusal] = (),
) -> Refusal:
    """Turn the faults of a call's attempts into the answer its caller gets: rates, time-out or failure.

    Args:
        permitted: the call.
        failed: the deployments that were tried, each with what went wrong.
        passed_over: those that were left out after an incident; those that speak another dialect and cannot carry
            something of the request, each with what.
        short: why budgets let no other be tried.
    """
    if not failed:
        return _refuse_untried(permitted, passed_over, short)
    name = permitted.asked.model
    tried = "; ".join(f"{deployment}: {fault.message}" for deployment, fault in failed)
    quote = permitted.decision.may_keep("log")
    inside = "; ".join(
        f"{deployment}: {fault.inside}{': ' + fault.said if quote and fault.said else ''}"
        for deployment, fault in failed
    )
    message = f'No deployment of "{name}" could answer. Tried {tried}.'
    if short:
        message += f" Others were not tried: {short[0].message}"
    declined = [fault for _, fault in failed if isinstance(fault, Declined) and fault.status == TOO_MANY_REQUESTS]
    if len(declined) == len(failed):
        waits = [fault.retry_after for fault in declined if fault.retry_after is not None]
        return RateLimited(message, code="upstream_rate_limit", inside=inside, retry_after=min(waits, default=1))
    if isinstance(failed[-1][1], Slow):
        return UpstreamTooSlow(message, inside=inside)
    return UpstreamFailed(message, inside=inside)


def _refuse_untried(
    permitted: Permitted,
    passed_over: tuple[Sequence[str], Sequence[tuple[str, NotCarried]]],
    short: Sequence[Refusal],
) -> Refusal:
    if short:
        # What may pass by itself counts first: a caller that tries again later can succeed.
        return next((one for one in short if isinstance(one, Unavailable)), short[0])
    ejected, uncarried = passed_over
    name = permitted.asked.model
    if ejected:
        return Unavailable(
            f'All that is left for "{name}" is out after an incident for some minutes: {", ".join(ejected)}. Try again '
            f'later, or ask the owner, unit "{permitted.decision.owner}".',
            code="deployment_ejected",
            retry_after=60,
        )
    if uncarried:
        return _refuse_uncarried(permitted, uncarried)
    return NotPermitted(
        f'The estate changed while the call ran, and "{name}" may no longer be sent anywhere. Try again, or ask '
        f'the owner, unit "{permitted.decision.owner}".',
    )


def _refuse_uncarried(permitted: Permitted, uncarried: Sequence[tuple[str, NotCarried]]) -> Malformed:
    asked, decision = permitted.asked, permitted.decision
    reasons = "; ".join(f"{deployment}: {lost.message}" for deployment, lost in uncarried)
    return Malformed(
        f'No deployment of "{asked.model}" can carry all of this request. {reasons}. Send it without, or ask unit '
        f'"{decision.owner}", the owner, for a deployment that speaks {asked.dialect} or to say `uncarried: drop`',
        code="not_carried",
        param=uncarried[0][1].fields[0],
    )
