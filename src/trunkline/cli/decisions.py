"""The policy decision of a ledger record, in words."""

from __future__ import annotations

import re

import msgspec

_SHORT = re.compile(
    r"(?P<use_case>\S+)(?: (?P<version>\S+))? as (?P<data_class>\S+?)(?P<asked>, as the caller asked)?: "
    r"(?P<allowed>\d+) allowed, (?P<refused>\d+) refused(?:, (?P<missing>\d+) not configured)?"
    r"(?:, (?P<apart>\d+) of another model)?"
    r"(?:; (?P<notes>.*))?; (?P<reason>[^;]*)"
)
_REWRITE = re.compile(r"(?:dropped \S+|set \S+=.+) \(.*\)")


class DecisionWords(msgspec.Struct, frozen=True):
    """A decision taken apart. What a record does not say is empty.

    Attributes:
        why: whose class it is.
        counts: how many deployments were allowed, refused, not configured.
        rewrites: what policy changed in the request.
        reason: why the attempt went where it went.
    """

    use_case: str = ""
    version: str = ""
    data_class: str = ""
    why: str = ""
    counts: str = ""
    notes: tuple[str, ...] = ()
    rewrites: tuple[str, ...] = ()
    reason: str = ""


def in_words(decision: str) -> DecisionWords:
    """Take apart what a ledger record keeps of a decision; one that is written otherwise becomes a single note."""
    found = _SHORT.fullmatch(decision)
    if found is None:
        return DecisionWords(notes=(decision,) if decision else ())
    said = found["notes"].split("; ") if found["notes"] else []
    return DecisionWords(
        use_case=found["use_case"],
        version=found["version"] or "",
        data_class=found["data_class"],
        why="the caller asked for it" if found["asked"] else "the use case's own",
        counts=_counts(*(int(found[one] or 0) for one in ("allowed", "refused", "missing", "apart"))),
        notes=tuple(one for one in said if not _REWRITE.fullmatch(one)),
        rewrites=tuple(one for one in said if _REWRITE.fullmatch(one)),
        reason=found["reason"],
    )


def _counts(allowed: int, refused: int, missing: int, apart: int) -> str:
    said = f"{allowed} deployment{'s' if allowed != 1 else ''} allowed, {refused} refused"
    said += f", {missing} allowed but not configured" if missing else ""
    return said + (f", {apart} allowed but of another model" if apart else "")
