from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.store.at_once import at_once

from trunkline.catalog.controls import ControlValue
from trunkline.estate.claims import Basis, Claim, Evidence
from trunkline.policy.verified import Version
from trunkline.store.open import Store

NEVER = Claim(
    value="never",
    basis=Basis.CONTRACT,
    evidence=Evidence("Terms", "contract 2026/17", "no training"),
    verified_at=datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC),
    verified_by="ada",
    expires=datetime(2027, 11, 22, tzinfo=UTC),
)


def test_versions_are_numbered_for_each_claim_and_none_is_overwritten(store: Store) -> None:
    later = Claim("opt_out")
    assert store.record_claim("gpt", "training_use", NEVER, 10).number == 1
    assert store.record_claim("gpt", "training_use", later, 20).number == 2
    assert store.record_claim("gpt", "human_review", NEVER, 30).number == 1
    assert store.claim_versions() == (
        Version("gpt", "training_use", 1, NEVER, 10),
        Version("gpt", "training_use", 2, later, 20),
        Version("gpt", "human_review", 1, NEVER, 30),
    )


def test_versions_that_several_record_at_the_same_time_are_all_kept(place: str, store: Store) -> None:
    def record(own: Store) -> None:
        for at in range(5):
            own.record_claim("gpt", "training_use", NEVER, at)

    at_once(place, *[record] * 4)
    assert sorted(one.number for one in store.claim_versions()) == list(range(1, 21))


def test_the_count_tells_of_every_new_version(store: Store) -> None:
    assert store.claims_changed() == 0
    store.record_claim("gpt", "training_use", NEVER, 10)
    store.record_claim("gpt", "training_use", NEVER, 10)
    assert store.claims_changed() == 2


@pytest.mark.parametrize("value", ["never", 0, True, ("eu", "on_prem"), "unknown"])
def test_a_value_comes_back_as_the_type_it_was(store: Store, value: ControlValue) -> None:
    store.record_claim("gpt", "some_control", Claim(value), 1)
    kept = store.claim_versions()[0].claim.value
    assert kept == value
    assert type(kept) is type(value)
