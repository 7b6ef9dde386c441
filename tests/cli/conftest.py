from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from trunkline.cli.main import run
from trunkline.estate.deployments import Pattern
from trunkline.ids import JournalId, RequestId
from trunkline.messages import Operation, Usage
from trunkline.metering.records import AttemptRow, Status
from trunkline.money import Nano
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store

NOON = 1_790_000_000_000_000_000
SECOND = 1_000_000_000

ROW = AttemptRow(
    request=RequestId("req_0198f0c0ffee0a1b2c3d4e5f00000001"),
    attempt=1,
    at=NOON,
    key="key_0a1b2c3d4e5f",
    unit="marketing",
    cost_centre="CC-1100",
    use_case="general-chat",
    end_customer=None,
    deployment="gpt-saas",
    boundary="openai-main",
    pattern=Pattern.SAAS,
    operation=Operation.CHAT,
    model_asked="general-chat",
    model_sent="gpt-4.1-mini",
    model_served="gpt-4.1-mini-2026",
    stream=True,
    data_class="internal",
    decision="2 allowed, 1 refused",
    price_version="list 2026-11",
    currency="EUR",
    hold=Nano(5_000_000),
    usage=Usage(input=12, cached=4, output=7, reasoning=2),
    cost=Nano(1),
    status=Status.OK,
    http_status=200,
    first_byte=250_000_000,
    latency=1_250_500_000,
    error="",
    journal=JournalId("0" * 24),
)


@pytest.fixture
def row() -> Callable[..., AttemptRow]:
    """Make an attempt, with some fields of one's own."""

    def make(**fields: Any) -> AttemptRow:
        return msgspec.structs.replace(ROW, **fields)

    return make


class Shelf:
    """A ledger that holds the rows it is given, as the store does: read with `tail` and `attempts`."""

    def __init__(self) -> None:
        self.rows: list[AttemptRow] = []

    def put(self, row: AttemptRow) -> None:
        self.rows = [known for known in self.rows if (known.request, known.attempt) != (row.request, row.attempt)]
        self.rows.append(row)
        self.rows.sort(key=lambda known: (known.at, known.request, known.attempt))

    def tail(self, count: int, after: int | None = None) -> tuple[AttemptRow, ...]:
        return tuple(row for row in self.rows if after is None or row.at > after)[-count:]

    def attempts(self, request: str) -> Sequence[AttemptRow]:
        return tuple(row for row in self.rows if row.request == request)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


class Done(NamedTuple):
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def trunkline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command `trunkline` in this process, with an environment that holds none of its variables."""
    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)

    def command(*words: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["trunkline", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            run()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder, empty as the first start makes it."""
    path = tmp_path / "data"
    with open_store(DataFolder(path).store_path):
        return path


ESTATE = """\
estate: small
currency: EUR
time_zone: Europe/Berlin
units:
  small: {cost_centre: CC-1}
  marketing: {parent: small, cost_centre: CC-2}
data_classes: {public: {}}
boundaries:
  house: {provider: self-managed, owner: small}
  shop: {provider: openai, owner: small, credentials: "env:A_VARIABLE_THAT_NOBODY_SETS"}
deployments:
  near: {model: m/near, pattern: self_managed, boundary: house, url: "http://127.0.0.1:1", price: {input_mtok: 0}}
  far: {model: openai/gpt-4.1-mini, pattern: saas, boundary: shop}
pools:
  all: {owner: small, tiers: [[near], [far]], shares: {marketing: {guarantee: 0.2}}}
use_cases:
  general-chat: {owner: small, audience: [small], data_class: public, pools: [all]}
budgets:
  - {on: {unit: small}, per: month, amount: 10}
limits:
  - {on: {person: ada}, rpm: 10}
"""


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """An estate without faults."""
    path = tmp_path / "estate.yaml"
    path.write_text(ESTATE, "utf-8")
    return path
