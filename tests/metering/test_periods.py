from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.clock import NANOS_PER_SECOND, as_datetime, as_nanos
from trunkline.metering.periods import period_at

PERS = ("day", "week", "month", "quarter")
# Clocks that skip midnight, that repeat it, that skipped a whole day, and that are half an hour off.
ZONES = (
    "Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "America/Sao_Paulo", "America/Havana", "Asia/Beirut",
    "Pacific/Apia", "Australia/Lord_Howe", "Africa/Cairo", "America/Asuncion",
)  # fmt: skip
MOMENTS = st.integers(as_nanos(datetime(1990, 1, 1, tzinfo=UTC)), as_nanos(datetime(2037, 1, 1, tzinfo=UTC)))


@given(st.sampled_from(PERS), st.sampled_from(ZONES), MOMENTS)
def test_every_moment_lies_in_its_period_and_periods_follow_each_other_without_a_gap(
    per: str, zone: str, moment: int
) -> None:
    period = period_at(per, ZoneInfo(zone), moment)
    assert period.holds(moment)
    assert period_at(per, ZoneInfo(zone), period.starts) == period
    assert period_at(per, ZoneInfo(zone), period.ends - 1) == period
    assert period_at(per, ZoneInfo(zone), period.ends).starts == period.ends


@given(st.sampled_from(ZONES), MOMENTS)
def test_a_day_is_what_the_calendar_of_the_zone_says(zone: str, moment: int) -> None:
    period = period_at("day", ZoneInfo(zone), moment)

    def day(nanos: int) -> object:
        return as_datetime(nanos).astimezone(ZoneInfo(zone)).date()

    assert day(period.starts) == day(moment) == day(period.ends - NANOS_PER_SECOND)
    assert day(period.starts - NANOS_PER_SECOND) < day(moment) < day(period.ends)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("per", "starts", "ends"),
    [
        ("day", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),  # 23 hours
        ("week", "2026-03-23T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("month", "2026-03-01T00:00+01:00", "2026-04-01T00:00+02:00"),
        ("quarter", "2026-01-01T00:00+01:00", "2026-04-01T00:00+02:00"),
    ],
)
def test_periods_of_a_day_on_which_clocks_change(per: str, starts: str, ends: str) -> None:
    moment = as_nanos(datetime.fromisoformat("2026-03-29T12:00+02:00"))
    period = period_at(per, ZoneInfo("Europe/Berlin"), moment)
    assert as_datetime(period.starts) == datetime.fromisoformat(starts)
    assert as_datetime(period.ends) == datetime.fromisoformat(ends)


def test_a_day_of_which_the_zone_skipped_the_whole_belongs_to_nobody() -> None:
    before = as_nanos(datetime(2011, 12, 30, 9, 59, tzinfo=UTC))  # Apia: 29 December, the 30th never was
    period = period_at("day", ZoneInfo("Pacific/Apia"), before)
    assert as_datetime(period.ends).astimezone(ZoneInfo("Pacific/Apia")).day == 31
    assert timedelta(microseconds=(period.ends - period.starts) // 1_000) <= timedelta(days=1)


def test_there_are_no_other_periods() -> None:
    with pytest.raises(ValueError, match="fortnight"):
        period_at("fortnight", UTC, 0)
