"""What an exchange is given that calls it in turn: who copies calls, and who works on them without their callers."""

from __future__ import annotations

from typing import Protocol

import msgspec

from trunkline.dialects.dialect import Door
from trunkline.estate.stages import Attempt
from trunkline.ids import RequestId
from trunkline.messages import Asked
from trunkline.wire.server import Reply, Request


class Answered(msgspec.Struct, frozen=True):
    """A call that has its answer: where it came in, its id, what was asked, and the attempt that was answered."""

    door: Door
    request: RequestId
    asked: Asked
    attempt: Attempt


class Sender(Protocol):
    """Works on calls without their callers. `worker` names it among all processes."""

    worker: str

    async def send_off(self, door: Door, request_id: RequestId, request: Request, reply: Reply, /) -> None:
        """Begin one, and tell its caller so."""
        ...

    def find(self, turn_id: str, /) -> Running | None:
        """Return one that it works on."""
        ...

    def drop(self, turn_id: str, /) -> None:
        """Stop one, if it works on it."""
        ...


class Running(Protocol):
    """A call that is worked on without its caller: its stream so far, and whether no more comes here."""

    events: list[bytes]
    over: bool

    async def moved(self) -> None:
        """Wait until more has come, or nothing will."""
        ...


class Caster(Protocol):
    """Makes copies of calls that have their answers."""

    def cast(self, answered: Answered) -> None:
        """Begin the copies that the use case's shadows draw; returns at once."""
        ...
