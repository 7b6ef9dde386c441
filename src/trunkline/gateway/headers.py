"""The headers that every answer carries. Names from the estate hold no line ends, so nothing from outside gets here."""

from __future__ import annotations

from functools import lru_cache

from trunkline.errors import Refusal
from trunkline.estate.deployments import Pattern
from trunkline.estate.stages import Attempt
from trunkline.ids import RequestId
from trunkline.money import Nano, bare

JSON = b"application/json"


def answer_headers(request_id: RequestId, attempt: Attempt, content_type: bytes, cost: Nano | None = None) -> bytes:
    """Return the header lines of an upstream's answer: who answered, and what it cost where that is known by now."""
    endpoint = attempt.endpoint
    lines = b"content-type: %b\r\nx-trunkline-request-id: %b\r\n%b" % (
        content_type,
        request_id.encode(),
        _labels(endpoint.deployment, endpoint.pattern),
    )
    if cost is not None:
        lines += b"x-trunkline-cost: %b\r\n" % bare(cost).encode()
    if note := attempt.permitted.note:
        lines += b"x-trunkline-note: %b\r\n" % note.encode("ascii", "replace")
    return lines


@lru_cache(maxsize=10_000)
def _labels(deployment: str, pattern: Pattern) -> bytes:
    return b"x-trunkline-deployment: %b\r\nx-trunkline-pattern: %b\r\n" % (deployment.encode(), pattern.encode())


def own_headers(request_id: RequestId, content_type: str = "application/json") -> bytes:
    """Return the header lines of an answer that the exchange itself gives."""
    return b"content-type: %b\r\nx-trunkline-request-id: %b\r\n" % (content_type.encode(), request_id.encode())


def refusal_headers(request_id: RequestId, refusal: Refusal) -> bytes:
    """Return the header lines of a refusal: when to come back, and whether a retry can succeed at all."""
    lines = own_headers(request_id)
    if refusal.retry_after is not None:
        lines += b"retry-after: %d\r\n" % refusal.retry_after
    if refusal.final:
        lines += b"x-should-retry: false\r\n"
    return lines
