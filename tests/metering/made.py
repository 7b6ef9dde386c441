"""Ledger records for tests: an intent, and a settlement that follows it."""

from __future__ import annotations

from trunkline.estate.deployments import Pattern
from trunkline.ids import RequestId
from trunkline.messages import Operation, Usage
from trunkline.metering.records import Intent, Settlement, Status
from trunkline.money import Nano


def intent(sequence: int, request: str | None = None, attempt: int = 1, hold: int = 1_000) -> Intent:
    return Intent(
        sequence=sequence,
        request=RequestId(request or f"req_{sequence:08d}"),
        attempt=attempt,
        at=1_000_000 + sequence,
        key="key_1",
        unit="finance",
        cost_centre="CC-1",
        use_case="reports",
        end_customer=None,
        deployment="one",
        boundary="here",
        pattern=Pattern.SAAS,
        operation=Operation.CHAT,
        model_asked="reports",
        model_sent="vendor/model",
        stream=False,
        data_class="internal",
        decision="reports as internal: 1 allowed, 0 refused; first of its tier",
        price_version="estate/1",
        currency="EUR",
        hold=Nano(hold),
        bound=Usage(input=100, output=1_000, estimated=True),
    )


def settlement(sequence: int, request: str | None = None, attempt: int = 1, cost: int = 10) -> Settlement:
    return Settlement(
        sequence=sequence,
        request=RequestId(request or f"req_{sequence - 1:08d}"),
        attempt=attempt,
        at=2_000_000 + sequence,
        status=Status.OK,
        http_status=200,
        usage=Usage(input=12, output=3),
        cost=Nano(cost),
        model_served="vendor/model-2",
        first_byte=5,
        latency=9,
        error="",
    )
