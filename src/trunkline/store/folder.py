from __future__ import annotations

import fcntl
import os
import secrets
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from trunkline import errors
from trunkline.clock import iso

PATIENCE = 5.0
PEPPER_SIZE = 32
_POLL = 0.05
_RECORD_SIZE = 512


class Holder(msgspec.Struct, frozen=True):
    """Who runs on a data folder: process, machine, since when, and where it listens (port 0: not yet)."""

    pid: int = 0
    machine: str = ""
    since: int = 0
    host: str = ""
    port: int = 0


class Grip:
    """An exclusive hold on a data folder; let go of on `release`, on leaving `with`, or with the process.

    The lock goes with the open file, which programs that this process starts do not inherit.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._holder = Holder(os.getpid(), socket.gethostname(), time.time_ns())
        self._write()

    def announce(self, port: int, host: str = "127.0.0.1") -> None:
        """Say where the exchange listens, for the CLI and for who finds the folder held."""
        self._holder = msgspec.structs.replace(self._holder, host=host, port=port)
        self._write()

    def fileno(self) -> int:
        """The descriptor that holds. A process that it is handed to holds the folder, too, until it ends."""
        return self._fd

    def release(self) -> None:
        """Let go of the folder. Calling it again does nothing."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            # Not by closing alone: a child that is just being started may have the open file for a moment more.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            os.close(self._fd)
            self._fd = -1

    def _write(self) -> None:
        # One write of one size: who reads beside it sees the old record or the new one.
        os.pwrite(self._fd, msgspec.json.encode(self._holder).ljust(_RECORD_SIZE), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class DataFolder:
    """Where an exchange keeps what must last: store, journals, pepper, and the lock that says who runs here.

    Made with access for its owner only.

    Raises:
        errors.DataFolderUnusable: it cannot be made, or not be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.journal_folder = self.path / "journal"
        self.store_path = self.path / "trunkline.db"
        self._lock = self.path / "exchange.lock"
        self._grip: Grip | None = None
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.journal_folder.mkdir(mode=0o700, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as fault:
            raise self._unusable("cannot be written", fault) from fault

    def hold(self, patience: float = PATIENCE) -> Grip:
        """Hold the folder for this process alone, waiting up to `patience` seconds for a holder that is going.

        Raises:
            errors.DataFolderBusy: another exchange holds it; says which.
            errors.DataFolderUnusable: the lock file cannot be used.
        """
        deadline = time.monotonic() + patience
        try:
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise self._unusable("cannot be held", fault) from fault
        while not _locked(fd, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                busy = self._busy(_holder_in(fd))
                os.close(fd)
                raise busy
            time.sleep(_POLL)
        self._grip = Grip(fd)
        return self._grip

    def announce(self, port: int, host: str = "127.0.0.1") -> None:
        """Say where the exchange that holds this folder listens. Only for its holder."""
        if self._grip is None:
            raise errors.DataFolderUnusable(
                f"{self.path} is not held by this process: hold it before announcing a port"
            )
        self._grip.announce(port, host)

    def holder(self) -> Holder | None:
        """Return who runs on this folder at the moment; None when nobody does."""
        try:
            fd = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise self._unusable("cannot be read", fault) from fault
        try:
            # A shared lock, so that two who ask do not take each other for an exchange.
            return None if _locked(fd, fcntl.LOCK_SH) else _holder_in(fd)
        finally:
            os.close(fd)

    def pepper(self) -> bytes:
        """Return the folder's secret under which keys are digested, made at the first call: 32 random bytes.

        Raises:
            errors.DataFolderUnusable: the file cannot be read or made, or is not what was written.
        """
        path = self.path / "pepper"
        try:
            if not path.exists():
                self._make_pepper(path)
            pepper = path.read_bytes()
        except OSError as fault:
            raise self._unusable(f"does not give its pepper ({path})", fault) from fault
        if len(pepper) != PEPPER_SIZE:
            message = (
                f"{path} has {len(pepper)} bytes instead of {PEPPER_SIZE}: put the original back, or every key is void"
            )
            raise errors.DataFolderUnusable(message)
        return pepper

    def _make_pepper(self, path: Path) -> None:
        # Written aside and linked: nobody ever reads half of it, and of two who make it one wins for both.
        aside, name = tempfile.mkstemp(dir=self.path, prefix=".pepper-")
        try:
            os.write(aside, secrets.token_bytes(PEPPER_SIZE))
            os.fsync(aside)
            with suppress(FileExistsError):
                os.link(name, path)
        finally:
            os.close(aside)
            Path(name).unlink()

    def _busy(self, holder: Holder) -> errors.DataFolderBusy:
        where = f", listening on {holder.host}:{holder.port}" if holder.port else ""
        who = (
            f"process {holder.pid} on {holder.machine}, since {iso(holder.since)}{where}"
            if holder.pid
            else "another process"
        )
        return errors.DataFolderBusy(
            f"{self.path} is held by another exchange: {who}. Stop that one, or give another folder with --data"
        )

    def _unusable(self, what: str, fault: OSError) -> errors.DataFolderUnusable:
        return errors.DataFolderUnusable(
            f"the data folder {self.path} {what}: {fault.strerror or fault}. "
            "Give its owner write access, free some space, or choose another folder with --data"
        )


def _locked(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder_in(fd: int) -> Holder:
    try:
        return msgspec.json.decode(os.pread(fd, _RECORD_SIZE, 0), type=Holder)
    except msgspec.DecodeError:  # It holds the lock and has not written itself down yet.
        return Holder()
