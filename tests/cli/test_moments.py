from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cli.moments import ago, ahead, span
from trunkline.clock import as_datetime

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@given(st.integers(min_value=0, max_value=99_999), st.sampled_from("smhdw"))
def test_a_span_is_read_as_its_number_of_units(number: int, unit: str) -> None:
    seconds = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}[unit]
    assert span(f"{number}{unit}") == timedelta(seconds=number * seconds)


def test_a_past_moment_is_a_span_before_now_the_start_of_a_date_or_a_time() -> None:
    assert as_datetime(ago("24h", NOW)) == datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert as_datetime(ago("2026-11-01", NOW, BERLIN)) == datetime(2026, 10, 31, 23, 0, tzinfo=UTC)
    assert as_datetime(ago("2026-11-01T08:00:00Z", NOW, BERLIN)) == datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
    assert as_datetime(ago("2026-11-01T08:00", NOW, BERLIN)) == datetime(2026, 11, 1, 7, 0, tzinfo=UTC)


def test_a_future_date_lasts_until_its_end_in_the_zone() -> None:
    end = as_datetime(ahead("2026-12-31", NOW, BERLIN))
    assert timedelta() < datetime(2026, 12, 31, 23, 0, tzinfo=UTC) - end < timedelta(milliseconds=1)
    assert as_datetime(ahead("30d", NOW)) == NOW + timedelta(days=30)


@pytest.mark.parametrize("passed", ["2026-11-21", "0s", "2026-11-22T11:59Z"])
def test_a_future_moment_that_has_passed_is_refused(passed: str) -> None:
    with pytest.raises(ValueError, match="has passed"):
        ahead(passed, NOW)


@pytest.mark.parametrize("nonsense", ["", "soon", "24", "h", "-3d", "2026-13-01", "1.5h"])
def test_what_is_no_time_is_refused_with_the_forms_that_are(nonsense: str) -> None:
    with pytest.raises(ValueError, match="such as `90m`"):
        ago(nonsense, NOW)
