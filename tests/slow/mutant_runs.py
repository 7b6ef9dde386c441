"""Asks the tests about changed modules, each in a process forked from one that has read nearly everything already.

    python -m tests.slow.mutant_runs survey OUT           which test calls which functions of the modules, and how long
    python -m tests.slow.mutant_runs ask SURVEY JOBS OUT  whether the tests notice each job; a line of JSON for each

Asked are the plain tests of policy alone, not the properties over made-up estates: those take long, and what only they
notice is a change that no example shows. A change is shown to the tests that call its function, those that noticed one
there before and the quickest first, then to the other tests of their files, which may share what was made by it.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import NamedTuple

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "src" / "trunkline"
FILES = (*sorted(f"tests/policy/{path.name}" for path in (ROOT / "tests/policy").glob("test_*.py")), "tests/estate")
"""Where the tests stand that are asked."""

# Some plugins are here before pytest is; that their asserts are not rewritten matters to nobody.
OPTIONS = (
    "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout", "60", "-m", "not slow and not hypothesis",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
NOTICED = frozenset({1, 2})
"""What pytest exits with where a test failed, or could not be read for the change."""

SILENT = 0
FIRST = 15
"""How many tests are asked before all others: most changes go no further, and few files have to be read."""

LONGEST = 600
"""Seconds after which a change that hangs the tests past their own time-outs counts as noticed."""


class Job(msgspec.Struct, frozen=True):
    """One changed module: its path below the product, the line changed, and its whole text."""

    module: str
    line: int
    change: str
    text: str


class Answer(msgspec.Struct, frozen=True):
    """Whether the tests noticed."""

    module: str
    line: int
    change: str
    noticed: bool


class Called(msgspec.Struct):
    """A test: how many seconds it took, and each function it called as `module:line`."""

    seconds: float = 0.0
    functions: set[str] = msgspec.field(default_factory=set)


Survey = dict[str, Called]


class _Surveyor:
    """A plugin of pytest that writes down what each test calls."""

    def __init__(self) -> None:
        self.found: Survey = {}
        self._seen: set[CodeType] = set()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None]:
        called = self.found[item.nodeid] = Called()
        began = time.monotonic()
        self._seen = set()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)
        called.seconds = time.monotonic() - began
        called.functions = {
            f"{path.relative_to(PRODUCT).as_posix()}:{code.co_firstlineno}"
            for code in self._seen
            if (path := Path(code.co_filename)).is_relative_to(PRODUCT)
        }

    def _trace(self, frame: FrameType, event: str, argument: object) -> None:
        self._seen.add(frame.f_code)


class _Teller:
    """A plugin of pytest that tells which test failed first."""

    def __init__(self, out: int) -> None:
        self._out = out

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self._out, report.nodeid.encode())


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds one module, and reads another text for it."""

    def __init__(self, module: str, text: str) -> None:
        self._module = module
        self._text = text

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != dotted(self._module):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(PRODUCT / self._module))

    def get_source(self, fullname: str) -> str:
        return self._text


def dotted(module: str) -> str:
    """The name by which a module of the product is imported."""
    return "trunkline." + module.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def enclosing(text: str, line: int) -> int | None:
    """The first line of the innermost function that a line stands in, counted with its decorators."""
    found = [
        min((node.lineno, *(one.lineno for one in node.decorator_list)))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(found, default=None)


def function_of(job: Job) -> str:
    """The changed function as surveys name it; a name that none has where a line stands outside all functions."""
    return f"{job.module}:{enclosing((PRODUCT / job.module).read_text('utf-8'), job.line)}"


@cache
def _imports() -> dict[str, frozenset[str]]:
    """What each module of the product imports of it."""
    found = {}
    for path in PRODUCT.rglob("*.py"):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        found[dotted(path.relative_to(PRODUCT).as_posix())] = frozenset(names)
    return found


def dependents(module: str) -> set[str]:
    """A module and all that import it, directly or not."""
    found = {dotted(module)}
    while more := {name for name, names in _imports().items() if names & found} - found:
        found |= more
    return found


def _forget(module: str) -> None:
    """Have a module, all that import it and all tests be read anew."""
    stale = dependents(module)
    for name in list(sys.modules):
        if name in stale or (name.startswith("tests.") and not name.startswith("tests.slow")):
            del sys.modules[name]


class Ran(NamedTuple):
    """What pytest exits with, and the test that failed; empty where none did."""

    code: int
    failed: str = ""


def _forked(run: Iterable[str], job: Job) -> Ran:
    """Run tests against the text of a job, in a process of their own."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            _forget(job.module)
            sys.meta_path.insert(0, _Changed(job.module, job.text))
            code = int(pytest.main([*OPTIONS, *run], plugins=[_Teller(writes)]))
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads, "rb") as failed:
        code = _wait(child)
        return Ran(code, failed.read().decode())


def _wait(child: int) -> int:
    until = time.monotonic() + LONGEST
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 1
        time.sleep(0.01)


class Questioner:
    """Asks the tests about one change after the other; those that noticed something of a function are asked first."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._noticed: dict[str, list[str]] = {}

    def ask(self, job: Job) -> bool:
        """Whether some test fails with the changed module."""
        mark = function_of(job)
        by_speed = sorted(self._survey, key=lambda name: self._survey[name].seconds)
        calling = [name for name in by_speed if mark in self._survey[name].functions] or by_speed
        files = {name.partition("::")[0] for name in calling}
        beside = [name for name in by_speed if name.partition("::")[0] in files]
        before = self._noticed.setdefault(mark, [])
        order = tuple(dict.fromkeys((*before, *calling, *beside)))
        ran = _forked(order[:FIRST], job)
        if ran.code == SILENT and order[FIRST:]:
            ran = _forked(order[FIRST:], job)
        if ran.code not in NOTICED | {SILENT}:
            raise RuntimeError(f"pytest exits with {ran.code} on {job.module}:{job.line}: {job.change}")
        if ran.failed and ran.failed not in before:
            before.append(ran.failed)
        return ran.code != SILENT


def _survey(out: Path) -> int:
    surveyor = _Surveyor()
    code = int(pytest.main([*OPTIONS, *FILES], plugins=[surveyor]))
    out.write_bytes(msgspec.json.encode(surveyor.found))
    return code


def _ask(survey: Path, jobs: Path, out: Path) -> int:
    found = msgspec.json.decode(survey.read_bytes(), type=Survey)
    code = int(pytest.main([*OPTIONS, "--collect-only", *FILES]))
    if code:
        return code
    questioner = Questioner(found)
    with out.open("ab", buffering=0) as file:
        for job in msgspec.json.decode(jobs.read_bytes(), type=list[Job]):
            answer = Answer(job.module, job.line, job.change, questioner.ask(job))
            file.write(msgspec.json.encode(answer) + b"\n")
    return 0


def main() -> int:
    """Do what the command line asks for."""
    os.chdir(ROOT)
    match sys.argv[1:]:
        case ["survey", out]:
            return _survey(Path(out))
        case ["ask", survey, jobs, out]:
            return _ask(Path(survey), Path(jobs), Path(out))
        case _:
            sys.stderr.write(__doc__ or "")
            return 2


if __name__ == "__main__":
    sys.exit(main())
