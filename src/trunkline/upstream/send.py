from __future__ import annotations

import time
from typing import Final

from trunkline.dialects.neutral import Failure, Trouble
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import Declined, Told, TooLong, Unattested
from trunkline.estate.stages import Attempt
from trunkline.observability.log import redact
from trunkline.upstream.attest import attest_head
from trunkline.upstream.compose import Letter
from trunkline.upstream.signals import read_id, read_wait
from trunkline.wire.client import Pool, Response

SECRETIVE: Final = frozenset({401, 403, 407})
OF_THE_KEY: Final = frozenset({Trouble.AUTHENTICATION, Trouble.PERMISSION})
QUOTED: Final = 200
# The upstream refuses the request itself: another deployment would, too, and the caller must read why.
CALLERS_FAULT: Final = frozenset({400, 409, 413, 415, 422})
# What a request itself can be at fault for; some providers tell of a wrong key with a 400, too.
OF_THE_REQUEST: Final = frozenset({Trouble.INVALID, Trouble.CONTEXT, Trouble.FILTERED, Trouble.TOO_LARGE})
OK: Final = range(200, 300)
JOINED_MOST: Final = 64 * 1024
"""Up to this many bytes, head and body are one write; larger bodies are not copied for that."""
LONGEST_QUOTE: Final = 500
"""How many characters of an upstream's own error are kept, where they may be."""


async def send(pool: Pool, attempt: Attempt, letter: Letter) -> Response:
    """Send one attempt and return the head of its answer: a success, or a refusal of the request itself.

    Args:
        pool: the connections to upstreams.
        attempt: what was permitted and held.
        letter: the same as it was composed.

    Raises:
        Unreachable: nothing was sent.
        Broke: the connection ended before the head.
        Slow: a time-out.
        Garbled: the answer is not HTTP.
        TooLong: the prompt is too long for this deployment, and there are others.
        Declined: the deployment answered with an error that another deployment may not have.
        Unattested: the head lacks what the deployment attests with each answer.
    """
    endpoint, body = attempt.endpoint, letter.body
    head = b"POST %b%b%b HTTP/1.1\r\n%b%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (
        endpoint.base_path.encode(),
        letter.path,
        endpoint.query,
        endpoint.headers,
        letter.headers,
        len(body),
    )
    first, rest = (head + body, b"") if len(body) <= JOINED_MOST else (head, body)
    response = await pool.send(endpoint.origin, first, attempt.times, body=rest)
    if response.status in OK:
        _attest(attempt, response, whole=True)
        return response
    await _refuse(attempt, response)
    return response


async def _refuse(attempt: Attempt, response: Response) -> None:
    """Raise what an error means for the call, unless the request itself is at fault: then its caller is to see it."""
    endpoint = attempt.endpoint
    body = await response.read()
    failure = DIALECTS[endpoint.dialect].read_failure(response.status, body)
    if response.status in CALLERS_FAULT and failure.trouble in OF_THE_REQUEST:
        if failure.trouble is Trouble.CONTEXT and sum(map(len, attempt.permitted.decision.tiers)) > 1:
            raise TooLong(
                f"the prompt is too long for it{_reason(response.status, failure)}",
                status=response.status,
                inside=f"{endpoint.deployment} answered {response.status} {failure.kind}",
                told=told(attempt, response, failure),
            )
        _attest(attempt, response, whole=False)
        return
    response.close()
    raise Declined(
        f"it answered with status {response.status}{_reason(response.status, failure)}",
        status=response.status,
        retry_after=read_wait(endpoint.signals, response.headers, time.time_ns()),
        inside=f"{endpoint.deployment} answered {response.status}",
        said=body.decode(errors="replace")[:LONGEST_QUOTE],
        told=told(attempt, response, failure),
    )


def told(attempt: Attempt, response: Response, failure: Failure) -> Told:
    """Return what an upstream said of a call that it refused."""
    endpoint = attempt.endpoint
    given = read_id(endpoint.signals, response.headers) or failure.request_id
    return Told(endpoint.deployment, response.status, given, failure.trouble.value)


def _attest(attempt: Attempt, response: Response, *, whole: bool) -> None:
    if not attempt.endpoint.attested:
        return
    try:
        attest_head(attempt.endpoint, response, whole=whole)
    except Unattested:
        response.close()
        raise


def _reason(status: int, failure: Failure) -> str:
    """Quote the upstream's own message, save where it may speak of the exchange's credentials."""
    if status in SECRETIVE or failure.trouble in OF_THE_KEY or not failure.message:
        return ""
    return f": {redact(failure.message[:QUOTED])}"
