"""What changes between two estates: the deployments that each use case gains or loses, who may ask, who keeps answers.

All is told for each data class. Both are compiled at the same moment. Under a class looser than a use case's own its
own class counts, as in a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from trunkline.config.environment import kind_of_reference
from trunkline.estate.estate import Estate
from trunkline.policy.compile import compile_estate
from trunkline.policy.keeping import Kept, kept_under, loosens
from trunkline.policy.surroundings import Surroundings


class Kind(StrEnum):
    """What a change is of."""

    GAINED = "gained"  # a deployment is allowed that was not
    LOST = "lost"  # a deployment is refused, or stands outside the pools, that was allowed
    REASON = "reason"  # a deployment is refused as before, for another reason
    ADDED = "added"
    REMOVED = "removed"
    AUDIENCE = "audience"  # who may name the use case
    KEEPS_MORE = "keeps_more"  # answers are kept that were not, longer, or elsewhere
    KEEPS_LESS = "keeps_less"
    CHANGED = "changed"


DECIDES = frozenset({Kind.GAINED, Kind.LOST, Kind.REASON, Kind.AUDIENCE, Kind.KEEPS_MORE, Kind.KEEPS_LESS})
"""Kinds that change what a caller may do, or what becomes of its answers. So do use cases that come or go."""

SECTIONS = (
    "use_cases",
    "deployments",
    "pools",
    "data_classes",
    "rules",
    "zones",
    "boundaries",
    "units",
    "certificates",
    "stores",
    "webhooks",
)

SECRET = ("credentials", "url", "endpoint", "secret")
"""Fields whose literal values are never repeated."""


class Verdict(msgspec.Struct, frozen=True):
    """Whether a deployment is allowed, and if not why."""

    allowed: bool
    why: str


class Change(msgspec.Struct, frozen=True):
    """One change. Which of the names are given depends on what it is of; the others are None.

    Attributes:
        section: of the estate, where it is not about a decision.
        name: of the thing in that section.
        field: of that thing; None where all of it came or went.
        before, after: in words; empty where there is nothing.
    """

    kind: Kind
    use_case: str | None = None
    data_class: str | None = None
    deployment: str | None = None
    section: str | None = None
    name: str | None = None
    field: str | None = None
    before: str = ""
    after: str = ""

    @property
    def decides(self) -> bool:
        """Whether a decision is other than before."""
        return self.kind in DECIDES or (self.section == "use_cases" and self.kind in {Kind.ADDED, Kind.REMOVED})


def diff(old: tuple[Estate, Surroundings], new: tuple[Estate, Surroundings], now: int) -> tuple[Change, ...]:
    """Return every change from one estate to another: decisions first, then what was declared."""
    return (*_decided(_Side(*old, now), _Side(*new, now)), *_declared(old[0], new[0]))


class _Side:
    """One of the two estates, with all that it decides."""

    def __init__(self, estate: Estate, surroundings: Surroundings, now: int) -> None:
        snapshot = compile_estate(estate, surroundings, now)
        self.estate = estate
        self.classes = tuple(estate.data_classes)
        self._offers = {
            name: offer
            for offered in (*snapshot.offers.values(), *snapshot.key_offers.values())
            for name, offer in offered.items()
            if name == offer.use_case
        }

    def cases(self) -> Iterator[tuple[str, str]]:
        """Each use case on offer with its own class and all stricter ones."""
        for name in self.estate.use_cases:
            if (offer := self._offers.get(name)) is not None:
                yield from ((name, data_class) for data_class in offer.decisions)

    def verdicts(self, use_case: str, data_class: str) -> dict[str, Verdict]:
        """The verdict on each deployment of the use case's pools."""
        offer = self._offers.get(use_case)
        if offer is None or data_class not in self.classes:
            return {}
        decision = offer.decisions.get(data_class, offer.decisions[offer.data_class])
        verdicts = {
            endpoint.deployment: Verdict(allowed=True, why="allowed")
            for endpoint in (*decision.all_allowed, *decision.unconfigured)
        }
        for denial in decision.denials:
            said = f"{denial.rule}, but {denial.claim}"
            known = verdicts.get(denial.deployment)
            verdicts[denial.deployment] = Verdict(allowed=False, why=f"{known.why}; {said}" if known else said)
        return verdicts

    def kept(self, use_case: str, data_class: str) -> Kept:
        """Who keeps its answers."""
        offer = self._offers.get(use_case)
        if offer is None or data_class not in self.classes:
            return Kept()
        return kept_under(offer.decisions.get(data_class, offer.decisions[offer.data_class]))

    def absence(self, use_case: str, data_class: str, deployment: str) -> Verdict:
        """Why there is no verdict."""
        if use_case not in self.estate.use_cases:
            why = "there is no such use case"
        elif data_class not in self.classes:
            why = "there is no such data class"
        elif use_case not in self._offers:
            why = "the use case is not on offer"
        elif deployment not in self.estate.deployments:
            why = "there is no such deployment"
        else:
            why = "it does not stand in the use case's pools"
        return Verdict(allowed=False, why=why)


def _decided(old: _Side, new: _Side) -> Iterator[Change]:
    cases = dict.fromkeys((*old.cases(), *new.cases()))
    names = list(dict.fromkeys(use_case for use_case, _ in cases))
    for use_case, data_class in sorted(cases, key=lambda case: names.index(case[0])):
        before, after = old.verdicts(use_case, data_class), new.verdicts(use_case, data_class)
        for deployment in dict.fromkeys((*before, *after)):
            was = before.get(deployment) or old.absence(use_case, data_class, deployment)
            is_now = after.get(deployment) or new.absence(use_case, data_class, deployment)
            both = deployment in before and deployment in after
            if was == is_now or not (was.allowed or is_now.allowed or both):
                continue
            refused = Kind.LOST if was.allowed else Kind.REASON
            kind = Kind.GAINED if is_now.allowed else refused
            yield Change(kind, use_case, data_class, deployment, before=was.why, after=is_now.why)
        yield from _keeping(use_case, data_class, old.kept(use_case, data_class), new.kept(use_case, data_class))


def _keeping(use_case: str, data_class: str, was: Kept, is_now: Kept) -> Iterator[Change]:
    if (was.by, was.days, was.where) != (is_now.by, is_now.days, is_now.where):
        kind = Kind.KEEPS_MORE if loosens(was, is_now) else Kind.KEEPS_LESS
        yield Change(kind, use_case, data_class, before=was.words, after=is_now.words)


def _declared(old: Estate, new: Estate) -> Iterator[Change]:
    for section in SECTIONS:
        before: Mapping[str, Any] = getattr(old, section)
        after: Mapping[str, Any] = getattr(new, section)
        for name in dict.fromkeys((*before, *after)):
            if name not in after:
                yield Change(kind=Kind.REMOVED, section=section, name=name)
            elif name not in before:
                yield Change(kind=Kind.ADDED, section=section, name=name)
            else:
                yield from _fields(section, name, before[name], after[name])
    if list(old.data_classes) != list(new.data_classes):
        yield Change(
            kind=Kind.CHANGED,
            section="data_classes",
            field="order",
            before=", ".join(old.data_classes),
            after=", ".join(new.data_classes),
        )


def _fields(section: str, name: str, before: msgspec.Struct, after: msgspec.Struct) -> Iterator[Change]:
    for field in msgspec.structs.fields(type(before)):
        was, is_now = getattr(before, field.name), getattr(after, field.name)
        if was == is_now:
            continue
        pairs = {field.name: (was, is_now)}
        if isinstance(was, dict) and isinstance(is_now, dict):
            keys = dict.fromkeys((*was, *is_now))
            pairs = {f"{field.name}.{key}": (was.get(key), is_now.get(key)) for key in keys}
        for path, (one, other) in pairs.items():
            if one != other:
                yield Change(
                    kind=Kind.AUDIENCE if (section, path) == ("use_cases", "audience") else Kind.CHANGED,
                    section=section,
                    name=name,
                    field=path,
                    before=_write(path, one),
                    after=_write(path, other),
                )


def _write(field: str, value: Any) -> str:
    """Write a declared value. What may hold a secret is shown only where it is a reference."""
    if value is None:
        return ""
    if field in SECRET and kind_of_reference(str(value)) == "literal":
        return "a value of its own"
    if isinstance(value, tuple) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    if isinstance(value, str):
        return value
    shown = msgspec.to_builtins(value, str_keys=True)
    if isinstance(shown, dict):
        shown = {key: one for key, one in shown.items() if one is not None}
    return msgspec.json.encode(shown).decode()
