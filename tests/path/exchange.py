"""The real product as a process of its own: an estate of url deployments, keys and ledger through the command itself.

`with exchange(folder, estate) as running:` starts `trunkline up --no-engine` on a free port and waits for `/readyz`.
Under pytest it is born in the nursery; elsewhere, as in the bench, it is started as operators start it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.path.nursery import Born, nursery

import trunkline

SOURCE = Path(trunkline.__file__).parents[1]  # the child runs what the tests import
ADMIN_KEY = "an-admin-key-for-tests-only"
READY_WITHIN = 60.0
IN_FORCE_WITHIN = 20.0
CLAIMS = {
    "training_use": {
        "value": "never",
        "basis": "contract",
        "verified_at": "2020-01-01",
        "expires": "2099-01-01",
        "evidence": {"title": "Service terms"},
    }
}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def deployment(url: str, **more: object) -> dict[str, Any]:
    """Return a deployment at a scripted upstream, priced at 1 and 2 per million tokens."""
    return {
        "model": "openai/gpt-4.1-mini",
        "pattern": "saas",
        "boundary": "vendor",
        "url": url,
        "dialect": "openai",
        "price": {"input_mtok": 1, "output_mtok": 2, "cache_read_mtok": 0.5},
        "timeouts": {"connect": 2, "first_byte": 2, "between": 2, "total": 20},
        "retries": 0,
        "controls": CLAIMS,
    } | more


def estate(
    deployments: Mapping[str, Mapping[str, Any]],
    use_cases: Mapping[str, Sequence[Sequence[str]]],
    **more: object,
) -> dict[str, Any]:
    """Return an estate of one company with two teams; each use case has a pool of its own with the tiers given."""
    return {
        "estate": "test",
        "currency": "EUR",
        "time_zone": "Europe/Berlin",
        "units": {
            "acme": {"cost_centre": "CC-1000"},
            "marketing": {"parent": "acme", "cost_centre": "CC-1100"},
            "finance": {"parent": "acme", "cost_centre": "CC-1200"},
        },
        "data_classes": {
            "public": {},
            "internal": {"requires": {"training_use": {"is": "never"}}},
            "restricted": {"requires": {"network": {"within": ["loopback"], "basis": "enforced_setting"}}},
        },
        "boundaries": {
            "vendor": {"provider": "openai", "account": "org-test", "owner": "acme", "credentials": KEY_NAME}
        },
        "deployments": dict(deployments),
        "pools": {
            f"for-{name}": {"owner": "acme", "tiers": [list(t) for t in tiers]} for name, tiers in use_cases.items()
        },
        "use_cases": {
            name: {"owner": "acme", "audience": ["acme"], "data_class": "internal", "pools": [f"for-{name}"]}
            for name in use_cases
        },
    } | more


KEY_NAME = "env:TRUNKLINE_TEST_VENDOR_KEY"
VENDOR_KEY = "sk-vendor-secret"


@dataclass
class Exchange:
    """A running exchange, and the command line beside it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | Born
    environment: dict[str, str] = field(default_factory=dict)
    tail: Tail | None = None
    tls: ssl.SSLContext | None = None

    @property
    def root(self) -> str:
        """Its URL."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL for an SDK."""
        return f"{self.root}/v1"

    def get(self, path: str, key: str | None = None) -> tuple[int, str]:
        """Return status and text of a GET."""
        request = urllib.request.Request(self.root + path)  # noqa: S310  an http or https URL of our own
        if key is not None:
            request.add_header("authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.tls) as answer:  # noqa: S310  the same
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def command(self, *arguments: str) -> str:
        """Run a command on the data folder and return what it prints.

        Raises:
            AssertionError: when it does not exit with 0.
        """
        done = nursery(str(SOURCE)).run([*arguments, "--data", str(self.folder)], self.environment, timeout=60)
        assert done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command that lists, and return its rows."""
        rows: list[dict[str, Any]] = json.loads(self.command(*arguments, "--json"))
        return rows

    def await_booked(self, within: float = 15.0) -> None:
        """Wait until all that stands in the journals is in the ledger."""
        until = time.monotonic() + within
        while "\ntrunkline_journal_lag_records 0.0\n" not in self.get("/metrics")[1]:
            assert time.monotonic() < until, "the journals are not drained"
            time.sleep(0.02)

    def key(self, unit: str = "acme", *options: str) -> str:
        """Make a key, wait until it is in force, and return its secret."""
        secret: str = json.loads(self.command("key", "create", "--unit", unit, *options, "--json"))["key"]
        until = time.monotonic() + IN_FORCE_WITHIN
        while self.get("/v1/models", secret)[0] != 200:
            assert time.monotonic() < until, "the new key is not in force"
            time.sleep(0.01)
        return secret

    def attempts_of(self, customer: str, count: int, seconds: float = 20.0) -> list[dict[str, Any]]:
        """Return the attempts made for an end customer in order, once so many are settled.

        A settled call is visible within a second; a busy machine is given more.

        Raises:
            AssertionError: when there are fewer after that time, or more.
        """
        if self.tail is None:
            self.tail = Tail(self)
        rows = self.tail.of(customer, count, seconds)
        assert len(rows) == count, f"{customer}: wanted {count} settled attempts, the ledger has {rows}"
        return sorted(rows, key=lambda row: (row["at"], row["attempt"]))

    def kill(self) -> None:
        """End it as the kernel does when memory runs out: SIGKILL, no word of farewell."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


class Tail:
    """Follows the ledger with `trunkline ledger tail --follow --json`: one command for a whole module's questions."""

    def __init__(self, running: Exchange) -> None:
        command = ["ledger", "tail", "--follow", "--json", "--count", "10000", "--data", str(running.folder)]
        out, end = os.pipe()
        self._lines = os.fdopen(out, "rb")
        with os.fdopen(end, "wb") as into, (running.folder.parent / "tail.log").open("ab") as log:
            self._process = nursery(str(SOURCE)).start(command, running.environment, into, log)
        self._rows: list[dict[str, Any]] = []
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def of(self, customer: str, count: int, seconds: float) -> list[dict[str, Any]]:
        """Return the settled attempts of an end customer once there are so many, or what is there after that time."""

        def found() -> list[dict[str, Any]]:
            return [row for row in self._rows if row["end_customer"] == customer]

        with self._more:
            self._more.wait_for(lambda: len(found()) >= count, seconds)
            return found()

    def close(self) -> None:
        """Stop following."""
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)

    def _read(self) -> None:
        with self._lines as lines:
            for line in lines:
                with self._more:
                    self._rows.append(json.loads(line))
                    self._more.notify_all()


def write(folder: Path, declared: Mapping[str, Any]) -> Path:
    """Write an estate file (JSON is valid YAML) and return its path."""
    path = folder / "estate.yaml"
    path.write_text(json.dumps(declared, indent=1))
    return path


def start(
    folder: Path,
    declared: Mapping[str, Any],
    *options: str,
    prefix: Sequence[str] = (),
    within: float = READY_WITHIN,
    tls: ssl.SSLContext | None = None,
    **environment: str,
) -> Exchange:
    """Start an exchange and return once `/readyz` says 200. It runs no engine unless other options are given.

    `tls` is what is trusted of an exchange that serves HTTPS.
    `prefix` stands before what the interpreter is to run, such as `("-m", "cProfile")`; it and a `PYTHONPATH` make it
    start an interpreter of its own under pytest, too.

    Raises:
        AssertionError: when it ends, or is not ready in time; with what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = write(folder, declared)
    port = free_port()
    log = folder / "up.log"
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")},
        "TRUNKLINE_ADMIN_KEY": ADMIN_KEY,
        "TRUNKLINE_TEST_VENDOR_KEY": VENDOR_KEY,
        "PYTHONPATH": str(SOURCE),
        **environment,
    }
    data = folder / "data"
    command = ["up", "--data", str(data), "--port", str(port), "--estate", str(path), *(options or ("--no-engine",))]
    process: subprocess.Popen[bytes] | Born
    with log.open("ab") as out:
        if "PYTEST_VERSION" in os.environ and not prefix and "PYTHONPATH" not in environment:
            process = nursery(str(SOURCE)).start(command, variables, out, out)
        else:
            python = [sys.executable, *prefix, "-m", "trunkline"]
            process = subprocess.Popen(
                [*python, *command], env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
    running = Exchange(data, port, process, variables, tls=tls)
    until = time.monotonic() + within
    while True:
        with contextlib.suppress(OSError):
            if running.get("/readyz")[0] == 200:
                return running
        assert process.poll() is None, f"the exchange ended with {process.returncode}:\n{log.read_text()}"
        if time.monotonic() > until:
            running.kill()
            raise AssertionError(f"the exchange was not ready within {within} s:\n{log.read_text()}")
        time.sleep(0.005)


def stop(running: Exchange) -> None:
    """Ask an exchange to end, and make sure that it does."""
    if running.tail is not None:
        running.tail.close()
        running.tail = None
    if running.process.poll() is not None:
        return
    running.process.terminate()
    try:
        running.process.wait(20)
    except subprocess.TimeoutExpired:
        running.kill()
        raise


@contextlib.contextmanager
def exchange(
    folder: Path,
    declared: Mapping[str, Any],
    *options: str,
    within: float = READY_WITHIN,
    tls: ssl.SSLContext | None = None,
    **environment: str,
) -> Iterator[Exchange]:
    """Run an exchange for as long as the block lasts."""
    running = start(folder, declared, *options, within=within, tls=tls, **environment)
    try:
        yield running
    finally:
        stop(running)
