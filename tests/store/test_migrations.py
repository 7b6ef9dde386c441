"""A data folder of an earlier version is brought up to date when it is opened, and keeps all that was in it."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from trunkline.clock import SystemClock
from trunkline.estate.claims import Claim
from trunkline.metering.ports import Span
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.store.reading import catch_up
from trunkline.store.schema import HEAD
from trunkline.tenancy.ring import KeyRing

KEPT = Path(__file__).with_name("first_light")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A data folder as version 0.1.0 left it, killed in the middle of its work."""
    folder = DataFolder(tmp_path / "data")
    with closing(sqlite3.connect(folder.store_path)) as store:
        store.executescript((KEPT / "trunkline.sql").read_text("utf-8"))
    (folder.path / "pepper").write_bytes(base64.b64decode((KEPT / "pepper.b64").read_text("utf-8")))
    for journal in KEPT.glob("*.journal.b64"):
        (folder.journal_folder / journal.stem).write_bytes(base64.b64decode(journal.read_text("utf-8")))
    return folder


def revision(folder: DataFolder) -> str:
    with closing(sqlite3.connect(folder.store_path)) as store:
        found: str = store.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    return found


def test_the_folder_is_of_an_earlier_version_and_is_upgraded_by_opening_it(folder: DataFolder) -> None:
    assert revision(folder) == "0001" != HEAD
    open_store(folder.store_path).close()
    assert revision(folder) == HEAD


def test_what_was_booked_and_what_was_only_in_the_journal_is_there_once(folder: DataFolder) -> None:
    with open_store(folder.store_path) as store:
        assert store.sums([], Span())[0].calls == 3
        catch_up(folder, store, SystemClock.now())
        customers = [row.end_customer for row in store.tail(10)]
        assert customers == [f"customer-{number}" for number in range(5)]
        assert all(row.cost for row in store.tail(10))


def test_its_keys_go_on_working(folder: DataFolder) -> None:
    with open_store(folder.store_path) as store:
        centres = {"acme": "CC-1000", "finance": "CC-1200"}
        ring = KeyRing(store.all(), pepper=folder.pepper(), cost_centres=centres, root="acme")
    secret = (KEPT / "key.txt").read_text("utf-8").strip().encode()
    assert ring.identify(secret, "127.0.0.1", SystemClock.now()).unit == "finance"


def test_what_is_new_works_in_it(folder: DataFolder) -> None:
    with open_store(folder.store_path) as store:
        assert store.claim_versions() == ()
        store.record_claim("gpt", "training_use", Claim("never"), 1)
    with open_store(folder.store_path) as store:
        assert [version.deployment for version in store.claim_versions()] == ["gpt"]
