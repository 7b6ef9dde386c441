from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.catalog.controls import ZONES, lies_in
from trunkline.estate.claims import Requirement
from trunkline.estate.requirements import meets, possible
from trunkline.estate.zones import CATALOGUE, Zone, Zones, known_zones

OWN = {
    "dach": Zone(contains=("de", "at", "ch")),
    "core": Zone(contains=("de", "at"), within="eu"),
    "alps": Zone(contains=("at", "ch")),
    "office": Zone(within=("de", "on_prem")),
    "annex": Zone(within="office"),
    "both": Zone(contains=("office", "core")),
}


@pytest.mark.parametrize(
    ("zone", "other", "holds"),
    [
        ("de", "dach", True),
        ("germanywestcentral", "dach", True),
        ("fr", "dach", False),
        ("dach", "global", True),
        ("dach", "eu", False),
        ("core", "eu", True),
        ("core", "dach", True),
        ("dach", "core", False),
        ("alps", "dach", True),
        ("annex", "dach", True),
        ("annex", "on_prem", True),
        ("both", "eea", True),
        ("both", "on_prem", False),
        ("both", "dach", True),
        ("eu", "core", False),
        ("dach", "dach", True),
        ("nowhere", "nowhere", False),
    ],
)
def test_a_zone_of_ones_own_lies_where_all_of_it_lies(zone: str, other: str, holds: bool) -> None:
    assert Zones(OWN).lies_in(zone, other) is holds


def test_zones_of_ones_own_count_in_requirements_and_claims() -> None:
    zones = known_zones(OWN)
    asked = Requirement(within=("dach",))
    values = ("dach", "eu-central-1", "office", ("core", "ch"), "fr", "eu", ("de", "fr"))
    assert [meets("residency_processing", value, asked, zones) for value in values] == [True] * 4 + [False] * 3
    assert meets("residency_at_rest", "core", Requirement(is_="eu"), zones)
    assert not meets("residency_at_rest", "core", Requirement(is_="eu"))
    only_there = (Requirement(is_="annex"), Requirement(is_="office"))
    assert possible("residency_at_rest", only_there, zones)
    assert not possible("residency_at_rest", only_there)


def test_what_a_zone_contains_is_never_believed_to_lie_within_what_it_says() -> None:
    zones = Zones({"smuggler": Zone(within="eu", contains=("us", "de")), "eu": Zone(contains=("us",))})
    assert not zones.lies_in("smuggler", "eu")
    assert not zones.lies_in("us", "eu")
    assert not Zones({"odd": Zone(contains=("nowhere",))}).lies_in("odd", "global")


def test_zones_in_a_circle_lie_in_one_another_and_nowhere_else() -> None:
    zones = Zones({"a": Zone(within="b"), "b": Zone(within="a"), "c": Zone(contains=("c",))})
    assert zones.lies_in("a", "b")
    assert not zones.lies_in("a", "global")
    assert not zones.lies_in("c", "global")


def test_an_estate_without_zones_of_its_own_has_the_catalogues() -> None:
    assert known_zones({}) is CATALOGUE
    for zone in ZONES:
        assert all(CATALOGUE.lies_in(zone, other) is lies_in(zone, other) for other in ZONES)


own_zones = st.dictionaries(
    st.sampled_from(["x1", "x2", "x3", "x4"]),
    st.builds(
        Zone,
        within=st.sampled_from(["eu", "us", "de", "on_prem", "x1", "x2"]),
        contains=st.lists(st.sampled_from(["de", "at", "us", "ch", "eu", "x1", "x2", "x3"]), max_size=3).map(tuple),
    ),
)


@given(own_zones)
def test_whatever_an_estate_declares_the_zones_of_the_catalogue_lie_where_they_lay(own: dict[str, Zone]) -> None:
    zones = Zones(own)
    for zone in ("de", "us", "ch", "eu", "eu-central-1"):
        assert [one for one in ZONES if zones.lies_in(zone, one)] == [one for one in ZONES if lies_in(zone, one)]


@given(own_zones)
def test_a_zone_lies_in_all_that_what_it_lies_in_lies_in(own: dict[str, Zone]) -> None:
    zones = Zones(own)
    for zone in own:
        for around in zones.around(zone):
            assert zones.around(around) <= zones.around(zone)
