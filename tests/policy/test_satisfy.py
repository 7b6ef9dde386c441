from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.clock import as_nanos
from trunkline.estate.claims import Basis, Claim, Evidence, Requirement
from trunkline.policy.satisfy import FAR, describe_claim, describe_requirement, next_change, satisfies

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW = as_nanos(TODAY)
ORDER = [Basis.UNVERIFIED, Basis.PUBLISHED_DEFAULT, Basis.CONTRACT, Basis.ENFORCED_SETTING, Basis.OPERATOR_RUN]
NEVER = Requirement(is_="never")


def claim(value: str | int | bool | tuple[str, ...] = "never", **more: object) -> Claim:
    return Claim(**{"value": value, "basis": Basis.CONTRACT, "verified_at": TODAY, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "requirement", "holds"), [
    ("never", Requirement(is_="never"), True),
    ("opt_out", Requirement(is_="never"), False),
    ("unknown", Requirement(is_="unknown"), False),
    (True, Requirement(is_=True), True),
    (1, Requirement(is_=True), False),
    (True, Requirement(is_=1), False),
    ("eu", Requirement(within=("eu", "on_prem")), True),
    ("us", Requirement(within=("eu", "on_prem")), False),
    (("eu", "on_prem"), Requirement(within=("eu", "on_prem")), True),
    (("eu", "us"), Requirement(within=("eu", "on_prem")), False),
    ((), Requirement(within=("eu",)), False),
    ("eu", Requirement(within=()), False),
    (0, Requirement(within=("0",)), False),
    (0, Requirement(at_most=Decimal(0)), True),
    (1, Requirement(at_most=Decimal(0)), False),
    (False, Requirement(at_most=Decimal(0)), False),
    ("0", Requirement(at_most=Decimal(0)), False),
    ("until_deleted", Requirement(at_most=Decimal(30)), False),
    (3, Requirement(at_least=Decimal(2)), True),
    (1, Requirement(at_least=Decimal(2)), False),
    (5, Requirement(at_least=Decimal(2), at_most=Decimal(4)), False),
    ("never", Requirement(), False),
])  # fmt: skip
def test_a_value_holds_only_where_it_is_of_the_kind_and_inside_what_is_asked(
    value: str | int | bool | tuple[str, ...], requirement: Requirement, holds: bool
) -> None:
    assert satisfies(claim(value), requirement, NOW) is holds


@pytest.mark.parametrize("asked", ORDER)
@pytest.mark.parametrize("basis", ORDER)
def test_a_weaker_basis_never_satisfies_a_stronger_requirement(basis: Basis, asked: Basis) -> None:
    holds = satisfies(claim(basis=basis), Requirement(is_="never", basis=asked), NOW)
    assert holds is (ORDER.index(basis) >= ORDER.index(asked))


@pytest.mark.parametrize("other", list(Basis))
def test_attested_per_response_satisfies_nothing_before_the_send_and_cannot_be_asked_for(other: Basis) -> None:
    attested = Basis.ATTESTED_PER_RESPONSE
    assert not satisfies(claim(basis=attested), Requirement(is_="never", basis=other), NOW)
    assert not satisfies(claim(basis=other), Requirement(is_="never", basis=attested), NOW)


def test_a_claim_without_a_stated_basis_does_not_satisfy_a_requirement_without_one() -> None:
    assert not satisfies(Claim(value="never", verified_at=TODAY), NEVER, NOW)


def test_an_expired_claim_satisfies_nothing_from_the_nanosecond_of_its_expiry_on() -> None:
    expiring = claim(expires=TODAY)
    assert satisfies(expiring, NEVER, NOW - 1)
    assert not satisfies(expiring, NEVER, NOW)


def test_a_claim_older_than_the_class_allows_satisfies_nothing() -> None:
    fresh = Requirement(is_="never", max_age_days=90)
    assert satisfies(claim(verified_at=TODAY - timedelta(days=89)), fresh, NOW)
    assert not satisfies(claim(verified_at=TODAY - timedelta(days=90)), fresh, NOW)


def test_a_claim_that_was_never_verified_does_not_satisfy_a_requirement_on_its_age() -> None:
    assert satisfies(claim(verified_at=None), NEVER, NOW)
    assert not satisfies(claim(verified_at=None), Requirement(is_="never", max_age_days=90), NOW)


def test_a_verification_dated_beyond_today_counts_as_none() -> None:
    assert satisfies(claim(verified_at=TODAY + timedelta(hours=24)), NEVER, NOW)
    assert not satisfies(claim(verified_at=TODAY + timedelta(days=2)), NEVER, NOW)


def test_a_verification_dated_beyond_today_counts_from_the_day_it_names() -> None:
    future = claim(verified_at=TODAY + timedelta(days=10))
    until = next_change(future, NEVER, NOW)
    assert until == as_nanos(TODAY + timedelta(days=10) - timedelta(hours=25))
    assert not satisfies(future, NEVER, until - 1)
    assert satisfies(future, NEVER, until)


days = st.integers(-400, 400)


@given(
    verified=st.none() | days,
    expires=st.none() | days,
    age=st.none() | st.integers(1, 400),
    later=st.integers(0, 10**17),
)
def test_the_answer_does_not_change_before_it_is_said_to(
    verified: int | None, expires: int | None, age: int | None, later: int
) -> None:
    held = claim(
        verified_at=None if verified is None else TODAY + timedelta(days=verified),
        expires=None if expires is None else TODAY + timedelta(days=expires),
    )
    requirement = Requirement(is_="never", max_age_days=age)
    until = next_change(held, requirement, NOW)
    assert NOW < until <= FAR
    assert satisfies(held, requirement, min(NOW + later, until - 1)) is satisfies(held, requirement, NOW)


def test_requirements_and_claims_are_written_as_a_person_would_say_them() -> None:
    strict = Requirement(is_="never", basis=Basis.CONTRACT, max_age_days=365)
    assert describe_requirement("training_use", NEVER) == "training_use is never"
    assert (
        describe_requirement("training_use", strict)
        == "training_use is never (basis contract or stronger, verified within 365 days)"
    )
    assert describe_requirement("zone", Requirement(within=("eu", "on_prem"))) == "zone is within eu, on_prem"
    assert describe_requirement("days", Requirement(at_least=Decimal(1), at_most=Decimal(30))) == (
        "days is at most 30 and is at least 1"
    )
    full = claim(
        "opt_out",
        evidence=Evidence(title="Product terms"),
        verified_at=datetime(2026, 10, 2, 23, 59, tzinfo=UTC),
        expires=datetime(2027, 10, 2, 23, 59, tzinfo=UTC),
    )
    assert describe_claim("training_use", full, NOW) == (
        "training_use is opt_out (basis contract, 'Product terms', verified 2026-10-02, expires 2027-10-02)"
    )
    old = claim(("eu", "us"), verified_at=None, expires=datetime(2026, 1, 31, tzinfo=UTC))
    assert describe_claim("zone", old, NOW) == "zone is eu, us (basis contract, never verified, expired 2026-01-31)"
    assert describe_claim("zone", None, NOW) == "no claim on zone"
    assert describe_claim("store", claim(True), NOW) == "store is true (basis contract, verified 2026-11-22)"
