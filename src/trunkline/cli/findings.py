"""What an examination finds: one line each, with what to do where something is to be done."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """How bad it is: `fail` keeps an exchange from starting or working, `warn` does not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    about: str
    verdict: Verdict
    says: str
    do: str = ""


def fine(about: str, says: str) -> Finding:
    """Nothing is to be done."""
    return Finding(about, Verdict.OK, says)


def doubtful(about: str, says: str, do: str) -> Finding:
    """It works, but should be seen to."""
    return Finding(about, Verdict.WARN, says, do)


def wrong(about: str, says: str, do: str) -> Finding:
    """It does not work until it is mended."""
    return Finding(about, Verdict.FAIL, says, do)
