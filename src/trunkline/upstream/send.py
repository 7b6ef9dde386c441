from __future__ import annotations

import time
from typing import Final

import msgspec

from trunkline.errors import Declined, TooLong, Unattested
from trunkline.estate.stages import Attempt
from trunkline.observability.log import redact
from trunkline.upstream.attest import attest_head
from trunkline.upstream.compose import Letter
from trunkline.upstream.signals import read_wait
from trunkline.wire.client import Pool, Response

SECRETIVE: Final = frozenset({401, 403, 407})
QUOTED: Final = 200
# The upstream refuses the request itself: another deployment would, too, and the caller must read why.
CALLERS_FAULT: Final = frozenset({400, 409, 413, 415, 422})
MAY_BE_TOO_LONG: Final = frozenset({400, 413})
OK: Final = range(200, 300)
LONGEST_QUOTE: Final = 500
"""How many characters of an upstream's own error are kept, where they may be."""


class _Why(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | int | None = None


class _Said(msgspec.Struct, frozen=True):
    error: _Why = _Why()


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
    head = b"POST %b%b HTTP/1.1\r\n%b%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (
        endpoint.base_path.encode(),
        letter.path,
        endpoint.headers,
        letter.headers,
        len(body),
    )
    response = await pool.send(endpoint.origin, head + body, attempt.times)
    if response.status in MAY_BE_TOO_LONG:
        await _pass_on_if_too_long(attempt, response)
    if response.status in OK or response.status in CALLERS_FAULT:
        if endpoint.attested:
            try:
                attest_head(endpoint, response, whole=response.status in OK)
            except Unattested:
                response.close()
                raise
        return response
    try:
        said = (await response.read()).decode(errors="replace")
    finally:
        response.close()
    raise Declined(
        f"it answered with status {response.status}{_reason(response.status, said)}",
        status=response.status,
        retry_after=read_wait(endpoint.signals, response.headers, time.time_ns()),
        inside=f"{endpoint.deployment} answered {response.status}",
        said=said[:LONGEST_QUOTE],
    )


async def _pass_on_if_too_long(attempt: Attempt, response: Response) -> None:
    """Where the upstream says that the prompt is too long for it, let a deployment with more room try."""
    decision = attempt.permitted.decision
    if sum(map(len, decision.tiers)) == 1:
        return
    body = await response.read()
    try:
        error = msgspec.json.decode(body, type=_Said).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if error.code is not None and error.code in attempt.endpoint.signals.too_long:
        raise TooLong(
            f"the prompt is too long for it{_reason(response.status, body.decode(errors='replace'))}",
            status=response.status,
            inside=f"{attempt.endpoint.deployment} answered {response.status} {error.code}",
        )


def _reason(status: int, said: str) -> str:
    """Quote the upstream's own message, save where it may speak of the exchange's credentials."""
    if status in SECRETIVE:
        return ""
    try:
        message = msgspec.json.decode(said, type=_Said).error.message
    except msgspec.DecodeError:
        return ""
    return f": {redact(message[:QUOTED])}" if message else ""
