"""Wrong changes to `policy/` and to what it decides by: the tests must notice nearly all of them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.slow.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "src"
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
# Quick ones first: most changes are noticed before the properties are asked.
TESTS = (
    "satisfy", "claims", "life", "own_stores", "request", "rules", "permit", "compile", "reach",
    "call_properties", "compile_properties",
)  # fmt: skip
# What is most likely to notice a change to a module is asked before all others.
NEAREST = {"policy/prompt_parts.py": "request", "policy/watches.py": "request", "estate/requirements.py": "satisfy"}
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
    ("policy/compile.py", "drop operand 0: use_case.patterns and name"),
    ("policy/life.py", "drop operand 0: step is not None and"),
    ("policy/life.py", "drop operand 1: step is not None and"),
    ("estate/requirements.py", "if True: (one.is_,) if isinstance(one.is_, str)"),
}
SAMPLE = int(os.environ.get("MUTANTS", "160"))
SEED = int(os.environ.get("MUTANTS_SEED", "1"))
MUST_NOTICE = 0.95
AT_ONCE = 2


def noticed(folder: Path, module: str, mutant: Mutant) -> bool:
    """Whether the tests fail when the product has this change."""
    product = folder / f"{module.replace('/', '-')}-{mutant.line}-{abs(hash(mutant))}"
    shutil.copytree(PRODUCT, product, ignore=shutil.ignore_patterns("__pycache__"))
    (product / "trunkline" / module).write_text(mutant.text, "utf-8")
    nearest = NEAREST.get(module, Path(module).stem)
    files = [f"tests/policy/test_{name}.py" for name in sorted(TESTS, key=lambda name: name != nearest)]
    files.append("tests/estate/test_faults.py")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath=. {product}"]
    try:
        done = subprocess.run(
            [*command, "--timeout", "60", *files], cwd=ROOT, capture_output=True, timeout=300, check=False,
            env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(product / "examples")},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True
    finally:
        shutil.rmtree(product, ignore_errors=True)
    return done.returncode != 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nearly_every_wrong_change_to_policy_is_noticed(tmp_path: Path) -> None:
    everything = [
        (module, mutant)
        for module in MODULES
        for mutant in mutants((PRODUCT / "trunkline" / module).read_text("utf-8"))
        if not any(module == where and mutant.change.startswith(change) for where, change in HARMLESS)
    ]
    chosen = random.Random(SEED).sample(everything, min(SAMPLE, len(everything)))  # noqa: S311 - a sample, no secret
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda one: noticed(tmp_path, *one), chosen))
    missed = [
        f"{module}:{one.line}: {one.change}" for (module, one), seen in zip(chosen, results, strict=True) if not seen
    ]
    rate = 1 - len(missed) / len(chosen)
    report = "\n".join([f"{rate:.1%} of {len(chosen)} of {len(everything)} noticed; missed:", *sorted(missed)])
    print(report)  # noqa: T201 - the figure is what the run is for
    assert rate >= MUST_NOTICE, report


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
