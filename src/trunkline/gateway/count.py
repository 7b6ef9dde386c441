"""Counting the tokens of a prompt where the deployment that would answer it cannot."""

from __future__ import annotations

from trunkline.dialects.dialect import Dialect
from trunkline.estate.stages import Permitted
from trunkline.gateway.headers import own_headers
from trunkline.ids import RequestId
from trunkline.wire.server import Reply


def count_here(dialect: Dialect, permitted: Permitted, request_id: RequestId, reply: Reply) -> bool:
    """Answer with an estimate, marked as one, where the first deployment does not count in the caller's dialect.

    Returns:
        Whether it was answered; if not, the deployment is to be asked.
    """
    first = next(iter(permitted.decision.endpoints), None)
    if first is None or dialect.write_count is None or dialect.name in (first.dialect, *first.counts):
        return False
    estimated = dialect.estimate(permitted.asked, 0)
    headers = own_headers(request_id) + b"x-trunkline-estimated: true\r\n"
    reply.send(200, headers, dialect.write_count(estimated.input))
    return True
