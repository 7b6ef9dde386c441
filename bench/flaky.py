"""The upstream of the soak: sound, slow or failing, by the model that is asked for; it counts what reached it."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections import Counter

from tests.upstreams import script as scripts
from tests.upstreams.script import Script
from tests.upstreams.scripted import Received, Upstream

BROKEN = "broken"
"""Fails before its first byte, two calls of three."""

BREAKING = "breaking"
"""Fails after its first byte."""

SLOW = "slow"
"""Takes two seconds for a stream."""

MODEL = re.compile(rb'"model":\s*"([^"]+)"|/models/([^:]+):')
BEFORE = (*scripts.FAULTS_BEFORE_THE_FIRST_BYTE.values(),)
SOUND = len(BEFORE) // 2
AFTER = (
    Script(cut=700),
    Script(cut=700, reset=True),
    Script(hang="body"),
    Script(error_after=2),
)
PACED = Script(pieces=tuple(f"word{number} " for number in range(40)), pace=0.05)


class Flaky(Upstream):
    """Plays what the model's name says, and remembers only how many asked for it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self._chance = random.Random(seed)  # noqa: S311 - a seeded draw is the point
        self.choose = self._script

    def note(self, received: Received) -> None:
        """Count a request; over a long run there is no room to keep them."""
        self.asked[_model(received)] += 1

    def _script(self, received: Received) -> Script | None:
        match _model(received):
            case "broken":
                return self._chance.choice((*BEFORE, *(scripts.NORMAL,) * SOUND))
            case "breaking":
                return self._chance.choice(AFTER)
            case "slow":
                return PACED
        return None


def _model(received: Received) -> str:
    found = MODEL.search(received.path.encode()) or MODEL.search(received.body)
    return "" if found is None else (found[1] or found[2]).decode()


async def serve(seed: int) -> None:
    """Print the port, serve until the end of standard input, then print how often each model was asked for."""
    async with Flaky(seed) as upstream:
        print(upstream.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(upstream.asked), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
