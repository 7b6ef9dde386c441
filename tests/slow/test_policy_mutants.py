"""Wrong changes to `policy/` and to what it decides by: the tests must notice nearly all of them."""

from __future__ import annotations

import ast
import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.slow.mutant_runs import PRODUCT, ROOT, Answer, Job
from tests.slow.mutants import mutants

MODULES = (
    "policy/claims.py",
    "policy/compile.py",
    "policy/life.py",
    "policy/own_stores.py",
    "policy/permit.py",
    "policy/prompt_parts.py",
    "policy/request.py",
    "policy/rules.py",
    "policy/satisfy.py",
    "policy/verdicts.py",
    "policy/watches.py",
    "estate/requirements.py",
)
# Changes that alter how fast an answer comes, or words for what cannot be, and no answer. Each was looked at.
HARMLESS = {
    ("policy/request.py", "if False: if not barred:"),
    ("policy/request.py", "if False: if not where:"),
    ("policy/request.py", "drop operand 0: not watch.prompt or"),
    ("policy/request.py", "drop operand 2: not watch.prompt or"),
    ("policy/watches.py", "if False: if not features and parameters is None"),
    ("policy/watches.py", "if True: form.messages or ''"),
    ("policy/verdicts.py", "if True: self._gather(deployment, operations) if requires"),
    ("policy/verdicts.py", "if False: if not any((claim.applies_to.endpoints"),
    ("policy/satisfy.py", "drop operand 0: known is not None and"),
    ("policy/satisfy.py", "drop operand 1: known is not None and"),
    ("policy/satisfy.py", "and or: known is not None and"),
    ("policy/prompt_parts.py", "drop operand 0: ESCAPE[:1] not in messages"),
    ("policy/prompt_parts.py", "if False: if is_plain(text)"),
    ("policy/life.py", "drop operand 0: step is not None and"),
    ("policy/life.py", "drop operand 1: step is not None and"),
    ("estate/requirements.py", "if True: (one.is_,) if isinstance(one.is_, str)"),
}
SAMPLE = int(os.environ.get("MUTANTS", "0"))
"""How many changes are tried, drawn at random; 0 for all there are."""

MUST_NOTICE = 0.95
AT_ONCE = 2
ASK = (sys.executable, "-m", "tests.slow.mutant_runs")


def chosen() -> list[Job]:
    """The changes to try, in an order that spreads the long ones."""
    jobs = [
        Job(module, mutant.line, mutant.change, mutant.text)
        for module in MODULES
        for mutant in mutants((PRODUCT / module).read_text("utf-8"))
        if not any(module == where and mutant.change.startswith(change) for where, change in HARMLESS)
    ]
    random.Random(1).shuffle(jobs)  # noqa: S311 - a sample, no secret
    return jobs[: SAMPLE or None]


def unchanged(module: str) -> Job:
    """A module as it is, but for its layout: nobody may notice that."""
    return Job(module, 1, "none", ast.unparse(ast.parse((PRODUCT / module).read_text("utf-8"))))


def ask(folder: Path, jobs: list[Job]) -> list[Answer]:
    """What the tests say of each job."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, PRODUCT.parent)))}
    survey = folder / "survey.json"
    subprocess.run([*ASK, "survey", survey], check=True, env=environment, stdout=subprocess.DEVNULL)
    running = []
    outs = [folder / f"answers-{number}" for number in range(AT_ONCE)]
    for number, out in enumerate(outs):
        part = folder / f"jobs-{number}.json"
        part.write_bytes(msgspec.json.encode(jobs[number::AT_ONCE]))
        command = ["nice", *ASK, "ask", str(survey), str(part), str(out)]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
    assert [one.wait() for one in running] == [0] * AT_ONCE
    return [msgspec.json.decode(line, type=Answer) for out in outs for line in out.read_bytes().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
def test_nearly_every_wrong_change_to_policy_is_noticed(tmp_path: Path) -> None:
    jobs = chosen()
    answers = ask(tmp_path, [*map(unchanged, MODULES), *jobs])
    assert [one.module for one in answers if one.change == "none" and one.noticed] == []
    tried = [one for one in answers if one.change != "none"]
    assert len(tried) == len(jobs)
    missed = sorted(f"{one.module}:{one.line}: {one.change}" for one in tried if not one.noticed)
    rate = 1 - len(missed) / len(tried)
    report = "\n".join([f"{rate:.1%} of {len(tried)} noticed; missed:", *missed])
    print(report)  # noqa: T201 - the figure is what the run is for
    assert rate >= MUST_NOTICE, report


def test_what_is_left_out_as_harmless_is_a_change_that_there_is() -> None:
    texts = {module: {one.change for one in mutants((PRODUCT / module).read_text("utf-8"))} for module in MODULES}
    assert [
        (module, change)
        for module, change in sorted(HARMLESS)
        if not any(one.startswith(change) for one in texts[module])
    ] == []


def test_changes_are_made_one_at_a_time_and_the_text_stays_python() -> None:
    source = "def f(a, b):\n    if a < b and not a:\n        raise ValueError\n    return any(x for x in b if x)\n"
    made = list(mutants(source))
    assert len({mutant.text for mutant in made}) == len(made)
    for mutant in made:
        compile(mutant.text, "mutant", "exec")
        assert mutant.text != source
    assert {"if True", "and or", "drop operand 0", "compare LtE", "drop not", "leave out", "drop filter"} <= {
        mutant.change.split(":")[0] for mutant in made
    }
