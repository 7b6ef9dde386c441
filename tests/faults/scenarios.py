"""Scenarios: what each deployment of a failover set does with one call, drawn from a seed."""

from __future__ import annotations

import random
from typing import Final

import msgspec
from tests.upstreams import script as scripts
from tests.upstreams.script import Script

TEXT: Final = tuple(f"word{number} " for number in range(12))
WHOLE: Final = Script(pieces=TEXT)

BEFORE: Final[dict[str, Script]] = {
    "500": scripts.SERVER_ERROR,
    "503": Script(status=503),
    "429": Script(status=429, headers=(("retry-after", "0"),)),
    "429 for long": Script(status=429, headers=(("retry-after-ms", "3000"),)),
    "401": scripts.UNAUTHENTICATED,
    "closes": scripts.DROP,
    "resets": scripts.RESET,
    "no HTTP": scripts.NOT_HTTP,
    "hangs": scripts.HANG_BEFORE_HEAD,
    "error first": Script(pieces=TEXT, error_after=0),
}
"""Faults before anything can have been passed on."""

LATER: Final[dict[str, Script]] = {
    "cut": Script(pieces=TEXT, cut=700),
    "cut early": Script(pieces=TEXT, cut=30),
    "reset late": Script(pieces=TEXT, cut=1500, reset=True),
    "stalls": Script(pieces=TEXT, hang="body", hang_after=3),
    "error event": Script(pieces=TEXT, error_after=4),
    "garbage": Script(body=b'{"id": "x", "choices": [{"index": 0, "mess\xff\xfe'),
}
"""Faults that may come after the first byte of a stream."""

ANYWHERE: Final = ("cut anywhere", "reset anywhere")
"""The same at a byte that the scenario's seed says."""
LONGEST: Final = 4_000
"""Bytes of a whole stream, about."""

FINE: Final[dict[str, Script]] = {
    "whole": WHOLE,
    "byte by byte": Script(pieces=TEXT, write_size=64),
    "slow drip": Script(pieces=TEXT, pace=0.02),
    "stale after": Script(pieces=TEXT, close_after=True),
    "ends with the connection": Script(pieces=TEXT, framing="eof"),
    "no usage": Script(pieces=TEXT, usage="none"),
    "late head": Script(pieces=TEXT, delay=0.2),
}
"""No faults, though not as plain as can be."""

ALL: Final = BEFORE | LATER | FINE
SET: Final = ("a", "b", "c")
THRIFTY: Final = "thrift"
"""Stands for a front in the name of the use case that has a small budget and the set alone."""


class Scenario(msgspec.Struct, frozen=True):
    """One call. `front` is the deployment before the set, misbehaving below HTTP; `leaves` after so many bytes."""

    seed: int
    front: str | None
    guarded: bool
    stream: bool
    does: dict[str, str]
    leaves: int | None = None

    @property
    def use_case(self) -> str:
        """What the call names in `model`."""
        return f"{'guarded' if self.guarded else 'raw'}-{self.front or 'plain'}"

    @property
    def customer(self) -> str:
        """By which the call is found everywhere."""
        return f"scenario-{self.seed}"

    def script(self, member: str) -> Script:
        """Return what a member does."""
        what = self.does[member]
        if what not in ANYWHERE:
            return ALL[what]
        cut = random.Random(self.seed).randrange(LONGEST)  # noqa: S311 - a seeded draw is the point
        return Script(pieces=TEXT, cut=cut, reset=what == "reset anywhere")

    @property
    def must_succeed(self) -> bool:
        """Whether some deployment answers, none before it can break off later, and no budget is small."""
        if self.front == THRIFTY:
            return False
        for name in SET:
            what = self.does[name]
            if what in FINE:
                return not self.guarded
            if what not in BEFORE and self.stream:
                return False
        return False


def draw(seed: int, fronts: tuple[str, ...]) -> Scenario:
    """Draw the scenario of a seed."""
    chance = random.Random(seed)  # noqa: S311 - a seeded draw is the point

    def one() -> str:
        kind = chance.choices((FINE, BEFORE, LATER), (3, 4, 2))[0]
        return chance.choice(sorted({*kind, *ANYWHERE} if kind is LATER else kind))

    guarded = chance.random() < 0.3
    does = {name: one() for name in SET}
    if not guarded:
        # A pause outlasts its call: among the unguarded it would change what the other scenarios can expect.
        does = {name: "429" if what == "429 for long" else what for name, what in does.items()}
    return Scenario(
        seed=seed,
        front=chance.choice((None, None, THRIFTY, THRIFTY, *fronts)),
        guarded=guarded,
        stream=chance.random() < 0.6,
        does=does,
        leaves=chance.randrange(600) if chance.random() < 0.1 else None,
    )
