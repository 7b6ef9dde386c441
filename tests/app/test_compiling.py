"""What is compiled again when the day comes: prices that begin later."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.path.exchange import deployment, estate

from trunkline.app.compiling import Compiler
from trunkline.clock import as_nanos
from trunkline.config.environment import Environment
from trunkline.estate.load import load

TOMORROW = datetime(2026, 11, 29, tzinfo=UTC)


class StillClock:
    """A clock that goes only when it is told to."""

    def __init__(self, at: datetime) -> None:
        self.at = as_nanos(at)

    def now(self) -> int:
        return self.at

    def ticks(self) -> int:
        return self.at


def test_a_snapshot_holds_until_a_price_changes_and_the_next_one_has_the_new_price(tmp_path: Path) -> None:
    dollars = deployment("http://127.0.0.1:1/v1", price={"input_mtok": 1, "output_mtok": 2, "currency": "USD"})
    coming = f"{TOMORROW:%Y-%m-%dT%H:%M:%SZ}"
    rates = {"exchange_rates": {"USD": [{"EUR": 0.5}, {"EUR": 0.25, "from": coming}]}}
    path = tmp_path / "estate.yaml"
    path.write_text(json.dumps(estate({"gpt": dollars}, {"chat": [["gpt"]]}, **rates)))
    clock = StillClock(TOMORROW - timedelta(hours=1))
    environment = Environment(tmp_path, {"TRUNKLINE_TEST_VENDOR_KEY": "k"})
    compiler = Compiler(load(path).estate, environment, clock)
    before = compiler.compile()
    assert (before.endpoints["gpt"].price.input, before.good_until) == (500_000, as_nanos(TOMORROW))
    clock.at = before.good_until
    after = compiler.compile()
    assert after.endpoints["gpt"].price.input == 250_000
    assert after.good_until > as_nanos(TOMORROW)
