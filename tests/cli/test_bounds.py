from __future__ import annotations

import pytest
import typer

from trunkline.cli.bounds import size


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("1", 1), ("20MB", 20_000_000), ("20 MiB", 20 << 20), ("4k", 4_000), ("1gib", 1 << 30), ("7B", 7)],
)
def test_a_size_is_a_number_and_its_unit(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "0", "-1", "20 megabytes", "1.5MB", "MB", "1e6", "\uff19"])
def test_what_is_no_size_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a size"):
        size(text)
