"""Counting the tokens of a prompt where the deployment that would answer it cannot."""

from __future__ import annotations

from trunkline.dialects.dialect import Dialect
from trunkline.dialects.tokens import estimate_tokens
from trunkline.estate.stages import Permitted
from trunkline.gateway.array import Taker
from trunkline.gateway.headers import own_headers
from trunkline.ids import RequestId
from trunkline.upstream.compose import counts_in


def count_here(dialect: Dialect, permitted: Permitted, request_id: RequestId, reply: Taker) -> bool:
    """Answer with an estimate, marked as one, where the first deployment does not count.

    Returns:
        Whether it was answered; if not, the deployment is to be asked.
    """
    first = next(iter(permitted.decision.endpoints), None)
    if first is None or dialect.counting is None or counts_in(dialect.name, first) is not None:
        return False
    instructions = permitted.decision.instructions or ""
    tokens = dialect.estimate(permitted.asked, 0).input + estimate_tokens(len(instructions.encode()))
    headers = own_headers(request_id) + b"x-trunkline-estimated: true\r\n"
    reply.send(200, headers, dialect.counting.write(tokens))
    return True
