"""A data folder of an earlier version is brought up to date when it is opened, and keeps all that was in it."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bench.filling import DAY, START
from bench.ledger import fill_before_lines
from sqlalchemy import MetaData, create_engine, text
from tests.postgres.sharing import Shared

from trunkline.clock import SystemClock
from trunkline.estate.claims import Claim
from trunkline.metering.ports import Span
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store, store_url
from trunkline.store.reading import catch_up
from trunkline.store.schema import HEAD
from trunkline.store.sums import sums
from trunkline.store.upgrade import upgrade
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


@pytest.fixture
def old(folder: DataFolder, kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where that version's store is; 0.1.0 had it in SQLite only, so for Postgres its rows are put there."""
    if kind == "sqlite":
        yield str(folder.store_path)
        return
    shared: Shared = request.getfixturevalue("postgres")
    with shared.database(empty=True) as url:
        target, source = create_engine(store_url(url)), create_engine(f"sqlite:///{folder.store_path}")
        tables = MetaData()
        with target.begin() as to, source.begin() as of:
            upgrade(to, "0001")
            tables.reflect(to)
            for table in tables.sorted_tables:
                rows = [dict(row) for row in of.execute(table.select()).mappings()]
                if rows and table.name != "alembic_version":
                    to.execute(table.insert(), rows)
        target.dispose()
        source.dispose()
        yield url


def revision(place: str) -> str:
    engine = create_engine(store_url(place))
    with engine.begin() as store:
        found: str = store.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    engine.dispose()
    return found


def test_the_store_is_of_an_earlier_version_and_is_upgraded_by_opening_it(old: str) -> None:
    assert revision(old) == "0001" != HEAD
    open_store(old).close()
    assert revision(old) == HEAD


def test_what_was_booked_and_what_was_only_in_the_journal_is_there_once(folder: DataFolder, old: str) -> None:
    with open_store(old) as store:
        assert store.sums([], Span())[0].calls == 3
        catch_up(folder, store, SystemClock.now())
        customers = [row.end_customer for row in store.tail(10)]
        assert customers == [f"customer-{number}" for number in range(5)]
        assert all(row.cost for row in store.tail(10))
        assert store.verify().differences == ()


def test_what_was_booked_before_there_were_lines_has_lines_and_sums_that_agree(old: str) -> None:
    with open_store(old) as store:
        verified = store.verify()
        assert verified.differences == ()
        assert (verified.attempts, verified.lines) == (3, 3)
        for row in store.tail(10):
            assert sum(line.amount for line in store.lines(row.request)) == row.cost
        with store._sessions.snapshot() as connection:
            assert sums(connection, ["unit"], Span()) == sums(connection, ["unit"], Span(), rolled_up=False)


def test_roll_ups_of_a_year_of_many_keys_are_made_anew_and_agree_with_the_attempts(empty_place: str) -> None:
    fill_before_lines(empty_place, 400)
    with open_store(empty_place) as store:
        verified = store.verify()
        assert (verified.attempts, verified.differences) == (408, ())
        assert store._sessions.rows(text("SELECT COUNT(DISTINCT month) FROM key_months"))[0][0] >= 12
        middle = Span(START + 40 * DAY + 7, START + 200 * DAY + 9)
        for by in (["unit", "use_case"], ["key", "deployment"], []):
            for span in (Span(), middle):
                with store._sessions.snapshot() as connection:
                    assert sums(connection, by, span) == sums(connection, by, span, rolled_up=False)


def test_its_keys_go_on_working(folder: DataFolder, old: str) -> None:
    with open_store(old) as store:
        centres = {"acme": "CC-1000", "finance": "CC-1200"}
        pepper = store.pepper(folder.pepper())
        ring = KeyRing(store.all(), pepper=pepper, cost_centres=centres, root="acme")
    secret = (KEPT / "key.txt").read_text("utf-8").strip().encode()
    assert ring.identify(secret, "127.0.0.1", SystemClock.now()).unit == "finance"


def test_what_is_new_works_in_it(old: str) -> None:
    with open_store(old) as store:
        assert store.claim_versions() == ()
        store.record_claim("gpt", "training_use", Claim("never"), 1)
    with open_store(old) as store:
        assert [version.deployment for version in store.claim_versions()] == ["gpt"]
