from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from trunkline import errors
from trunkline.ids import JournalId
from trunkline.store.open import Store
from trunkline.tenancy.mint import Restrictions, mint
from trunkline.tenancy.rotate import revoke

PEPPER = b"p" * 32


def test_keys_are_kept_as_they_are_oldest_first(store: Store) -> None:
    first, _ = mint(
        "hr",
        pepper=PEPPER,
        now=1,
        label="x",
        person="ada",
        only=Restrictions(use_cases=("a", "b"), networks=("10.0.0.0/8",), expires_at=99),
    )
    second, _ = mint("it", pepper=PEPPER, now=2)
    store.add(second)
    store.add(first)
    assert store.all() == (first, second)


def test_a_replaced_key_takes_the_place_of_the_one_with_its_id(store: Store) -> None:
    key, _ = mint("hr", pepper=PEPPER, now=1)
    store.add(key)
    store.replace(revoke(key, now=5))
    assert store.all() == (msgspec.structs.replace(key, revoked_at=5),)


def test_a_key_that_is_not_there_cannot_be_replaced(store: Store) -> None:
    key, _ = mint("hr", pepper=PEPPER, now=1)
    with pytest.raises(errors.Unknown, match=key.id):
        store.replace(key)
    assert store.changed() == 0


REVOKING = """
import sys
from trunkline.store.open import open_store
from trunkline.tenancy.rotate import revoke
with open_store(sys.argv[1]) as store:
    store.replace(revoke(store.all()[0], now=7))
"""


def test_a_change_by_another_process_shows_in_the_count(store: Store, place: str) -> None:
    key, _ = mint("hr", pepper=PEPPER, now=1)
    store.add(key)
    before = store.changed()
    assert store.changed() == before
    subprocess.run([sys.executable, "-c", REVOKING, place], check=True)
    assert store.changed() > before
    assert store.all()[0].revoked_at == 7


def test_booking_calls_is_no_change_of_keys(store: Store) -> None:
    before = store.changed()
    store.book([], {JournalId("journal"): 5})
    assert store.changed() == before
