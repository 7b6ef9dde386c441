"""Workers that cannot even be started; those that run are tried in `tests/path/test_workers.py`."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from trunkline.app.ground import Ground
from trunkline.app.options import Options
from trunkline.app.orders import Surrounding
from trunkline.app.workers import FIRST_TRIES, Workers
from trunkline.clock import SystemClock
from trunkline.errors import Unstartable
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store


async def test_a_machine_that_has_no_room_for_a_process_is_asked_again_and_then_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def full(*_: Any, **__: Any) -> None:
        nonlocal asked
        asked += 1
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(asyncio, "create_subprocess_exec", full)
    folder = DataFolder(tmp_path)
    options = Options(data=tmp_path, workers=1)
    with open_store(folder.store_path) as store, socket.create_server(("127.0.0.1", 0)) as listener:
        ground = Ground(options, folder, store, SystemClock(), "exchange")
        workers = Workers(ground, listener, listener.fileno(), lambda: Surrounding({}, {}, ()))
        workers.begin("EUR")
        with pytest.raises(Unstartable, match="temporarily unavailable"):
            await asyncio.wait_for(workers.ready(), 30)
        await workers.stop(asyncio.Event())
    assert asked == FIRST_TRIES
