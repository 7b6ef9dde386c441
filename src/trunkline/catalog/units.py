"""What a unit of provisioned throughput takes, by model, as data in `units.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.catalog.read import read_file


class UnitThroughput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one unit: input tokens per minute, how many of them a token of output counts as, and when that was read."""

    input_tpm: int
    output_ratio: int
    verified: date | None = None


THROUGHPUTS: Final[Mapping[str, UnitThroughput]] = MappingProxyType(read_file("units.yaml", dict[str, UnitThroughput]))
"""By the model's name in the estate."""
