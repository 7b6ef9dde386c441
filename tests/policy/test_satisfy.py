from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.catalog.controls import CONTROLS
from trunkline.clock import as_nanos
from trunkline.estate.claims import Basis, Claim, Evidence, Requirement
from trunkline.policy.satisfy import FAR, describe_claim, describe_requirement, next_change, satisfies

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW = as_nanos(TODAY)
ORDER = [Basis.UNVERIFIED, Basis.PUBLISHED_DEFAULT, Basis.CONTRACT, Basis.ENFORCED_SETTING, Basis.OPERATOR_RUN]
NEVER = Requirement(is_="never")


def claim(value: str | int | bool | tuple[str, ...] = "never", **more: object) -> Claim:
    return Claim(**{"value": value, "basis": Basis.CONTRACT, "verified_at": TODAY, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(("control", "value", "requirement", "holds"), [
    ("training_use", "never", Requirement(is_="never"), True),
    ("training_use", "opt_out", Requirement(is_="never"), False),
    ("training_use", "never", Requirement(is_="opt_out"), True),
    ("training_use", "opt_in", Requirement(within=("opt_out", "always")), True),
    ("training_use", "always", Requirement(within=("never", "opt_out")), False),
    ("training_use", "unknown", Requirement(is_="unknown"), False),
    ("training_use", "unknown", Requirement(is_="always"), False),
    ("training_use", "never", Requirement(includes=("never",)), False),
    ("training_use", "seldom", Requirement(is_="seldom"), False),
    ("training_use", 0, Requirement(is_="never"), False),
    ("training_use", ("never",), Requirement(is_="never"), False),
    ("human_review", "possible", Requirement(is_="flagged_only"), False),
    ("human_review", "flagged_only", Requirement(is_="possible"), True),
    ("network", "loopback", Requirement(is_="private_link"), True),
    ("network", "ip_allowlist", Requirement(is_="private_link"), False),
    ("zero_data_retention", "available", Requirement(is_="enforced"), False),
    ("stored_forced_off", True, Requirement(is_=True), True),
    ("stored_forced_off", 1, Requirement(is_=True), False),
    ("stored_forced_off", True, Requirement(is_=1), False),
    ("stored_forced_off", True, Requirement(within=("true",)), False),
    ("residency_processing", "eu", Requirement(within=("eu", "on_prem")), True),
    ("residency_processing", "us", Requirement(within=("eu", "on_prem")), False),
    ("residency_processing", "swedencentral", Requirement(within=("eu", "on_prem")), True),
    ("residency_processing", "swedencentral", Requirement(is_="eea"), True),
    ("residency_processing", "eu", Requirement(is_="se"), False),
    ("residency_processing", "no", Requirement(is_="eu"), False),
    ("residency_processing", "global", Requirement(within=("eu", "us")), False),
    ("residency_processing", "on_prem", Requirement(is_="eu"), False),
    ("residency_processing", ("eu", "on_prem"), Requirement(within=("eu", "on_prem")), True),
    ("residency_processing", ("de", "us"), Requirement(within=("eu", "on_prem")), False),
    ("residency_processing", ("de", "us"), Requirement(is_="eu"), False),
    ("residency_processing", ("de", "unknown"), Requirement(is_="global"), False),
    ("residency_processing", (), Requirement(within=("eu",)), False),
    ("residency_processing", (), Requirement(is_="eu"), False),
    ("residency_processing", "eu", Requirement(within=()), False),
    ("residency_processing", 0, Requirement(within=("0",)), False),
    ("app_state_retention_days", 0, Requirement(at_most=Decimal(0)), True),
    ("app_state_retention_days", 1, Requirement(at_most=Decimal(0)), False),
    ("app_state_retention_days", -1, Requirement(at_most=Decimal(0)), False),
    ("app_state_retention_days", False, Requirement(at_most=Decimal(0)), False),
    ("app_state_retention_days", "0", Requirement(at_most=Decimal(0)), False),
    ("app_state_retention_days", "until_deleted", Requirement(at_most=Decimal(30)), False),
    ("app_state_retention_days", "until_deleted", Requirement(is_="until_deleted"), True),
    ("app_state_retention_days", 3, Requirement(at_least=Decimal(2)), True),
    ("app_state_retention_days", 2, Requirement(at_least=Decimal(2)), True),
    ("app_state_retention_days", 1, Requirement(at_least=Decimal(2)), False),
    ("app_state_retention_days", 5, Requirement(at_least=Decimal(2), at_most=Decimal(4)), False),
    ("app_state_retention_days", 30, Requirement(is_=30), True),
    ("app_state_retention_days", 1, Requirement(is_=30), False),
    ("app_state_retention_days", 1, Requirement(is_=True), False),
    ("app_state_retention_days", -1, Requirement(is_=-1), False),
    ("app_state_retention_days", "whenever", Requirement(is_="whenever"), False),
    ("stored_forced_off", 1, Requirement(is_=1), False),
    ("sub_processors", ("a", "b"), Requirement(within=("a", "b", "c")), True),
    ("sub_processors", ("a", "d"), Requirement(within=("a", "b", "c")), False),
    ("sub_processors", (), Requirement(within=("a",)), True),
    ("sub_processors", ("a", "b"), Requirement(within=("a", "b")), True),
    ("sub_processors", "unknown", Requirement(is_="unknown"), False),
    ("sub_processors", "unknown", Requirement(within=("unknown",)), False),
    ("sub_processors", 3, Requirement(within=("a",)), False),
    ("sub_processors", ("a", "b"), Requirement(is_="a"), False),
    ("sub_processors", ("a",), Requirement(includes=("a",)), False),
    ("certifications", ("iso27001", "soc2"), Requirement(is_="soc2"), True),
    ("certifications", ("iso27001", "soc2"), Requirement(includes=("soc2", "iso27001")), True),
    ("certifications", ("soc2",), Requirement(includes=("soc2", "iso27001")), False),
    ("certifications", ("soc2",), Requirement(includes=()), False),
    ("certifications", ("soc2",), Requirement(within=("soc2", "iso27001")), False),
    ("training_use", "never", Requirement(is_="never", at_most=Decimal(3)), False),
    ("training_use", "never", Requirement(is_="never", includes=("never",)), False),
    ("app_state_retention_days", 0, Requirement(at_most=Decimal(3), within=("0",)), False),
    ("app_state_retention_days", 0, Requirement(within=("0",)), False),
    ("stored_forced_off", True, Requirement(is_=True, at_least=Decimal(0)), False),
    ("residency_processing", "eu", Requirement(within=("eu",), at_least=Decimal(0)), False),
    ("residency_processing", "eu", Requirement(at_most=Decimal(3)), False),
    ("certifications", ("a",), Requirement(includes=("a",), at_least=Decimal(0)), False),
    ("certifications", ("soc2", "unknown"), Requirement(includes=("soc2",)), False),
    ("training_use", "never", Requirement(), False),
    ("reads_minds", "never", Requirement(is_="never"), False),
])  # fmt: skip
def test_a_value_holds_only_where_it_is_of_the_kind_and_as_strict_as_what_is_asked(
    control: str, value: str | int | bool | tuple[str, ...], requirement: Requirement, holds: bool
) -> None:
    assert satisfies(control, claim(value), requirement, NOW) is holds


@pytest.mark.parametrize("control", [name for name, control in CONTROLS.items() if control.ordered])
def test_of_ordered_words_each_is_met_by_itself_and_those_before_it_alone(control: str) -> None:
    words = CONTROLS[control].words
    for place, asked in enumerate(words):
        met = [word for word in words if satisfies(control, claim(word), Requirement(is_=asked), NOW)]
        assert met == list(words[: place + 1])


@pytest.mark.parametrize("asked", ORDER)
@pytest.mark.parametrize("basis", ORDER)
def test_a_weaker_basis_never_satisfies_a_stronger_requirement(basis: Basis, asked: Basis) -> None:
    holds = satisfies("training_use", claim(basis=basis), Requirement(is_="never", basis=asked), NOW)
    assert holds is (ORDER.index(basis) >= ORDER.index(asked))


@pytest.mark.parametrize("other", list(Basis))
def test_attested_per_response_satisfies_nothing_before_the_send_and_cannot_be_asked_for(other: Basis) -> None:
    attested = Basis.ATTESTED_PER_RESPONSE
    assert not satisfies("training_use", claim(basis=attested), Requirement(is_="never", basis=other), NOW)
    assert not satisfies("training_use", claim(basis=other), Requirement(is_="never", basis=attested), NOW)


def test_a_claim_without_a_stated_basis_does_not_satisfy_a_requirement_without_one() -> None:
    assert not satisfies("training_use", Claim(value="never", verified_at=TODAY), NEVER, NOW)


def test_an_expired_claim_satisfies_nothing_from_the_nanosecond_of_its_expiry_on() -> None:
    expiring = claim(expires=TODAY)
    assert satisfies("training_use", expiring, NEVER, NOW - 1)
    assert not satisfies("training_use", expiring, NEVER, NOW)


def test_a_claim_older_than_the_class_allows_satisfies_nothing() -> None:
    fresh = Requirement(is_="never", max_age_days=90)
    assert satisfies("training_use", claim(verified_at=TODAY - timedelta(days=89)), fresh, NOW)
    assert not satisfies("training_use", claim(verified_at=TODAY - timedelta(days=90)), fresh, NOW)


def test_a_claim_that_was_never_verified_does_not_satisfy_a_requirement_on_its_age() -> None:
    assert satisfies("training_use", claim(verified_at=None), NEVER, NOW)
    assert not satisfies("training_use", claim(verified_at=None), Requirement(is_="never", max_age_days=90), NOW)


def test_a_verification_dated_beyond_today_counts_as_none() -> None:
    assert satisfies("training_use", claim(verified_at=TODAY + timedelta(hours=24)), NEVER, NOW)
    assert not satisfies("training_use", claim(verified_at=TODAY + timedelta(days=2)), NEVER, NOW)


def test_a_verification_dated_beyond_today_counts_from_the_day_it_names() -> None:
    future = claim(verified_at=TODAY + timedelta(days=10))
    until = next_change(future, NEVER, NOW)
    assert until == as_nanos(TODAY + timedelta(days=10) - timedelta(hours=25))
    assert not satisfies("training_use", future, NEVER, until - 1)
    assert satisfies("training_use", future, NEVER, until)


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
    assert satisfies("training_use", held, requirement, min(NOW + later, until - 1)) is satisfies(
        "training_use", held, requirement, NOW
    )


def test_requirements_and_claims_are_written_as_a_person_would_say_them() -> None:
    strict = Requirement(is_="never", basis=Basis.CONTRACT, max_age_days=365)
    assert describe_requirement("training_use", NEVER) == "training_use is never"
    assert (
        describe_requirement("training_use", strict)
        == "training_use is never (basis contract or stronger, verified within 365 days)"
    )
    assert describe_requirement("zone", Requirement(within=("eu", "on_prem"))) == "zone is within eu, on_prem"
    assert describe_requirement("network", Requirement(is_="private_link")) == "network is private_link or stricter"
    assert describe_requirement("network", Requirement(is_="loopback")) == "network is loopback"
    assert describe_requirement("stored_forced_off", Requirement(is_=True)) == "stored_forced_off is true"
    assert describe_requirement("certifications", Requirement(includes=("a", "b"))) == "certifications includes a, b"
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


@pytest.mark.parametrize(("control", "requirement", "words"), [
    ("human_review", Requirement(is_="flagged_only"), "human_review is flagged_only or stricter"),
    ("human_review", Requirement(is_="never"), "human_review is never"),
    ("stored_forced_off", Requirement(is_=True), "stored_forced_off is true"),
    ("residency_at_rest", Requirement(is_="eu"), "residency_at_rest is eu"),
    ("app_state_retention_days", Requirement(is_=30), "app_state_retention_days is 30"),
])  # fmt: skip
def test_a_requirement_is_said_as_a_person_would(control: str, requirement: Requirement, words: str) -> None:
    assert describe_requirement(control, requirement) == words
