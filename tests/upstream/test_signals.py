from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.catalog.vendor import load_vendors
from trunkline.clock import as_nanos
from trunkline.estate.endpoints import Signals
from trunkline.policy.reach import _signals
from trunkline.upstream.signals import Left, read_left, read_span, read_wait

NOW = as_nanos(datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC))
OPENAI, AZURE, ANTHROPIC = (_signals(load_vendors()[name]) for name in ("openai", "azure-openai", "anthropic"))


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (b"20", 20),
        (b"1.5", 1.5),
        (b"6m0s", 360),
        (b"1h2m3s", 3723),
        (b"12ms", 0.012),
        (b"2026-11-22T12:00:30Z", 30),
        (b"2026-11-22T11:00:00Z", 0),
        (b"Sun, 22 Nov 2026 12:01:00 GMT", 60),
        (b"soon", None),
        (b"", None),
        (b"-1", None),
        (b"1s later", None),
        (b"9" * 200, None),
    ],
)
def test_a_span_is_read_in_every_form_that_vendors_use(raw: bytes, seconds: float | None) -> None:
    assert read_span(raw, NOW) == (None if seconds is None else pytest.approx(seconds))


@given(st.binary(max_size=120))
def test_no_header_however_odd_breaks_the_reading(raw: bytes) -> None:
    read_wait(AZURE, {b"retry-after-ms": raw, b"retry-after": raw}, NOW)
    list(read_left(OPENAI, {left: raw for _, left, _ in OPENAI.rates}, NOW))
    wait = read_span(raw, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize("raw", [b"9" * 15, b"Fri, 31 Dec 9999 23:59:59 GMT", b"9999-12-31T23:59:59Z", b"99999999d"])
def test_nobody_is_told_to_wait_longer_than_a_day(raw: bytes) -> None:
    assert read_wait(AZURE, {b"retry-after": raw}, NOW) == 86_400


def test_the_finer_header_goes_first_where_the_vendor_has_one() -> None:
    headers = {b"retry-after-ms": b"1500", b"retry-after": b"2"}
    assert read_wait(AZURE, headers, NOW) == pytest.approx(1.5)
    assert read_wait(Signals(), headers, NOW) == 2


def test_what_is_left_is_read_by_the_names_that_the_vendor_uses() -> None:
    assert list(
        read_left(OPENAI, {b"x-ratelimit-remaining-tokens": b"150", b"x-ratelimit-reset-tokens": b"6m0s"}, NOW)
    ) == [Left("tokens", 150, 360.0)]
    assert list(
        read_left(
            ANTHROPIC,
            {
                b"anthropic-ratelimit-requests-remaining": b"0",
                b"anthropic-ratelimit-requests-reset": b"2026-11-22T12:00:09Z",
            },
            NOW,
        )
    ) == [Left("requests", 0, 9.0)]
    assert not list(read_left(Signals(), {b"x-ratelimit-remaining-tokens": b"150"}, NOW))


def test_hanging_up_ends_the_bill_or_not_as_the_catalogue_says() -> None:
    vendors = load_vendors()
    assert not _signals(vendors["openai"]).bills_on
    assert _signals(vendors["bedrock"]).bills_on
