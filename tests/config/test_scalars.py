from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.document import Scalar
from trunkline.config.faults import Place
from trunkline.config.scalars import Misread, read_decimal, read_moment, read_whole

BERLIN = ZoneInfo("Europe/Berlin")


def scalar(text: str, *, plain: bool = True) -> Scalar:
    return Scalar(text, plain, Place("estate.yaml", 1, 1))


@given(st.decimals(min_value="0.000001", max_value=10**9, places=6))
def test_a_decimal_is_exactly_what_was_written(value: Decimal) -> None:
    assert str(read_decimal(scalar(f"{value:f}"))) == f"{value:f}"


@given(st.text(max_size=50), st.booleans())
def test_any_text_is_a_number_or_misread(text: str, plain: bool) -> None:
    for read in (read_decimal, read_whole):
        try:
            value = read(scalar(text, plain=plain))
        except Misread:
            continue
        assert abs(Decimal(value)) <= 10**18


@pytest.mark.parametrize(
    "text",
    [
        "1e999999999",
        "1e-999999999",
        "0e999999999",
        "1e99999999999999999999",
        ".nan",
        "-.inf",
        "9" * 5000,
        "0x" + "f" * 50,
    ],
)
def test_a_number_beyond_all_measure_is_misread(text: str) -> None:
    with pytest.raises(Misread):
        read_decimal(scalar(text))


def test_a_date_is_the_end_of_that_day_in_the_estates_zone() -> None:
    moment = read_moment(scalar("2027-04-02"), BERLIN)

    assert moment == read_moment(scalar("2027-04-02", plain=False), BERLIN)
    assert moment.astimezone(UTC) == datetime(2027, 4, 2, 21, 59, 59, 999999, UTC)


@pytest.mark.parametrize("text", ["2027-04-02T18:00:00+02:00", "2027-04-02T16:00:00Z", "2027-04-02 16:00:00.000z"])
def test_a_time_is_itself(text: str) -> None:
    assert read_moment(scalar(text), BERLIN) == datetime(2027, 4, 2, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2027-4-2", "2027-02-30", "2027-04-02T18:00:00", "9999-12-31", "0001-01-01", "20270402", "2027-W05-1", ""]
)
def test_what_is_no_date_is_misread(text: str) -> None:
    with pytest.raises(Misread):
        read_moment(scalar(text), BERLIN)
