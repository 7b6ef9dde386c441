from __future__ import annotations

from trunkline.estate.stages import Endpoint, Permitted
from trunkline.messages import Operation, Usage
from trunkline.metering.price_call import hold
from trunkline.money import Nano


def bound(permitted: Permitted, endpoint: Endpoint) -> tuple[Usage, Nano]:
    """Return the most tokens that a call can use at an endpoint, and what they cost there.

    A prompt has no more tokens than bytes, the use case's instructions included; each answer no more than its limit.
    """
    asked, instructions = permitted.asked, permitted.decision.instructions
    prompt = asked.prompt_bound + (len(instructions.encode()) if instructions else 0)
    output = 0
    if asked.operation is not Operation.EMBEDDINGS:
        output = asked.output_limit if asked.output_limit is not None else endpoint.output_bound
    usage = Usage(input=prompt, output=output * asked.answers, estimated=True)
    return usage, hold(prompt, output, asked.answers, endpoint.price)
