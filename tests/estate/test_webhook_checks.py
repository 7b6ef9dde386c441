from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.errors import BadEstate
from trunkline.estate.load import Loaded, load

PLAIN = """\
estate: acme
currency: EUR
units: {acme: CC-1}
webhooks:
"""


def loaded(folder: Path, hook: str) -> Loaded:
    path = folder / "estate.yaml"
    path.write_text(f"{PLAIN}  money: {hook}\n")
    return load(path)


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ('{url: "env:URL"}', "lacks secret"),
        ('{secret: "env:SECRET"}', "lacks url"),
        ('{url: "env:", secret: "env:SECRET"}', "url wants a variable's name"),
        ('{url: "hooks.example.com", secret: "env:SECRET"}', "url wants an http or https URL"),
        ('{url: "https://h.example.com/?token=hidden", secret: "env:SECRET"}', "url has a query"),
        ('{url: "https://ada:hidden@h.example.com/", secret: "env:SECRET"}', "name or password"),
        ('{url: aws-default, secret: "env:SECRET"}', "url wants an address"),
        ('{url: "env:URL", secret: "file: "}', "secret wants a path"),
        ('{url: "env:URL", secret: aws-default}', "secret wants a text to sign with"),
        ('{url: "env:URL", secret: "env:SECRET", events: [budget.treshold]}', "budget.threshold"),
        ('{url: "env:URL", secret: "env:SECRET", units: [sales]}', 'unit "sales" is not declared'),
    ],
)
def test_a_fault_is_told_with_its_line_and_repeats_no_secret(tmp_path: Path, hook: str, said: str) -> None:
    with pytest.raises(BadEstate, match=said) as bad:
        loaded(tmp_path, hook)
    assert all("estate.yaml:5:" in fault for fault in bad.value.faults)
    assert "hidden" not in str(bad.value)


def test_a_secret_in_the_file_is_warned_of(tmp_path: Path) -> None:
    (notice,) = loaded(tmp_path, '{url: "env:URL", secret: a-secret-for-all-who-read-it}').notices
    assert "credentials stand in the file itself" in str(notice)
    assert "for-all-who" not in str(notice)
