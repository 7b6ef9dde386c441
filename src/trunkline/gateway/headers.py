"""The headers that every answer carries. What comes from outside is written by `line`, which it cannot break out of."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

from trunkline.clock import NANOS_PER_SECOND
from trunkline.dialects.dialect import Dialect
from trunkline.errors import Refusal, Told
from trunkline.estate.decisions import Decision
from trunkline.estate.deployments import Pattern
from trunkline.estate.stages import Attempt
from trunkline.ids import RequestId
from trunkline.metering.visit import Visit
from trunkline.money import Nano, bare
from trunkline.wire.headers import line

JSON = b"application/json"
CONTENT_TYPE_MOST = 200
"""Bytes of an upstream's content type that are passed on."""
DROPPED_MOST = 2_000
"""Characters of the list of what was dropped that a header holds."""


class Headed(Protocol):
    """What has a head that lines can be added to."""

    def also(self, headers: bytes, /) -> None:
        """Have these lines go out with it."""
        ...


def upstream_headers(told: Told) -> bytes:
    """Return the header lines that say how an upstream refused: its own status and the id it gave the request."""
    lines = line(b"x-trunkline-upstream-status", b"%d" % told.status)
    if told.request_id:
        lines += line(b"x-trunkline-upstream-request-id", told.request_id.encode("ascii", "replace"))
    return lines


def log_fields(told: Told) -> dict[str, object]:
    """Return the same for the log."""
    return {
        "deployment": told.deployment,
        "trouble": told.trouble,
        "upstream_status": told.status,
        "upstream_request_id": told.request_id,
    }


def dropped_header(fields: tuple[str, ...]) -> bytes:
    """Return the header line that names what of a request was not sent; empty where all was."""
    if not fields:
        return b""
    return line(b"x-trunkline-dropped", ", ".join(fields)[:DROPPED_MOST].encode("ascii", "replace"))


def answer_headers(request_id: RequestId, attempt: Attempt, content_type: bytes, cost: Nano | None = None) -> bytes:
    """Return the header lines of an upstream's answer: who answered, and what it cost where that is known by now.

    A deprecated use case says so: since when in `deprecation` (RFC 9745), its last day in `sunset` (RFC 8594), and what
    took its place in a `link` to it (RFC 8288, relation `successor-version` of RFC 5829).
    """
    endpoint = attempt.endpoint
    lines = b"%bx-trunkline-request-id: %b\r\n%b" % (
        _content_type(content_type),
        request_id.encode(),
        _labels(endpoint.deployment, endpoint.pattern),
    )
    if cost is not None:
        lines += b"x-trunkline-cost: %b\r\n" % bare(cost).encode()
    if note := attempt.permitted.note:
        lines += line(b"x-trunkline-note", note.encode("ascii", "replace"))
    decision = attempt.permitted.decision
    if attempt.number > 1 or endpoint is not decision.tiers[0][0]:
        first = decision.tiers[0][0].exactly
        if endpoint.exactly != first:
            said = f"{endpoint.exactly} for {first}".encode("ascii", "replace")
            lines += line(b"x-trunkline-substitute", said)
    return lines + _ending(decision) if decision.warning else lines


def _ending(decision: Decision) -> bytes:
    lines = line(b"x-trunkline-warning", decision.warning.encode("ascii", "replace"))
    if decision.deprecated is not None:
        lines += b"deprecation: @%d\r\n" % (decision.deprecated // NANOS_PER_SECOND)
    if decision.sunset is not None:
        ends = formatdate(decision.sunset / NANOS_PER_SECOND, usegmt=True)
        lines += b"sunset: %b\r\n" % ends.encode("ascii")
    if decision.successor is not None:
        lines += line(b"link", b'</v1/models/%b>; rel="successor-version"' % quote(decision.successor, "").encode())
    return lines


@lru_cache(maxsize=1_000)
def _content_type(value: bytes) -> bytes:
    return line(b"content-type", value[:CONTENT_TYPE_MOST])


@lru_cache(maxsize=10_000)
def _labels(deployment: str, pattern: Pattern) -> bytes:
    return line(b"x-trunkline-deployment", deployment.encode()) + line(b"x-trunkline-pattern", pattern.encode())


def own_headers(request_id: RequestId, content_type: str = "application/json") -> bytes:
    """Return the header lines of an answer that the exchange itself gives."""
    return b"content-type: %b\r\nx-trunkline-request-id: %b\r\n" % (content_type.encode(), request_id.encode())


def tell_rates(visit: Visit | None, attempt: Attempt, dialect: Dialect, reply: Headed) -> None:
    """Have the answer tell what the caller has left of its own limits, where its dialect has headers for it."""
    if visit is not None and dialect.rate_lines is not None and not visit.told:
        visit.told = True
        reply.also(dialect.rate_lines(visit.left(attempt)))


def refusal_headers(request_id: RequestId, refusal: Refusal, dialect: Dialect) -> bytes:
    """Return the header lines of a refusal: when to come back, and whether a retry can succeed at all."""
    lines = own_headers(request_id)
    if refusal.retry_after is not None:
        lines += b"retry-after: %d\r\n" % refusal.retry_after
    if refusal.rates is not None and dialect.rate_lines is not None:
        lines += dialect.rate_lines(refusal.rates)
    if refusal.final:
        lines += b"x-should-retry: false\r\n"
    if refusal.told is not None:
        lines += line(b"x-trunkline-deployment", refusal.told.deployment.encode()) + upstream_headers(refusal.told)
    return lines
