"""A call over made-up estates while everything around it changes, against a plain question at every send.

Deployments die one after the other, claims run out, the estate is swapped between attempts, the caller raises the
class and asks for things that are kept or reach out: whatever is sent must be allowed by the estate of that moment,
asked anew from its declarations without any of the product's decisions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.policy.test_compile_properties import NOW, SURROUNDINGS, TODAY, estates, plainly_good

from trunkline.clock import as_datetime
from trunkline.dialects.openai.codec import decode, encode
from trunkline.errors import Refusal
from trunkline.estate.claims import AppliesTo, Basis, Claim, DataClass, Requirement
from trunkline.estate.deployments import Deployment
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.stages import Permitted
from trunkline.estate.use_cases import State
from trunkline.ids import KeyId
from trunkline.messages import Operation, Usage
from trunkline.money import Nano
from trunkline.policy.compile import compile_estate
from trunkline.policy.permit import permit, still_permitted
from trunkline.tenancy.callers import Caller
from trunkline.upstream.route import foresee

DAY = 86_400 * 10**9
ASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stored": {"store": True},
    "not stored": {"store": False},
    "searching": {"web_search_options": {}},
    "elsewhere": {"tools": [{"type": "mcp", "server_url": "https://example.org"}], "store": True},
    "own tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
    "cached": {"prompt_cache_retention": "24h"},
}
QUESTIONED = {
    "stored_answer": {"app_state_retention_days"},
    "extended_prompt_cache": {"app_state_retention_days"},
    "web_search": {"app_state_retention_days", "residency_processing"},
    "remote_tool": {"app_state_retention_days", "residency_processing", "training_use"},
}
"""Of the controls that the made-up estates use, which each feature puts in question."""

features = st.lists(st.sampled_from(sorted(QUESTIONED)), max_size=3, unique=True).map(tuple)
endpoints = st.sampled_from([(), (), (), (), ("chat",), ("embeddings",), ("chat", "embeddings")])


sensible = st.fixed_dictionaries(
    {},
    optional={
        "training_use": st.builds(
            Requirement, is_=st.sampled_from(["never", "opt_out"]), basis=st.sampled_from([*Basis][1:5])
        ),
        "residency_processing": st.builds(
            Requirement, within=st.just(("eu", "on_prem")), max_age_days=st.none() | st.integers(1, 60)
        ),
        "app_state_retention_days": st.builds(Requirement, at_most=st.sampled_from([Decimal(0), Decimal(30)])),
    },
)
GOOD: dict[str, Any] = {"training_use": "never", "residency_processing": "eu", "app_state_retention_days": 0}
vouched = st.fixed_dictionaries(
    {
        control: st.builds(
            Claim,
            value=st.just(value),
            basis=st.sampled_from([Basis.CONTRACT, Basis.ENFORCED_SETTING, Basis.OPERATOR_RUN]),
            verified_at=st.just(TODAY),
            expires=st.none() | st.integers(1, 90).map(lambda days: TODAY + timedelta(days=days)),
        )
        for control, value in (
            ("training_use", "never"),
            ("residency_processing", "eu"),
            ("app_state_retention_days", 0),
        )
    }
)


@st.composite
def living_estates(draw: st.DrawFn) -> Estate:
    """Estates that allow something, whose claims apply to this and that, and whose use cases are in every state."""
    estate = draw(estates())
    deployments = {}
    for name, one in estate.deployments.items():
        controls = draw(vouched) if draw(st.integers(0, 2)) else one.controls
        deployments[name] = msgspec.structs.replace(
            one,
            controls={
                control: msgspec.structs.replace(
                    claim, applies_to=AppliesTo(features=draw(features), endpoints=draw(endpoints))
                )
                for control, claim in controls.items()
            },
        )
    use_cases = {
        name: msgspec.structs.replace(
            one,
            state=draw(st.sampled_from([*[State.ACTIVE] * 6, *State])),
            retires=draw(st.none() | st.integers(1, 5).map(lambda days: TODAY + timedelta(days=days))),
            patterns=one.patterns if draw(st.integers(0, 5)) == 0 else None,
        )
        for name, one in estate.use_cases.items()
    }
    classes = {name: DataClass(requires=draw(sensible)) for name in estate.data_classes}
    return msgspec.structs.replace(estate, deployments=deployments, use_cases=use_cases, data_classes=classes)


changes = st.lists(st.none() | st.integers(1, 60) | living_estates(), max_size=6)
"""Between two attempts: nothing, so many days, or another estate."""


def bound(_: Permitted, __: Any) -> tuple[Usage, Nano]:
    return Usage(), Nano(0)


class World:
    """The estate and the time of the moment, with the snapshot that the exchange would have."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.now = NOW
        self._snapshot = self._compiled = compile_estate(estate, SURROUNDINGS, NOW)

    @property
    def snapshot(self) -> Snapshot:
        if self.now >= self._snapshot.good_until:
            self._snapshot = compile_estate(self.estate, SURROUNDINGS, self.now)
        return self._snapshot

    def change(self, change: int | Estate | None) -> None:
        if isinstance(change, int):
            self.now += change * DAY
        elif change is not None:
            self.estate = change
            self._snapshot = compile_estate(change, SURROUNDINGS, self.now)


def used(body: dict[str, Any]) -> Iterator[str]:
    """The features that a body uses, read off it plainly."""
    if body.get("store") not in (None, False):
        yield "stored_answer"
    if "prompt_cache_retention" in body:
        yield "extended_prompt_cache"
    if "web_search_options" in body:
        yield "web_search"
    if any(tool["type"] == "mcp" for tool in body.get("tools", [])):
        yield "remote_tool"


def open_to(estate: Estate, name: str, unit: str, at: datetime) -> bool:
    case = estate.use_cases[name]
    if case.state is State.RETIRED or (case.state is State.DEPRECATED and case.retires and case.retires <= at):
        return False
    if case.state is State.DRAFT:
        return case.owner == unit
    return bool(set(case.audience) & set(estate.lineage(unit)))


def plain_reasons(world: World, permitted: Permitted, deployment: str, body: dict[str, Any]) -> Iterator[str]:
    """What stands against sending this body there now."""
    estate, at = world.estate, as_datetime(world.now)
    case = estate.use_cases[permitted.decision.use_case]
    it = estate.deployments[deployment]
    if not open_to(estate, permitted.decision.use_case, permitted.caller.unit, at):
        yield "the use case is not open to the caller"
    if not any(deployment in tier for pool in case.pools for tier in estate.pools[pool].tiers):
        yield "it is in no pool of the use case"
    if case.patterns is not None and it.pattern not in case.patterns:
        yield "the use case does not allow the pattern"
    if permitted.asked.model not in {permitted.decision.use_case, it.model}:
        yield "it is another model"
    classes = list(estate.data_classes)
    raised = permitted.asked.data_class
    strictest = max(classes.index(case.data_class), classes.index(raised) if raised in classes else 0)
    for name in classes[: strictest + 1]:
        for control, requirement in estate.data_classes[name].requires.items():
            if not plainly_claimed(it, control, requirement, at):
                yield f"{name} requires {control}"
            for feature in used(body):
                if control in QUESTIONED[feature] and not plainly_covered(it, control, feature, requirement, at):
                    yield f"{name} requires {control} of {feature}"


def plainly_claimed(it: Deployment, control: str, requirement: Requirement, at: datetime) -> bool:
    claims: list[tuple[Any, str, datetime | None, datetime | None]] = []
    claim = it.controls.get(control)
    if claim is not None and (not claim.applies_to.endpoints or "chat" in claim.applies_to.endpoints):
        claims.append((claim.value, str(claim.basis), claim.verified_at, claim.expires))
    asserted = {"training_use": "never", "residency_processing": "on_prem", "app_state_retention_days": 0}
    if it.engine is not None:
        claims.append((asserted[control], "operator_run", at, None))
    elif not claims and it.boundary == "talkative" and control == "training_use":
        claims.append(("never", "published_default", TODAY.replace(hour=0), TODAY + timedelta(days=365)))
    return bool(claims) and all(plainly_good(control, *one, requirement, at) for one in claims)


def plainly_covered(it: Deployment, control: str, feature: str, requirement: Requirement, at: datetime) -> bool:
    claim = it.controls.get(control)
    if claim is None or feature not in claim.applies_to.features:
        return False
    if claim.applies_to.endpoints and "chat" not in claim.applies_to.endpoints:
        return False
    return plainly_good(control, claim.value, str(claim.basis), claim.verified_at, claim.expires, requirement, at)


@settings(max_examples=200, deadline=None)
@given(
    estate=living_estates(),
    changes=changes,
    unit=st.sampled_from(["root", "left", "right", "leaf"]),
    model=st.sampled_from(["one", "two", "v/a"]),
    raised=st.sampled_from([None, None, "c0", "c1", "c2"]),
    ask=st.sampled_from(sorted(ASKS)),
)
def test_nothing_is_sent_where_the_claims_of_that_moment_do_not_meet_the_call(
    estate: Estate, changes: list[int | Estate | None], unit: str, model: str, raised: str | None, ask: str
) -> None:
    world = World(estate)
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **ASKS[ask]}
    asked = msgspec.structs.replace(decode(Operation.CHAT, json.dumps(body).encode()), data_class=raised)
    snapshot = world.snapshot
    try:
        permitted = permit(snapshot, Caller(key=KeyId("k"), unit=unit, cost_centre="1"), asked)
    except Refusal:
        event("refused")
        return
    left = list(changes)
    sent = 0
    for attempt in foresee(permitted, bound):
        if left:
            world.change(left.pop(0))
        current = world.snapshot
        deployment = attempt.endpoint.deployment
        if current is not snapshot and not still_permitted(current, permitted, attempt.endpoint):
            continue
        rewrites = [(one.field, one.value) for one in permitted.rewrites if one.holds_at(deployment)]
        written = json.loads(encode(permitted.asked, "m", None, rewrites))
        assert list(plain_reasons(world, permitted, deployment, written)) == []
        sent += 1
    event(f"sent {min(sent, 3)} times after {min(len(changes), 3)} changes")


@settings(max_examples=150, deadline=None)
@given(estate=living_estates(), unit=st.sampled_from(["root", "leaf"]), ask=st.sampled_from(sorted(ASKS)))
def test_a_request_that_asks_for_more_or_raises_its_class_never_gains_a_deployment(
    estate: Estate, unit: str, ask: str
) -> None:
    snapshot = World(estate).snapshot
    caller = Caller(key=KeyId("k"), unit=unit, cost_centre="1")

    def reached(raised: str | None, **more: Any) -> set[str]:
        body = {"model": "one", "messages": [{"role": "user", "content": "hi"}], **more}
        asked = msgspec.structs.replace(decode(Operation.CHAT, json.dumps(body).encode()), data_class=raised)
        try:
            return {endpoint.deployment for endpoint in permit(snapshot, caller, asked).decision.all_allowed}
        except Refusal:
            return set()

    assert reached(None, **ASKS[ask]) <= reached(None)
    classes = list(estate.data_classes)
    for looser, stricter in pairwise(classes):
        assert reached(stricter, **ASKS[ask]) <= reached(looser, **ASKS[ask])


@settings(max_examples=100, deadline=None)
@given(estate=living_estates(), ask=st.sampled_from(sorted(ASKS)), name=st.sampled_from(["d0", "d1", "d2"]))
def test_a_claim_that_covers_fewer_features_never_allows_more(estate: Estate, ask: str, name: str) -> None:
    it = estate.deployments[name]
    less = msgspec.structs.replace(
        it,
        controls={
            control: msgspec.structs.replace(
                claim, applies_to=msgspec.structs.replace(claim.applies_to, features=claim.applies_to.features[1:])
            )
            for control, claim in it.controls.items()
        },
    )
    narrower = msgspec.structs.replace(estate, deployments={**estate.deployments, name: less})
    asked = decode(Operation.CHAT, json.dumps({"model": "one", "messages": [], **ASKS[ask]}).encode())

    def reached(estate: Estate) -> set[tuple[str, bytes]]:
        """Each deployment with what would be sent there: a rewrite is less than what was asked for."""
        try:
            permitted = permit(World(estate).snapshot, Caller(key=KeyId("k"), unit="root", cost_centre="1"), asked)
        except Refusal:
            return set()
        return {
            (endpoint.deployment, feature.encode())
            for endpoint in permitted.decision.all_allowed
            for feature in used(
                json.loads(
                    encode(
                        permitted.asked,
                        "m",
                        None,
                        [(r.field, r.value) for r in permitted.rewrites if r.holds_at(endpoint.deployment)],
                    )
                )
            )
        }

    assert reached(narrower) <= reached(estate)
