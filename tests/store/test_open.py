from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from trunkline import __version__, errors
from trunkline.metering.ports import Span
from trunkline.store.open import open_store
from trunkline.store.schema import HEAD, metadata
from trunkline.store.upgrade import upgrade


def test_a_new_store_is_its_owners_alone_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.db"
    open_store(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    with open_store(f"sqlite:///{path}") as store:
        assert store.sums([], Span()) == ()


def _shape(path: Path) -> dict[str, Any]:
    engine = create_engine(f"sqlite:///{path}")
    found = inspect(engine)
    shape = {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            sorted((index["name"], index["column_names"]) for index in found.get_indexes(name)),
            [unique["column_names"] for unique in found.get_unique_constraints(name)],
        )
        for name in found.get_table_names()
    }
    engine.dispose()
    return shape


def test_the_migrations_lead_to_the_same_tables_as_a_new_store(tmp_path: Path) -> None:
    open_store(tmp_path / "new.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with engine.begin() as connection:
        upgrade(connection)
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == HEAD
    engine.dispose()
    assert _shape(tmp_path / "migrated.db") == _shape(tmp_path / "new.db")
    assert metadata.tables.keys() < _shape(tmp_path / "new.db").keys()


def test_an_older_store_is_upgraded_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.db"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    old.close()
    with open_store(path) as store:
        assert store.tail(1) == ()
    with sqlite3.connect(path) as upgraded:
        assert upgraded.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
        assert upgraded.execute("SELECT value FROM about WHERE name = 'written_by'").fetchall() == [(__version__,)]
    upgraded.close()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.db"
    open_store(path).close()
    with sqlite3.connect(path) as later:
        later.execute("UPDATE alembic_version SET version_num = '9999'")
        later.execute("UPDATE about SET value = '7.8.9'")
    later.close()
    before = path.read_bytes()
    with pytest.raises(errors.DataFolderUnusable, match=r"trunkline>=7\.8\.9") as refused:
        open_store(path)
    assert __version__ in str(refused.value)
    assert path.read_bytes() == before


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


def test_several_that_open_a_new_store_at_once_all_get_it(tmp_path: Path) -> None:
    opened, barrier = [], threading.Barrier(4)

    def open_one() -> None:
        barrier.wait()
        with open_store(tmp_path / "trunkline.db") as store:
            opened.append(store.tail(1))

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [()] * 4


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
