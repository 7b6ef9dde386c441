from __future__ import annotations

from datetime import date, timedelta
from importlib.resources import files

import msgspec
import pytest

from trunkline.catalog.vendor import PublishedControl, Vendor, load_vendors

VENDORS = load_vendors()


def test_the_vendors_of_the_first_day_are_there() -> None:
    assert set(VENDORS) >= {
        "openai", "azure-openai", "mistral", "groq", "together", "deepseek", "xai", "openrouter", "fireworks",
        "anthropic", "google", "bedrock", "vertex", "self-managed",
    }  # fmt: skip


def test_every_file_is_named_after_its_vendor() -> None:
    folder = files("trunkline.catalog") / "vendors"
    assert {entry.name for entry in folder.iterdir()} == {f"{name}.yaml" for name in VENDORS}


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
def test_every_vendor_can_be_addressed_and_shown_a_key(vendor: Vendor) -> None:
    assert vendor.auth.format(key="K").isascii()
    name, separator, value = vendor.auth.partition(": ")
    assert name == name.lower()
    assert separator
    assert value.endswith("{key}")
    assert vendor.base_url is None or vendor.base_url.startswith("https://")
    assert not (vendor.base_url or "").endswith("/")
    assert vendor.endpoint_path == "" or vendor.endpoint_path.startswith("/")


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
def test_every_published_control_names_its_page_and_runs_out_within_a_year(vendor: Vendor) -> None:
    for control in vendor.controls.values():
        assert control.title
        assert control.quote
        assert timedelta(0) < control.expires - control.verified <= timedelta(days=366)
        assert control.value != "unknown"


def test_a_self_managed_engine_has_no_published_controls_no_address_and_needs_no_key() -> None:
    vendor = VENDORS["self-managed"]
    assert (vendor.controls, vendor.base_url, vendor.key_required, vendor.prices) == ({}, None, False, None)


def test_openai_publishes_that_it_does_not_train_but_keeps_abuse_logs() -> None:
    controls = VENDORS["openai"].controls
    assert controls["training_use"].value == "never"
    assert controls["abuse_log_retention_days"].value == 30


def test_where_a_vendors_plans_differ_the_worst_is_published() -> None:
    assert VENDORS["mistral"].controls["training_use"].value == "opt_out"


def test_a_field_that_a_vendor_does_not_have_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `trains`"):
        msgspec.convert({"id": "x", "name": "X", "trains": False}, Vendor)


def test_a_published_control_without_a_date_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="verified"):
        msgspec.convert({"value": "never", "title": "T", "quote": "Q", "expires": date(2027, 1, 1)}, PublishedControl)
