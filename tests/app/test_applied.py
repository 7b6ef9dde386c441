from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.path.exchange import deployment, estate

from trunkline.app.applied import applied_estate, keep_applied, load_applied
from trunkline.errors import Unstartable
from trunkline.estate.load import load


def declare(folder: Path, **more: object) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "estate.yaml"
    path.write_text(json.dumps(estate({"gpt": deployment("http://127.0.0.1:1")}, {"chat": [["gpt"]]}, **more)))
    return path


def test_what_is_kept_is_the_same_estate_and_starts_where_the_first_one_did(tmp_path: Path) -> None:
    loaded = load(declare(tmp_path / "here"))
    keep_applied(tmp_path, loaded.files, loaded.folder)
    kept = load_applied(tmp_path)
    assert (kept.estate.version, kept.folder) == (loaded.estate.version, tmp_path / "here")


def test_another_one_takes_its_place_whole(tmp_path: Path) -> None:
    first = load(declare(tmp_path / "here"))
    (tmp_path / "here" / "b.yaml").write_text("{}")
    keep_applied(tmp_path, [*first.files, tmp_path / "here" / "b.yaml"], first.folder)
    second = load(declare(tmp_path / "here", currency="USD"))
    keep_applied(tmp_path, second.files, second.folder)
    assert load_applied(tmp_path).estate.currency == "USD"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["applied-estate", "here"]


def test_a_copy_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    loaded = load(declare(tmp_path / "here"))
    keep_applied(tmp_path, loaded.files, loaded.folder)
    with pytest.raises(FileNotFoundError):
        keep_applied(tmp_path, [tmp_path / "nowhere.yaml"], tmp_path)
    assert load_applied(tmp_path).estate.version == loaded.estate.version


def test_without_one_it_says_what_to_do(tmp_path: Path) -> None:
    assert applied_estate(tmp_path) is None
    with pytest.raises(Unstartable, match="--estate"):
        load_applied(tmp_path)
