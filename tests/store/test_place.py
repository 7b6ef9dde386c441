from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from trunkline import errors
from trunkline.store.folder import DataFolder
from trunkline.store.place import is_here, place_of, remember

BY_REFERENCE = "postgresql://me:env:PASSWORD@db/ledger"


def test_a_folder_that_was_told_nothing_keeps_its_store_itself(tmp_path: Path) -> None:
    assert place_of(DataFolder(tmp_path)) == str(tmp_path / "trunkline.db")


@pytest.mark.parametrize("place", [BY_REFERENCE, "env:THE_STORE", "postgresql://me@db/ledger", "/elsewhere/t.db"])
def test_what_it_was_told_last_is_remembered_and_what_is_given_goes_first(tmp_path: Path, place: str) -> None:
    folder = DataFolder(tmp_path)
    remember(folder, place_of(folder, place))
    assert place_of(folder) == place
    assert place_of(folder, "env:ANOTHER") == "env:ANOTHER"


def test_a_password_is_never_kept_and_has_to_be_given_again(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    remember(folder, "postgresql://me:geheim@db/ledger")
    assert "geheim" not in (tmp_path / "store").read_text()
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o600
    with pytest.raises(errors.Unstartable, match="TRUNKLINE_STORE") as refused:
        place_of(folder)
    assert "geheim" not in str(refused.value)


def test_a_folder_told_to_use_its_own_store_again_forgets_the_other(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    remember(folder, "env:THE_STORE")
    remember(folder, place_of(folder, str(folder.store_path)))
    assert place_of(folder) == str(folder.store_path)


def test_relative_paths_are_remembered_as_absolute_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = DataFolder(tmp_path / "data")
    assert place_of(folder, "here.db") == str(tmp_path / "here.db")
    assert place_of(folder, "file:secret") == f"file:{tmp_path}/secret"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("sqlite:////data/trunkline.db", True),
        ("postgresql://u@127.0.0.1:5432/books", True),
        ("postgresql://u@[::1]/books", True),
        ("postgresql://u@localhost/books", True),
        ("postgresql://u@/books?host=/run/postgresql", True),
        ("postgresql://u@db.internal/books", False),
        ("postgresql://u@10.0.0.7/books", False),
        ("postgresql://u@/books", False),
        ("postgresql://u@localhost/books?host=db.internal", False),
        ("postgresql://u@localhost/books?hostaddr=10.0.0.7", False),
        ("postgresql://u@localhost/books?service=books", False),
        ("postgresql://u@/books?host=localhost&host=db.internal", False),
        ("postgresql://u@/books?host=localhost,db.internal", False),
    ],
)
def test_a_database_counts_as_on_this_machine_only_where_its_url_proves_it(url: str, here: bool) -> None:
    assert is_here(make_url(url), {}) is here


def test_what_the_environment_tells_libpq_may_lead_elsewhere() -> None:
    assert not is_here(make_url("postgresql://u@localhost/books"), {"PGHOSTADDR": "10.0.0.7"})
