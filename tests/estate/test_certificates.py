from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trunkline.errors import BadEstate
from trunkline.estate.load import load

BASE = {"estate": "acme", "currency": "EUR", "units": {"acme": "CC-1"}}
DIGEST = "AB:" * 31 + "Cd"


def written(folder: Path, **certificates: dict[str, Any]) -> Path:
    path = folder / "estate.json"
    path.write_text(json.dumps(BASE | {"certificates": certificates}, indent=0))
    return path


def faults(folder: Path, **certificates: dict[str, Any]) -> str:
    with pytest.raises(BadEstate) as caught:
        load(written(folder, **certificates))
    return "\n".join(caught.value.faults)


def test_marks_are_written_as_certificates_are_read(tmp_path: Path) -> None:
    estate = load(written(tmp_path, one={"unit": "acme", "dns": "A.Example", "sha256": f"sha256:{DIGEST}"})).estate
    assert estate.certificates["one"].marks() == {"dns": "a.example", "sha256": "ab" * 31 + "cd"}


@pytest.mark.parametrize(
    ("certificates", "fault"),
    [
        ({"one": {"unit": "acme"}}, "told by at least one of uri, dns, email, common_name, sha256"),
        ({"one": {"unit": "acme", "uri": "a"}, "two": {"unit": "acme", "uri": "a"}}, '"one" is told by the same'),
        (
            {"one": {"unit": "acme", "sha256": DIGEST}, "two": {"unit": "acme", "sha256": DIGEST.replace(":", "")}},
            '"one" is told by the same',
        ),
        ({"one": {"unit": "acmee", "uri": "a"}}, 'unit "acmee" is not declared; did you mean "acme"?'),
        ({"one": {"unit": "acme", "use_cases": ["x"], "uri": "a"}}, 'use case "x" is not declared'),
        ({"one": {"unit": "acme", "sha256": "ab"}}, "a SHA-256 is 64 hexadecimal digits"),
        ({"one": {"unit": "acme", "url": "a"}}, 'did you mean "uri"?'),
    ],
)
def test_what_stands_for_nobody_or_for_two_is_a_fault(
    tmp_path: Path, certificates: dict[str, dict[str, Any]], fault: str
) -> None:
    assert fault in faults(tmp_path, **certificates)
