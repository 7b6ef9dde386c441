"""What the exchange's first process and its workers say to each other."""

from __future__ import annotations

from pathlib import Path

import msgspec

from trunkline.app.options import Options
from trunkline.estate.endpoints import Address
from trunkline.observability.tally import Tally
from trunkline.serving.specs import EngineState
from trunkline.upstream.health import Mark
from trunkline.upstream.turns import Queued


class Surrounding(msgspec.Struct, frozen=True, tag=True):
    """What is around a worker, as it is now.

    Attributes:
        addresses: where the engines listen that run.
        engines: how they fare.
        waiting: what the exchange still waits for besides engines.
    """

    addresses: dict[str, Address]
    engines: dict[str, EngineState]
    waiting: tuple[str, ...] = ()


class Orders(msgspec.Struct, frozen=True, tag=True):
    """The first word to a worker: what it needs to begin. Its estate is the applied one; `exchange` names the whole."""

    options: Options
    journal_folder: Path
    surrounding: Surrounding
    exchange: str


class Apply(msgspec.Struct, frozen=True, tag=True):
    """Put the applied estate of this version in force; send nothing new to the retired deployments."""

    version: str
    retired: tuple[str, ...]


class Quiet(msgspec.Struct, frozen=True, tag=True):
    """Answer once no attempt at these deployments is under way any more, at the latest after so many seconds."""

    deployments: tuple[str, ...]
    within: float


class Count(msgspec.Struct, frozen=True, tag=True):
    """Answer with a `Tally`: what was counted so far."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """News to a worker: take no new calls and end; `at_once` cuts off those that run."""

    at_once: bool = False


class Begun(msgspec.Struct, frozen=True, tag=True):
    """News of a worker: it answers calls."""


class Farewell(msgspec.Struct, frozen=True, tag=True):
    """News of a worker: it has ended its last call; these are its last counts."""

    tally: Tally


class Scrape(msgspec.Struct, frozen=True, tag=True):
    """Asks for the counts of the whole exchange; the answer is `Whole`."""


class Whole(msgspec.Struct, frozen=True):
    """The counts of the whole exchange, how many workers answer, and the processes it consists of."""

    tally: Tally
    workers: int
    processes: tuple[int, ...]


class Done(msgspec.Struct, frozen=True):
    """It was done."""


ToWorker = Orders | Surrounding | Stop | Apply | Quiet | Count | Mark | Queued
ToParent = Begun | Farewell | Scrape | Mark | Queued
