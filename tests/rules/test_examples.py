"""The examples in the docs run as they stand, against a real exchange with its embedded engines.

Blocks marked `python` and `bash` are run in the order of the page; `text` is for what people type or read. In a block,
the default address and `tl-...` stand for those of the exchange that runs here. A block may get an error only if the
page names its code. A `yaml` block that begins with `estate:` must pass `trunkline check`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8440"
KEY = "tl-..."
ADMIN_KEY = "an-admin-key-for-the-docs"
READY_WITHIN = 90.0
CODE = re.compile(r'"code": ?"(\w+)"')

LIVE = ("README.md", "docs/start.md", "docs/guides/policy.md")
ESTATES = ("docs/start.md", "docs/guides/estate.md")


class Running(NamedTuple):
    """An exchange that answers, and the environment of those who use it."""

    url: str
    environment: dict[str, str]

    def here(self, text: str) -> str:
        return text.replace(ADDRESS, self.url).replace(KEY, ADMIN_KEY)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "trunkline", *arguments]


def ready(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310 - http
        return bool(answer.status == 200)
    return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("docs")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "TRUNKLINE_ADMIN_KEY": ADMIN_KEY,
        "TRUNKLINE_DATA": str(folder / "data"),
    }
    log = folder / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command("up", "--estate", str(ROOT / "examples/acme"), "--port", str(port)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        until = time.monotonic() + READY_WITHIN
        while not ready(url):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < until, log.read_text("utf-8")
            time.sleep(0.05)
        yield Running(url, environment | {"TRUNKLINE_KEY": ADMIN_KEY})
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


class Runner:
    """Runs the blocks of one page, each language with what its earlier blocks left."""

    def __init__(self, running: Running, page: Path) -> None:
        self.running = running
        self.named = page.read_text("utf-8")
        self.said: list[str] = []
        self.names: dict[str, Any] = {}

    def python(self, example: Example) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(self.running.here(example.parsed), example.path, "exec"), self.names)  # noqa: S102 - its purpose
        self.take(said.getvalue())

    def bash(self, example: Example) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.running.here(example.parsed)],
            env=self.running.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{example.path}:{example.line}\n{done.stdout}\n{done.stderr}"
        self.take(done.stdout)

    def take(self, said: str) -> None:
        assert said.strip(), "an example says something"
        for code in CODE.findall(said):
            assert f"`{code}`" in self.named, f"the page does not tell of this error: {said}"
        self.said.append(said)


def run(page: Path, runner: Runner) -> None:
    sybil = Sybil([CodeBlockParser("python", runner.python), CodeBlockParser("bash", runner.bash)])
    document: Document = sybil.parse(page)
    examples = list(document.examples())
    assert examples
    for example in examples:
        example.evaluate()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", LIVE)
def test_the_examples_of_a_page_run_as_they_stand(name: str, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_KEY", ADMIN_KEY)
    run(ROOT / name, Runner(running, ROOT / name))


@pytest.mark.parametrize("name", ESTATES)
def test_the_estates_in_the_docs_pass_the_check(name: str, tmp_path: Path) -> None:
    texts = re.findall(r"```yaml\n(estate:.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text, "utf-8")
        done = subprocess.run(command("check", str(file)), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_an_example_that_fails_or_gets_an_untold_error_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    runner = Runner(Running(ADDRESS, {"PATH": os.environ["PATH"]}), Path(__file__))
    for block in ("bash\nfalse", "bash\ntrue", "python\n1 / 0", "bash\necho '" + json.dumps({"code": "untold"}) + "'"):
        page.write_text(f"```{block}\n```\n", "utf-8")
        with pytest.raises((AssertionError, ZeroDivisionError)):
            run(page, runner)
