from __future__ import annotations

from pathlib import Path

import pytest
from bench.gateways import Upstreams

from bench import litellm


def test_what_cannot_be_installed_is_said_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file stands where the environment should be")
    with pytest.raises(litellm.NotInstalled, match=r"LiteLLM cannot be installed: .*taken"):
        litellm.install(tmp_path / "taken")


def test_what_is_installed_already_is_taken_as_it_is(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "litellm"
    command.parent.mkdir()
    command.touch()
    assert litellm.install(tmp_path, wanted="there is no such package") == command


def test_the_fake_upstream_is_the_only_one_it_knows() -> None:
    assert "http://127.0.0.1:4321/v1" in str(litellm.configured(Upstreams(plain=4321, paced=1)))
