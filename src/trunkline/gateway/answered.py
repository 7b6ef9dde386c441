from __future__ import annotations

from typing import Protocol

import msgspec

from trunkline.dialects.dialect import Door
from trunkline.estate.stages import Attempt
from trunkline.ids import RequestId
from trunkline.messages import Asked


class Answered(msgspec.Struct, frozen=True):
    """A call that has its answer: where it came in, its id, what was asked, and the attempt that was answered."""

    door: Door
    request: RequestId
    asked: Asked
    attempt: Attempt


class Caster(Protocol):
    """Makes copies of calls that have their answers."""

    def cast(self, answered: Answered) -> None:
        """Begin the copies that the use case's shadows draw; returns at once."""
        ...
