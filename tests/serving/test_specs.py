from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.estate.deployments import Deployment, Engine, Pattern
from trunkline.estate.estate import Estate
from trunkline.serving.cores import count_cores, share_cores
from trunkline.serving.specs import EngineSpec, specs_of


def test_only_deployments_with_an_engine_are_run() -> None:
    deployments = {
        "far": Deployment("openai/gpt", Pattern.SAAS, "main"),
        "smol": Deployment("huggingface/smol", Pattern.SELF_MANAGED, "house", engine=Engine(slots=2, context=1024)),
        "own": Deployment(
            "acme/own",
            Pattern.SELF_MANAGED,
            "house",
            upstream_model="acme-own-v2",
            engine=Engine(weights="/models/own.gguf", sha256="ab"),
        ),
    }
    estate = Estate("acme", "EUR", "UTC", {}, {}, {}, deployments, {}, {})
    assert specs_of(estate) == (
        EngineSpec("smol", "huggingface/smol", "smol", "builtin", None, 2, 1024),
        EngineSpec("own", "acme/own", "acme-own-v2", "/models/own.gguf", "ab", 4, 2048),
    )


def test_chats_share_all_cores_but_one_and_encoders_take_a_quarter() -> None:
    assert share_cores({"a": "chat", "b": "embeddings"}, 2) == {"a": 1, "b": 1}
    assert share_cores({"a": "chat", "b": "chat", "c": "embeddings"}, 17) == {"a": 8, "b": 8, "c": 4}
    assert share_cores({"a": "chat", "b": "chat"}, 1) == {"a": 1, "b": 1}
    assert share_cores({}, 4) == {}


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1), ("", None)]
)
def test_a_containers_share_bounds_the_cores(tmp_path: Path, text: str, cores: int | None) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    assert count_cores(limit) == (cores or count_cores(tmp_path / "none"))
