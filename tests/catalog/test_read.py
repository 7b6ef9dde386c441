from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from trunkline.catalog import read
from trunkline.catalog.vendor import Vendor
from trunkline.errors import Unstartable


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "vendors").mkdir()
    monkeypatch.setattr(read, "files", lambda package: tmp_path)
    return tmp_path / "vendors"


def test_files_are_read_in_the_order_of_their_names_and_others_are_left_alone(folder: Path) -> None:
    (folder / "b.yaml").write_text("{id: b, name: B}")
    (folder / "a.yaml").write_text("{id: a, name: A}")
    (folder / "notes.txt").write_text("not a vendor")
    assert [vendor.id for vendor in read.read_folder("vendors", Vendor)] == ["a", "b"]


@pytest.mark.parametrize("text", ["{id: a", "{id: a, name: A, colour: red}", "- a", ""])
def test_a_damaged_file_is_named(folder: Path, text: str) -> None:
    (folder / "a.yaml").write_text(text)
    with pytest.raises(Unstartable, match=r"vendors/a\.yaml cannot be read"):
        read.read_folder("vendors", Vendor)


SHIPPED = sorted(Path(read.__file__).parent.rglob("*.yaml"))


def test_no_file_of_the_catalogue_means_another_thing_by_yaml_1_1_than_by_1_2() -> None:
    assert len(SHIPPED) > 50
    for file in SHIPPED:
        text = file.read_text("utf-8")
        assert repr(yaml.load(text, read._Loader)) == repr(YAML(typ="safe").load(text)), file  # noqa: S506
