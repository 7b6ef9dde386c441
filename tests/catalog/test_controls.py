from __future__ import annotations

import pytest

from trunkline.catalog.controls import CONTROLS, UNKNOWN, ZONES, Control, ValueKind, lies_in, surrounding


@pytest.mark.parametrize("control", CONTROLS.values(), ids=list(CONTROLS))
def test_a_control_has_words_where_its_kind_has_any_and_unknown_is_none_of_them(control: Control) -> None:
    assert control.meaning
    assert bool(control.words) is (control.kind in {ValueKind.WORD, ValueKind.DAYS})
    assert UNKNOWN not in control.words
    assert len(set(control.words)) == len(control.words)
    assert not control.ordered or control.kind is ValueKind.WORD
    assert not control.more_is_stricter or control.kind is ValueKind.NAMES


def test_words_stand_from_the_strictest_to_the_loosest() -> None:
    assert CONTROLS["training_use"].words == ("never", "opt_in", "opt_out", "always")
    assert CONTROLS["human_review"].words == ("never", "flagged_only", "possible", "always")
    assert CONTROLS["network"].words[0] == "loopback"
    assert CONTROLS["network"].words[-1] == "public"
    assert CONTROLS["retention_mode"].words == ("none", "default", "provider_review", "provider_share")


def test_a_word_is_as_strict_as_itself_and_those_after_it() -> None:
    network = CONTROLS["network"]
    assert network.as_strict("loopback", "private_link")
    assert network.as_strict("private_link", "private_link")
    assert not network.as_strict("public", "private_link")
    assert not network.as_strict("loopback", "wormhole")
    assert not network.as_strict("wormhole", "public")
    unordered = Control(meaning="colour", kind=ValueKind.WORD, words=("red", "blue"))
    assert unordered.as_strict("red", "red")
    assert not unordered.as_strict("red", "blue")


def test_regions_lie_in_their_country_and_its_union_and_anywhere() -> None:
    assert surrounding("swedencentral") == ("swedencentral", "se", "eu", "eea", "global")
    assert surrounding("no") == ("no", "eea", "global")
    assert lies_in("eu-central-1", "eu")
    assert not lies_in("eu-central-2", "eu")
    assert not lies_in("uksouth", "eu")
    assert not lies_in("eu", "se")
    assert not lies_in("on_prem", "eu")
    assert not lies_in("atlantis", "atlantis")


def test_every_zone_lies_in_global_and_none_in_a_circle() -> None:
    assert all(surrounding(zone)[-1] == "global" for zone in ZONES)
    assert sum(lies_in(zone, "eu") and len(zone) == 2 for zone in ZONES) == 28  # the 27 members, and the union itself
