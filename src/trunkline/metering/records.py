"""The ledger's record, in the two halves that the journal holds: an intent before the send, a settlement after it.

Both are msgpack arrays: fields are only ever added at the end, so that older journals stay readable. Times are
nanoseconds since 1970, durations nanoseconds, money billionths of the estate's currency.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from trunkline.estate.deployments import Pattern
from trunkline.ids import JournalId, RequestId
from trunkline.messages import SHADOW, Operation, Usage
from trunkline.money import Nano


class Status(StrEnum):
    """How an attempt ended."""

    OPEN = "open"  # begun, not settled yet
    OK = "ok"  # a whole answer was relayed
    REJECTED = "rejected"  # the upstream refused the request itself (4xx): nothing billed, relayed to the caller
    FAILED = "failed"  # the attempt failed before anything was relayed; another may have followed
    BROKEN = "broken"  # the answer broke after its first byte
    LEFT = "left"  # the client left; the upstream was stopped
    LOST = "lost"  # the exchange died before it could settle: booked at its hold


class Intent(msgspec.Struct, frozen=True, array_like=True, tag="i"):
    """What is about to be sent, with the most it can cost. Written before the upstream sees a byte.

    Attributes:
        decision: the policy decision in short: use case, data class and why, allowed and refused counts, reason for
            this endpoint.
        leases: those that it is held in.
        trial: `split NAME: ARM` or `shadow NAME` where it belongs to one; else empty.
        person: whose key it was, where that was issued to one person.
    """

    sequence: int
    request: RequestId
    attempt: int
    at: int
    key: str
    unit: str
    cost_centre: str
    use_case: str
    end_customer: str | None
    deployment: str
    boundary: str
    pattern: Pattern
    operation: Operation
    model_asked: str
    model_sent: str
    stream: bool
    data_class: str
    decision: str
    price_version: str
    currency: str
    hold: Nano
    bound: Usage
    leases: tuple[str, ...] = ()
    trial: str = ""
    person: str | None = None


class Settlement(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """How the attempt ended. `first_byte` and `latency` count from the intent."""

    sequence: int
    request: RequestId
    attempt: int
    at: int
    status: Status
    http_status: int
    usage: Usage
    cost: Nano
    model_served: str
    first_byte: int | None
    latency: int
    error: str


class Entry(msgspec.Struct, frozen=True):
    """A journal record where it stands: (journal, sequence) is unique for ever, so draining twice books once."""

    journal: JournalId
    record: Intent | Settlement


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt as the ledger holds it: intent and settlement joined."""

    request: RequestId
    attempt: int
    at: int
    key: str
    unit: str
    cost_centre: str
    use_case: str
    end_customer: str | None
    deployment: str
    boundary: str
    pattern: Pattern
    operation: Operation
    model_asked: str
    model_sent: str
    model_served: str
    stream: bool
    data_class: str
    decision: str
    price_version: str
    currency: str
    hold: Nano
    usage: Usage
    cost: Nano
    status: Status
    http_status: int
    first_byte: int | None
    latency: int | None
    error: str
    journal: JournalId
    trial: str = ""
    person: str | None = None

    @property
    def is_copy(self) -> bool:
        """Whether it is a shadow's copy, of which the caller saw nothing."""
        return self.trial.startswith(SHADOW)
