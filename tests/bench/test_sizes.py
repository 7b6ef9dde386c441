from __future__ import annotations

from pathlib import Path

import pytest
from bench.gateways import KEY_UNIT, Upstreams, declared

from bench import sizes
from trunkline.estate.load import load
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.tenancy.mint import digest


@pytest.mark.parametrize("size", [10, 120])
def test_an_estate_of_a_size_is_one_without_faults_that_has_so_much_of_everything(tmp_path: Path, size: int) -> None:
    sizes.write(tmp_path / "estate", declared(Upstreams(1, 2)), size)
    estate = load(tmp_path / "estate").estate
    counts = len(estate.units), len(estate.deployments), len(estate.use_cases), len(estate.pools)
    assert counts == (size, size, size, size)
    assert "plain" in estate.use_cases


def test_the_key_that_is_asked_with_is_one_among_as_many_as_wanted(tmp_path: Path) -> None:
    secret = sizes.fill_keys(tmp_path / "data", ["acme", "marketing"], 9)
    folder = DataFolder(tmp_path / "data")
    with open_store(folder.store_path) as store:
        keys = store.all()
    assert len(keys) == 9
    asked = [key for key in keys if key.digest == digest(folder.pepper(), secret)]
    assert [key.unit for key in asked] == [KEY_UNIT]
