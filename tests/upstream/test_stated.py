from __future__ import annotations

from decimal import Decimal

import pytest

from trunkline.estate.unit_prices import Stated
from trunkline.upstream.stated import read_stated

STATED = Stated(("usage", "cost"), Decimal("0.5"))


@pytest.mark.parametrize(
    ("data", "cost"),
    [
        (b'{"usage":{"cost":0.00095}}', 475_000),
        (b'{"usage":{"cost":9.5e-4}}', 475_000),
        (b'{"usage":{"cost":0}}', 0),
        (b'{"choices":[{"text":"\\"usage\\":{\\"cost\\":7}"}],"usage":{"cost":2}}', 1_000_000_000),
        (b'{"usage":{"cost":-1}}', None),
        (b'{"usage":{"cost":1e9}}', None),
        (b'{"usage":{"cost":null}}', None),
        (b'{"usage":{"cost":"much"}}', None),
        (b'{"usage":{}}', None),
        (b'{"usage":7}', None),
        (b"{}", None),
        (b"[DONE]", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_what_an_answer_states_is_read_where_it_can_be_believed(data: bytes, cost: int | None) -> None:
    assert read_stated(STATED, data) == cost
