"""The one Postgres that all workers of a test session share, with a database for each test."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from tests.postgres.server import database

from trunkline.store.open import open_store

ROOT = Path(__file__).parents[2]
TEMPLATE = "with_tables"


class Shared:
    """The session's server; starts it where nobody has yet. Keep the object for as long as the server is used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _locked(folder / "starting"):
            self._use = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._use, fcntl.LOCK_SH)
            if not (folder / "server.json").exists():
                self._start()
            self.url: str = json.loads((folder / "server.json").read_text())
            self._make_template()

    @contextmanager
    def database(self, *, empty: bool = False) -> Iterator[str]:
        """Give the URL of a new database, with the product's tables in it or empty; drop it afterwards."""
        with database(self.url, f"test_{secrets.token_hex(6)}", "template1" if empty else TEMPLATE) as url:
            yield url

    def cut_off(self, url: str) -> None:
        """End every connection to a database, as a restart or an operator does."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            name = url.rpartition("/")[2]
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    def close(self) -> None:
        """Use the server no more."""
        os.close(self._use)

    def _start(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", "tests.postgres.keeper", self._folder],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "src")))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as keeper:
            assert keeper.stdout is not None
            if keeper.stdout.readline() != "ready\n":
                raise RuntimeError("the tests' Postgres does not start; what it said stands above")
            keeper.returncode = 0  # It lives on, and ends by itself.

    def _make_template(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone():
                return
            connection.execute(f"CREATE DATABASE {TEMPLATE} STRATEGY FILE_COPY".encode())
        open_store(self.url.rpartition("/")[0] + f"/{TEMPLATE}").close()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
