"""Entry of `make bench`: `python bench/run.py [--quick] [--profile]`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder stands first on the path; the bench is the package beside it.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    runpy.run_module("bench.suite", run_name="__main__", alter_sys=True)
