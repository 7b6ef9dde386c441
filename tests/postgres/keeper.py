"""Keeps the one Postgres of a test session: `python -m tests.postgres.keeper FOLDER`, started by who needs it first.

Everybody who uses the server holds a shared lock on the folder's `users`; the kernel lets go of it however they end.
Once nobody does, the keeper takes the server away, so that none is left behind, whatever happened to the tests.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path

from tests.postgres.server import Server


def main(folder: Path) -> None:
    """Start a server, say where, and stay until nobody uses it any more."""
    with Server.make() as server:
        told = folder / "server.new"
        told.write_text(json.dumps(server.url()))
        told.chmod(0o600)
        told.rename(folder / "server.json")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        users = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(users, fcntl.LOCK_EX)
        (folder / "server.json").unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
