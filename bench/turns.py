"""Subjects measured in turns, so that what else the machine does falls on all of them."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping

import msgspec
from bench.gateways import Gateway

from bench import load

Samples = dict[str, list[float]]


class Effort(msgspec.Struct, frozen=True):
    """How long to measure: alternating runs, seconds per plain run, streams one after the other per connection.

    And how many keys, units, use cases and deployments the estates have, and how many requests and connections make a
    long run.
    """

    runs: int = 5
    seconds: int = 3
    rounds: int = 3
    sizes: tuple[int, ...] = (10, 1_000, 10_000)
    lifetime: tuple[int, int] = (200_000, 5_000)


def by_turns(subjects: Mapping[str, Gateway], connections: int, effort: Effort) -> Samples:
    """Return CPU per plain request of each gateway by its name, measured in turns."""
    samples: Samples = defaultdict(list)
    for gateway in subjects.values():
        load.plain(gateway, connections, min(effort.seconds, 2))
    for run in range(effort.runs):
        for name, gateway in subjects.items():
            samples[name].append(load.plain(gateway, connections, effort.seconds).cpu)
        shown = "  ".join(f"{name} {values[-1]:.2f}" for name, values in samples.items())
        say(f"run {run + 1}/{effort.runs} cpu@{connections} {shown}")
    return samples


def say(text: str) -> None:
    """Tell how far it has come."""
    print(text, file=sys.stderr, flush=True)
