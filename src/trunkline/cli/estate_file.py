"""Whether the estate that an exchange would start with is without faults."""

from __future__ import annotations

from pathlib import Path

from trunkline.app.applied import applied_estate
from trunkline.cli.findings import Finding, doubtful, fine, wrong
from trunkline.cli.output import counted
from trunkline.errors import BadEstate
from trunkline.estate.load import load


def examine_estate(estate: Path | None, data: Path) -> Finding:
    """Look at the estate given, or else at the one last applied in the data folder."""
    path = estate.expanduser() if estate is not None else applied_estate(data)
    if path is None:
        return doubtful("estate", "none was applied here yet", "name one at the start: trunkline up --estate FILE")
    try:
        loaded = load(path)
    except BadEstate as bad:
        return wrong(
            "estate",
            f"{path}: {counted(len(bad.faults), 'fault')}, the first at {bad.faults[0]}",
            f"trunkline check {path}",
        )
    return fine("estate", f"{loaded.estate.name} of {path}, {counted(len(loaded.estate.deployments), 'deployment')}")
