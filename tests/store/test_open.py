from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect

from trunkline import __version__, errors
from trunkline.metering.ports import Span
from trunkline.store.open import open_store, store_url
from trunkline.store.schema import HEAD, metadata
from trunkline.store.upgrade import upgrade


def test_a_new_store_is_its_owners_alone_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.db"
    open_store(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    with open_store(f"sqlite:///{path}") as store:
        assert store.sums([], Span()) == ()


def _shape(engine: Engine) -> dict[str, Any]:
    found = inspect(engine)
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            sorted((index["name"], index["column_names"]) for index in found.get_indexes(name)),
            [unique["column_names"] for unique in found.get_unique_constraints(name)],
        )
        for name in found.get_table_names()
    }


def test_the_migrations_lead_to_the_same_tables_as_a_new_store(empty_place: str, place: str) -> None:
    migrated = create_engine(store_url(empty_place))
    with migrated.begin() as connection:
        upgrade(connection)
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == HEAD
    with open_store(place) as made:
        assert _shape(migrated) == _shape(made._sessions.engine)
        assert metadata.tables.keys() < _shape(migrated).keys()
    migrated.dispose()


def test_an_older_store_is_upgraded_when_it_is_opened(empty_place: str) -> None:
    engine = create_engine(store_url(empty_place))
    with engine.begin() as old:
        old.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    with open_store(empty_place) as store:
        assert store.tail(1) == ()
    with engine.begin() as upgraded:
        assert upgraded.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [HEAD]
        written_by = upgraded.exec_driver_sql("SELECT value FROM about WHERE name = 'written_by'")
        assert written_by.scalars().all() == [__version__]
    engine.dispose()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(place: str) -> None:
    open_store(place).close()
    engine = create_engine(store_url(place))
    with engine.begin() as later:
        later.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        later.exec_driver_sql("UPDATE about SET value = '7.8.9'")
    with pytest.raises(errors.DataFolderUnusable, match=r"trunkline>=7\.8\.9") as refused:
        open_store(place)
    assert __version__ in str(refused.value)
    with engine.begin() as left:
        assert left.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == ["9999"]
        assert left.exec_driver_sql("SELECT value FROM about").scalars().all() == ["7.8.9"]
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(errors.DataFolderUnusable, match="not a database"):
        open_store(path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.DataFolderUnusable, match="--data"):
        open_store(tmp_path / "none" / "trunkline.db")


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(errors.Unstartable) as refused:
        open_store("postgresql://someone:geheim@127.0.0.1:1/ledger")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("url", ["mysql://here/ledger", "http://x y:z:/"])
def test_other_databases_and_broken_urls_are_refused(url: str) -> None:
    with pytest.raises(errors.Unstartable):
        open_store(url)


@pytest.mark.parametrize("begun", ["empty", "old"])
def test_several_that_open_a_new_or_old_store_at_once_all_get_it(empty_place: str, begun: str) -> None:
    if begun == "old":
        engine = create_engine(store_url(empty_place))
        with engine.begin() as connection:
            upgrade(connection, "0001")
        engine.dispose()
    opened, barrier = [], threading.Barrier(4)

    def open_one() -> None:
        barrier.wait()
        with open_store(empty_place) as store:
            opened.append(store.tail(1))

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [()] * 4


def test_a_url_or_its_password_may_be_a_reference(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = store_url(postgres_url)
    (tmp_path / "secret").write_text(f"{url.password}\n")
    monkeypatch.setenv("THE_STORE", postgres_url)
    for place in ("env:THE_STORE", str(url.set(password="PW")).replace("***", f"file:{tmp_path}/secret")):
        with open_store(place) as store:
            assert store.tail(1) == ()


@pytest.mark.parametrize("place", ["env:NOBODY_SETS_THIS", "postgresql://me:env:NOBODY_SETS_THIS@127.0.0.1/db"])
def test_a_reference_that_leads_nowhere_is_refused_with_what_to_do(place: str) -> None:
    with pytest.raises(errors.Unstartable, match="set NOBODY_SETS_THIS"):
        open_store(place)


def test_opening_an_up_to_date_store_does_not_import_alembic(tmp_path: Path) -> None:
    code = (
        "import sys; from trunkline.store.open import open_store; "
        "open_store(sys.argv[1]).close(); print('alembic' in sys.modules)"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "trunkline.db"], capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"
