"""The one contract of the store: what takes `store` or `place` runs on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres.sharing import Shared

from trunkline.store.open import Store, open_store


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on."""
    name: str = request.param
    return name


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store is: a path for SQLite, a URL for Postgres."""
    if kind == "sqlite":
        return str(tmp_path / "trunkline.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def empty_place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place where nothing is yet."""
    if kind == "sqlite":
        yield str(tmp_path / "empty.db")
        return
    shared: Shared = request.getfixturevalue("postgres")
    with shared.database(empty=True) as url:
        yield url


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with open_store(place) as store:
        yield store
