"""The compiler over made-up estates, against an evaluation that is slow and plain."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.catalog.vendor import PublishedControl, Vendor
from trunkline.clock import as_datetime, as_nanos
from trunkline.estate.boundaries import Boundary
from trunkline.estate.claims import Basis, Claim, DataClass, Requirement
from trunkline.estate.deployments import Deployment, Engine, Pattern
from trunkline.estate.endpoints import Address
from trunkline.estate.estate import Estate
from trunkline.estate.pools import Pool
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.units import Unit
from trunkline.estate.use_cases import UseCase
from trunkline.policy.compile import compile_estate
from trunkline.policy.surroundings import Surroundings

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW = as_nanos(TODAY)
CONTROLS = ["training_use", "residency_processing", "app_state_retention_days"]
VALUES = ["never", "opt_out", "unknown", "eu", "us", "on_prem"]
DEPLOYMENTS = [f"d{number}" for number in range(5)]
ORDER = ["unverified", "published_default", "contract", "enforced_setting", "operator_run"]

PUBLISHED = PublishedControl(
    value="never", title="Terms", quote="", verified=TODAY.date(), expires=TODAY.date() + timedelta(days=365)
)
SURROUNDINGS = Surroundings(
    vendors={
        "talkative": Vendor(id="talkative", name="Talkative", key_required=False, controls={"training_use": PUBLISHED}),
        "silent": Vendor(id="silent", name="Silent", key_required=False),
    },
    profiles={},
    resolve=lambda reference: (reference, ""),
    addresses={name: Address(url="http://127.0.0.1:1", key="k") for name in DEPLOYMENTS},
)

moments = st.none() | st.integers(-100, 100).map(lambda days: TODAY + timedelta(days=days))
values = (
    st.sampled_from(VALUES)
    | st.integers(0, 30)
    | st.booleans()
    | st.lists(st.sampled_from(VALUES), max_size=2).map(tuple)
)
claims = st.builds(Claim, value=values, basis=st.sampled_from(list(Basis)), verified_at=moments, expires=moments)
good_claims = st.builds(
    Claim,
    value=st.sampled_from(["never", "eu", 0]),
    basis=st.sampled_from([Basis.CONTRACT, Basis.OPERATOR_RUN]),
    verified_at=st.just(TODAY),
)
requirements = st.one_of(
    st.builds(
        Requirement,
        is_=st.sampled_from(["never", "eu", True]),
        basis=st.sampled_from(list(Basis)),
        max_age_days=st.none() | st.integers(1, 90),
    ),
    st.builds(Requirement, within=st.lists(st.sampled_from(VALUES), max_size=3).map(tuple)),
    st.builds(Requirement, at_most=st.integers(0, 30).map(Decimal)),
    st.just(Requirement(is_="never")),
)
deployments = st.builds(
    Deployment,
    model=st.sampled_from(["v/a", "v/b"]),
    pattern=st.sampled_from(list(Pattern)),
    boundary=st.sampled_from(["talkative", "silent"]),
    url=st.just("http://10.0.0.1"),
    engine=st.sampled_from([None, None, Engine()]),
    controls=st.dictionaries(st.sampled_from(CONTROLS), claims | good_claims),
)
tiers = st.lists(st.lists(st.sampled_from(DEPLOYMENTS), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(
    tuple
)


@st.composite
def estates(draw: st.DrawFn) -> Estate:
    classes = [f"c{number}" for number in range(draw(st.integers(1, 4)))]
    case = st.builds(
        UseCase,
        owner=st.just("root"),
        audience=st.sampled_from([("root",), ("left",), ("left", "right")]),
        data_class=st.sampled_from(classes),
        pools=st.lists(st.sampled_from(["p", "q"]), min_size=1, max_size=2, unique=True).map(tuple),
        patterns=st.none() | st.lists(st.sampled_from(list(Pattern)), max_size=3, unique=True).map(tuple),
        direct=st.sampled_from([(), ("v/a",), ("v/a", "v/b")]),
    )
    return Estate(
        name="made-up",
        currency="EUR",
        time_zone="UTC",
        units={
            "root": Unit("1"),
            "left": Unit("2", parent="root"),
            "right": Unit("3", parent="root"),
            "leaf": Unit("4", parent="left"),
        },
        data_classes={
            name: DataClass(requires=draw(st.dictionaries(st.sampled_from(CONTROLS), requirements, max_size=2)))
            for name in classes
        },
        boundaries={name: Boundary(provider=name, owner="root") for name in ("talkative", "silent")},
        deployments={name: draw(deployments) for name in DEPLOYMENTS},
        pools={name: Pool(owner="root", tiers=draw(tiers)) for name in ("p", "q")},
        use_cases={name: draw(case) for name in ("one", "two")},
    )


def compiled(estate: Estate, at: int = NOW) -> Snapshot:
    return compile_estate(estate, SURROUNDINGS, at)


Where = tuple[str, str, str]


def allowed(snapshot: Snapshot) -> dict[Where, tuple[tuple[str, ...], ...]]:
    """For each unit, name and class: the tiers that are allowed."""
    return {
        (unit, name, data_class): tuple(tuple(one.deployment for one in tier) for tier in decision.allowed)
        for unit, offers in snapshot.offers.items()
        for name, offer in offers.items()
        for data_class, decision in offer.decisions.items()
    }


def plainly(estate: Estate) -> dict[Where, tuple[tuple[str, ...], ...]]:
    """What `allowed` must be: every question asked anew, nothing remembered."""
    found: dict[Where, tuple[tuple[str, ...], ...]] = {}
    for unit in estate.units:
        mine = [name for name, case in estate.use_cases.items() if set(case.audience) & set(estate.lineage(unit))]
        asked: list[tuple[str, str, str | None]] = [(name, name, None) for name in mine]
        asked += [(model, name, model) for name in mine for model in estate.use_cases[name].direct]
        for name, case, model in asked:
            for data_class in classes_from(estate, estate.use_cases[case].data_class):
                if (unit, name, data_class) not in found and name_belongs(found, unit, name, data_class, estate, case):
                    found[unit, name, data_class] = tuple(plain_tiers(estate, case, model, data_class))
    return found


def name_belongs(found: Any, unit: str, name: str, data_class: str, estate: Estate, case: str) -> bool:
    """A direct model that two use cases have belongs to the first alone, also in the classes only the second has."""
    others = [other for other in estate.use_cases if other != case and name in estate.use_cases[other].direct]
    earlier = list(estate.use_cases)[: list(estate.use_cases).index(case)]
    return name == case or not any(
        other in earlier and set(estate.use_cases[other].audience) & set(estate.lineage(unit)) for other in others
    )


def classes_from(estate: Estate, own: str) -> list[str]:
    names = list(estate.data_classes)
    return names[names.index(own) :]


def plain_tiers(estate: Estate, case: str, model: str | None, data_class: str) -> Iterator[tuple[str, ...]]:
    seen = []
    for pool in estate.use_cases[case].pools:
        for tier in estate.pools[pool].tiers:
            kept = []
            for name in tier:
                if name not in seen:
                    seen.append(name)
                    deployment = estate.deployments[name]
                    if model in (None, deployment.model) and plainly_allowed(estate, case, deployment, data_class):
                        kept.append(name)
            if kept:
                yield tuple(kept)


def plainly_allowed(estate: Estate, case: str, deployment: Deployment, data_class: str) -> bool:
    patterns = estate.use_cases[case].patterns
    if patterns is not None and deployment.pattern not in patterns:
        return False
    names = list(estate.data_classes)
    for name in names[: names.index(data_class) + 1]:
        for control, requirement in estate.data_classes[name].requires.items():
            if not plainly_satisfied(control, requirement, deployment):
                return False
    return True


def plainly_satisfied(control: str, requirement: Requirement, deployment: Deployment) -> bool:
    held = []
    if control in deployment.controls:
        claim = deployment.controls[control]
        held.append((claim.value, str(claim.basis), claim.verified_at, claim.expires))
    if deployment.engine is not None:
        asserted: dict[str, Any] = {
            "training_use": "never",
            "residency_processing": "on_prem",
            "app_state_retention_days": 0,
        }
        held.append((asserted[control], "operator_run", TODAY, None))
    elif not held and deployment.boundary == "talkative" and control == "training_use":
        held.append(("never", "published_default", TODAY.replace(hour=0), TODAY + timedelta(days=365)))
    return bool(held) and all(plainly_good(control, *one, requirement) for one in held)


def plainly_good(
    control: str,
    value: Any,
    basis: str,
    verified: datetime | None,
    expires: datetime | None,
    asked: Requirement,
    at: datetime = TODAY,
) -> bool:
    if basis not in ORDER or str(asked.basis) not in ORDER or ORDER.index(basis) < ORDER.index(str(asked.basis)):
        return False
    if (expires or at + timedelta(days=1)) <= at or (verified or at) > at + timedelta(hours=25):
        return False
    if asked.max_age_days is not None and (verified is None or verified + timedelta(days=asked.max_age_days) <= at):
        return False
    if asked.is_ is not None:
        return plainly_strict(control, value, asked.is_)
    if asked.within is not None:
        listed = value if isinstance(value, tuple) and control == "residency_processing" else (value,)
        return listed != () and all(any(plainly_strict(control, it, one) for one in asked.within) for it in listed)
    return control == "app_state_retention_days" and type(value) is int and value <= (asked.at_most or 0)


STRICTER = {
    ("training_use", "never"): ["never", "opt_out"],
    ("training_use", "opt_out"): ["opt_out"],
    ("residency_processing", "eu"): ["eu"],
    ("residency_processing", "us"): ["us"],
    ("residency_processing", "on_prem"): ["on_prem"],
}
"""Which of the values here each of them is as strict as."""


def plainly_strict(control: str, value: Any, asked: Any) -> bool:
    if isinstance(value, tuple):
        return (
            control == "residency_processing"
            and value != ()
            and all(plainly_strict(control, it, asked) for it in value)
        )
    return isinstance(value, str) and asked in STRICTER.get((control, value), [])


def without_claim(estate: Estate, name: str, control: str) -> Estate:
    controls = {key: claim for key, claim in estate.deployments[name].controls.items() if key != control}
    less = msgspec.structs.replace(estate.deployments[name], controls=controls)
    return msgspec.structs.replace(estate, deployments={**estate.deployments, name: less})


@settings(max_examples=150, deadline=None)
@given(estate=estates())
def test_the_compiled_estate_says_what_a_plain_evaluation_says(estate: Estate) -> None:
    assert allowed(compiled(estate)) == plainly(estate)


@settings(max_examples=100, deadline=None)
@given(estate=estates())
def test_a_stricter_class_never_gains_a_deployment(estate: Estate) -> None:
    for offers in compiled(estate).offers.values():
        for offer in offers.values():
            sets = [{one.deployment for one in decision.all_allowed} for decision in offer.decisions.values()]
            assert all(stricter <= looser for looser, stricter in pairwise(sets))


@settings(max_examples=100, deadline=None)
@given(estate=estates(), name=st.sampled_from(DEPLOYMENTS), control=st.sampled_from(CONTROLS))
def test_removing_a_claim_never_allows_more_where_nobody_else_vouches(estate: Estate, name: str, control: str) -> None:
    alone = msgspec.structs.replace(estate.deployments[name], engine=None, boundary="silent")
    estate = msgspec.structs.replace(estate, deployments={**estate.deployments, name: alone})
    before, after = allowed(compiled(estate)), allowed(compiled(without_claim(estate, name, control)))
    for where, tiers in after.items():
        assert {one for tier in tiers for one in tier} <= {one for tier in before[where] for one in tier}


@settings(max_examples=100, deadline=None)
@given(estate=estates(), name=st.sampled_from(DEPLOYMENTS), control=st.sampled_from(CONTROLS), claim=claims)
def test_an_expired_or_unknown_claim_is_worth_no_more_than_none(
    estate: Estate, name: str, control: str, claim: Claim
) -> None:
    void = [
        msgspec.structs.replace(claim, expires=TODAY - timedelta(days=1)),
        msgspec.structs.replace(claim, value="unknown"),
        msgspec.structs.replace(claim, basis=Basis.ATTESTED_PER_RESPONSE),
    ]
    nothing = allowed(compiled(without_claim(estate, name, control)))
    for one in void:
        controls = {**estate.deployments[name].controls, control: one}
        more = msgspec.structs.replace(estate.deployments[name], controls=controls)
        with_it = allowed(compiled(msgspec.structs.replace(estate, deployments={**estate.deployments, name: more})))
        for where, tiers in with_it.items():
            assert {it for tier in tiers for it in tier} <= {it for tier in nothing[where] for it in tier}


@settings(max_examples=100, deadline=None)
@given(estate=estates())
def test_every_refused_deployment_has_a_reason_and_every_allowed_one_has_none(estate: Estate) -> None:
    for offers in compiled(estate).offers.values():
        for offer in offers.values():
            for decision in offer.decisions.values():
                refused = {denial.deployment for denial in decision.denials}
                assert not refused & {one.deployment for one in (*decision.all_allowed, *decision.unconfigured)}
                assert all(denial.rule and denial.claim for denial in decision.denials)


@settings(max_examples=100, deadline=None)
@given(estate=estates(), share=st.floats(0, 1))
def test_nothing_changes_before_the_snapshot_says_so(estate: Estate, share: float) -> None:
    snapshot = compiled(estate)
    span = min(snapshot.good_until, NOW + 400 * 86_400 * 10**9) - NOW
    later = NOW + min(int(span * share), span - 1)
    assert as_datetime(later) >= TODAY
    assert allowed(compiled(estate, later)) == allowed(snapshot)
