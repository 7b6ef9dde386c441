from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline import errors
from trunkline.store.folder import DataFolder

HOLDING = """
import sys, time
from pathlib import Path
from trunkline.store.folder import DataFolder
folder = DataFolder(Path(sys.argv[1]))
folder.hold(patience=0)
folder.announce(4321)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "b")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.journal_folder.is_dir()


def test_a_path_that_cannot_be_a_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.DataFolderUnusable, match="--data") as refused:
        DataFolder(tmp_path / "file" / "data")
    assert str(tmp_path / "file" / "data") in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_access_is_refused(tmp_path: Path) -> None:
    DataFolder(tmp_path / "data")
    (tmp_path / "data").chmod(0o500)
    with pytest.raises(errors.DataFolderUnusable, match="write access"):
        DataFolder(tmp_path / "data")


def test_a_second_exchange_is_told_who_holds_the_folder(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(errors.DataFolderBusy) as refused:
        DataFolder(tmp_path).hold(patience=0)
    message = str(refused.value)
    assert f"process {other.pid} " in message
    assert "127.0.0.1:4321" in message
    assert "since 20" in message


def test_who_holds_the_folder_can_be_asked(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    holder = DataFolder(tmp_path).holder()
    assert holder is not None
    assert (holder.pid, holder.host, holder.port) == (other.pid, "127.0.0.1", 4321)
    other.communicate()
    assert DataFolder(tmp_path).holder() is None


def test_a_folder_that_nobody_ever_held_has_no_holder(tmp_path: Path) -> None:
    assert DataFolder(tmp_path).holder() is None


def test_a_killed_holder_leaves_the_folder_free(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert DataFolder(tmp_path).holder() is None
    with DataFolder(tmp_path).hold(patience=0):
        holder = DataFolder(tmp_path).holder()
        assert holder is not None
        assert (holder.pid, holder.port) == (os.getpid(), 0)


def test_a_holder_that_is_going_is_waited_for(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    threading.Timer(0.3, other.kill).start()
    DataFolder(tmp_path).hold(patience=30).release()


def test_a_folder_that_was_let_go_can_be_held_again(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    for _ in range(3):
        with folder.hold(patience=0):
            pass
        folder.hold(patience=0).release()


PARENT = """
import subprocess, sys, signal
from pathlib import Path
from trunkline.store.folder import DataFolder
DataFolder(Path(sys.argv[1])).hold(patience=0)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], close_fds=False)
print(child.pid, flush=True)
signal.pause()
"""


def test_children_of_a_killed_holder_do_not_hold_the_folder(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    try:
        with DataFolder(tmp_path).hold(patience=5):
            os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_pepper_is_made_once_and_kept_secret(tmp_path: Path) -> None:
    pepper = DataFolder(tmp_path).pepper()
    assert len(pepper) == 32
    assert DataFolder(tmp_path).pepper() == pepper
    assert (tmp_path / "pepper").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"journal", "pepper"}


def test_many_that_make_the_pepper_at_once_agree(tmp_path: Path) -> None:
    folder, found, barrier = DataFolder(tmp_path), set(), threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.add(folder.pepper())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_a_pepper_that_was_cut_is_refused_and_not_replaced(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "pepper").write_bytes(b"short")
    with pytest.raises(errors.DataFolderUnusable, match="every key is void"):
        folder.pepper()
    assert (tmp_path / "pepper").read_bytes() == b"short"
