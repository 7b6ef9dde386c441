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
    ("policy/claims.py", "_fill", "drop operand 0: region is None or"),  # no zone is named None
    ("policy/claims.py", "_published", "drop operand 1: mode is not None"),  # what is no word is none of its modes
    ("policy/claims.py", "feature_claims", "drop operand 0: vendor is not None and"),  # without a vendor, no terms
    ("policy/claims.py", "_published", "drop operand 1: deployment.sku or ''"),  # no SKU is named None
    ("policy/life.py", "heir", "drop operand 0: step is not None and"),  # no use case is named None
    ("policy/life.py", "heir", "drop operand 1: step is not None and"),  # a checked estate has every successor
    ("policy/permit.py", "_still_goes", "drop operand 0: one is endpoint or"),  # the same place as itself
    ("policy/permit.py", "_refuse_name", "plus one: 0"),  # of no names none is near
    ("policy/permit.py", "_refuse_name", "drop operand 1: caller.use_cases or ()"),  # only a bound key comes here
    ("policy/prompt_parts.py", "_use", "drop operand 1: form.messages or ''"),  # without messages nothing is found
    ("policy/prompt_parts.py", "find_parts", "drop operand 1: form.messages or ''"),  # no field is named None
    ("policy/prompt_parts.py", "find_parts", "drop operand 1: raw is None or not form.parts"),  # nothing to find
    (
        "policy/prompt_parts.py",
        "find_parts",
        "if False: if is_plain(text, form.marks)",
    ),  # what is plain has nothing, read or not
    ("policy/prompt_parts.py", "is_plain", "plus one: 1"),  # the same
    ("policy/prompt_parts.py", "is_plain", "drop operand 0: ESCAPE[:1] not in messages"),  # asked for speed
    ("policy/request.py", "_examine", "drop filter: if"),  # nothing bars what is no feature
    ("policy/request.py", "_hold_to", "drop operand 1: form.modalities or ''"),  # without the field, nothing is said
    ("policy/request.py", "_examine", "if True: _without(decision, uses) if uses"),  # no use takes nothing away
    ("policy/request.py", "_spoken", "drop operand 1: form.modalities or ''"),  # no field is named None
    ("policy/request.py", "_uses", "if True: if feature is not None:"),  # nothing bars what is no feature
    ("policy/request.py", "_uses", "drop operand 1: field.when_absent and"),  # only what has a feature counts absent
    ("policy/request.py", "_without", "if False: if not barred:"),  # nothing barred takes nothing away
    ("policy/request.py", "_without", "if False: if not where:"),  # nowhere barred takes nothing away
    ("policy/request.py", "examine", "drop operand 0: not watch.prompt or"),  # no field is named by the empty text
    ("policy/request.py", "examine", "drop operand 2: not watch.prompt or"),  # plain or read, the same is found
    ("policy/rules.py", "__init__", "if True: {name: "),  # made in vain
    ("policy/satisfy.py", "_or_stricter", "drop operand 2: known is not None and"),  # what is no word has none
    ("policy/satisfy.py", "_or_stricter", "drop operand 0: known is not None and"),  # only known controls are ordered
    ("policy/satisfy.py", "_or_stricter", "drop operand 1: known is not None and"),  # the same, for the last words
    ("policy/satisfy.py", "_or_stricter", "and or: known is not None and"),  # the same
    ("policy/verdicts.py", "_asked", "if False: if not any((claim.applies_to.endpoints"),  # more is weighed, alike
    ("policy/verdicts.py", "_mark", "drop filter: if"),  # less is shared
    ("policy/verdicts.py", "_weigh_features", "if True: if asked:"),  # of nothing asked, nothing is short
    ("policy/verdicts.py", "_deny", "if True: self._gather(deployment, operations) if requires"),  # gathered in vain
    ("policy/verdicts.py", "_mark", "if True: deployment.model if own else None"),  # less is shared
    ("policy/verdicts.py", "_mark", "compare Is: deployment.engine is not None"),  # still tells the two apart
    ("policy/watches.py", "_watch", "if True: form.messages or ''"),  # all forms with parts have messages
    ("policy/watches.py", "used_by", "drop filter: if"),  # no feature is named None
    ("policy/watches.py", "watch", "compare Is: parameters is not None"),  # still tells the two apart
    ("policy/watches.py", "watch", "if False: if not features and parameters is None"),  # watched, and nothing found
    ("estate/requirements.py", "_candidates", "if True: (one.is_,) if isinstance(one.is_, str)"),  # no name is None
    ("estate/requirements.py", "_flag", "if True: if asked.is_ is not None:"),  # held against None, and too many held
}
"""Changes that alter how fast an answer comes, or words for what cannot be, and no answer: each was looked at.

By module, function and the beginning of the change.
"""

SAMPLE = int(os.environ.get("MUTANTS", "0"))
"""How many changes are tried, drawn at random; 0 for all there are."""

MUST_NOTICE = 0.95
AT_ONCE = 2
ASK = (sys.executable, "-m", "tests.slow.mutant_runs")


def chosen() -> list[Job]:
    """The changes to try, those of a function one after the other."""
    jobs = [
        Job(module, mutant.line, mutant.change, mutant.text)
        for module in MODULES
        for mutant in mutants((PRODUCT / module).read_text("utf-8"))
        if not harmless(module, mutant.function, mutant.change)
    ]
    if SAMPLE:
        jobs = random.Random(1).sample(jobs, min(SAMPLE, len(jobs)))  # noqa: S311 - a sample, no secret
    return jobs


def harmless(module: str, function: str, change: str) -> bool:
    """Whether a change is one of those that alter no answer."""
    return any(module == there and function == of and change.startswith(begins) for there, of, begins in HARMLESS)


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
    made = {
        (module, mutant.function, mutant.change)
        for module in MODULES
        for mutant in mutants((PRODUCT / module).read_text("utf-8"))
    }
    gone = [
        one for one in sorted(HARMLESS) if not any(one[:2] == two[:2] and two[2].startswith(one[2]) for two in made)
    ]
    assert gone == []


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
