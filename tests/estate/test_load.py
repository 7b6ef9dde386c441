from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trunkline.clock import NANOS_PER_SECOND
from trunkline.errors import BadEstate
from trunkline.estate.claims import Basis
from trunkline.estate.deployments import Pattern
from trunkline.estate.estate import ExchangeRate
from trunkline.estate.load import load

EXAMPLE = Path(__file__).parent / "example.yaml"
ACME = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"


class StillClock:
    """A clock that stands at one moment."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> int:
        return int(self._moment.timestamp()) * NANOS_PER_SECOND

    def ticks(self) -> int:
        return 0


def faults_of(path: Path) -> list[str]:
    with pytest.raises(BadEstate) as caught:
        load(path)
    return [fault.removeprefix(f"{path.parent}/") for fault in caught.value.faults]


def test_the_whole_example_loads_without_a_fault() -> None:
    loaded = load(EXAMPLE)
    estate = loaded.estate

    assert estate.root == "acme"
    assert estate.lineage("checkout") == ("checkout", "engineering", "acme")
    assert list(estate.data_classes) == ["public", "internal", "confidential", "restricted"]
    assert estate.exchange_rates == (
        ExchangeRate("USD", Decimal("0.87"), datetime.fromisoformat("2026-11-01T00:00:00+01:00")),
    )
    claim = estate.deployments["gpt-reserved"].controls["human_review"]
    assert (claim.value, claim.basis) == ("never", Basis.ENFORCED_SETTING)
    assert claim.expires is not None
    assert claim.expires.astimezone(UTC) == datetime(2027, 4, 2, 21, 59, 59, 999999, UTC)
    assert estate.deployments["mistral-house"].timeouts.total == 600
    assert estate.pools["central"].tiers == (("gpt-reserved",), ("gpt-payg", "mistral-cloud"), ("gpt-saas",))
    assert loaded.files == (EXAMPLE,)
    assert loaded.folder == EXAMPLE.parent


def test_the_example_company_has_all_patterns_and_teams_with_pools_of_their_own() -> None:
    estate = load(ACME).estate

    assert {each.pattern for each in estate.deployments.values()} == set(Pattern)
    assert {"platform", "marketing", "checkout"} <= {pool.owner for pool in estate.pools.values()}
    assert {"marketing", "finance", "hr", "sales", "engineering"} <= set(estate.units)
    assert [name for name, each in estate.deployments.items() if each.engine is not None] == ["smol", "minilm"]


def test_an_example_loads_well_within_the_time_to_start() -> None:
    load(ACME)
    start = time.process_time()
    load(ACME)

    assert time.process_time() - start < 0.15


def test_the_version_names_the_content_not_the_comments(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    same, other = tmp_path / "same.yaml", tmp_path / "other.yaml"
    same.write_text(f"# another comment\n{text}")
    other.write_text(text.replace("amount: 3000", "amount: 3001"))

    version = load(EXAMPLE).estate.version
    assert len(version) == 12
    assert load(same).estate.version == version
    assert load(other).estate.version != version


def test_short_forms_mean_the_same_as_the_long_ones(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(
        "estate: a\ncurrency: EUR\nunits: {a: CC-1}\n"
        "data_classes: {open: , inner: {requires: {training_use: never, stored_by_default: false}}}\n"
    )
    estate = load(file).estate

    assert estate.units["a"].cost_centre == "CC-1"
    assert estate.data_classes["open"].requires == {}
    requires = estate.data_classes["inner"].requires
    assert {name: each.is_ for name, each in requires.items()} == {"training_use": "never", "stored_by_default": False}


def test_several_rates_of_one_currency_each_have_their_day(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(
        "estate: a\ncurrency: EUR\nunits: {a: CC-1}\n"
        "exchange_rates: {USD: [{EUR: 0.9}, {EUR: 0.87, from: 2026-11-01}, {EUR: 0.8, from: 2026-12-01T12:00:00Z}]}\n"
    )

    assert [(rate.rate, rate.since) for rate in load(file).estate.exchange_rates] == [
        (Decimal("0.9"), None),
        (Decimal("0.87"), datetime(2026, 11, 1, tzinfo=UTC)),
        (Decimal("0.8"), datetime(2026, 12, 1, 12, tzinfo=UTC)),
    ]


def test_all_faults_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(EXAMPLE.read_text().replace("owner: platform", "owner: plattform").replace("is: never", "is: nevr"))

    faults = faults_of(file)

    lines = [int(fault.split(":")[1]) for fault in faults]
    assert len(faults) == 11
    assert lines == sorted(lines)


def test_a_misspelt_section_is_named_once_and_not_for_all_that_refer_to_it(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(EXAMPLE.read_text().replace("\nunits:", "\nunit:").replace("\npools:", "\npools: []\nx:"))

    assert [fault.split(": ", 1)[1].split("; known")[0] for fault in faults_of(file)] == [
        '"unit" is not a field of an estate; did you mean "units"?',
        "pools wants names and what they stand for; this is a list",
        '"x" is not a field of an estate',
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "estate.yaml:1:1: the file is empty"),
        ("[1]", "estate.yaml:1:1: an estate is a mapping of sections, such as `units:`; this is a list"),
        ("estate: a\ncurrency: EUR\nunits:\n", "estate.yaml:1:1: the estate lacks units"),
    ],
)
def test_a_file_that_is_no_estate_says_so(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(text)

    assert [each[: len(fault)] for each in faults_of(file)] == [fault]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "estate.yaml") == ["estate.yaml:1:1: there is no such file or folder"]


def test_what_is_not_in_force_is_announced_once_per_kind() -> None:
    notices = load(EXAMPLE, StillClock(datetime(2026, 12, 1, tzinfo=UTC))).notices

    assert [(notice.message.split(":")[0], notice.count) for notice in notices] == [
        ("fixed costs are not charged back yet", 3),
        ("lending and shares of a pool are not in force yet", 1),
        ("groups of a unit are not in force yet", 1),
        ("this cloud's own credentials cannot be used yet", 1),
    ]
    assert str(notices[0]).startswith(f"{EXAMPLE}:")
    assert str(notices[0]).endswith("(and 2 more)")


def test_units_of_a_model_that_nobody_knows_are_announced_until_it_is_said_what_one_takes(tmp_path: Path) -> None:
    estate = EXAMPLE.read_text("utf-8").replace("model: openai/gpt-4.1-mini", "model: acme/own")
    file = tmp_path / "estate.yaml"
    for capacity, told in (("{ptu: 50}", True), ("{ptu: 50, input_tpm: 900, output_ratio: 3}", False)):
        file.write_text(
            estate.replace("capacity: {ptu: 50}", f"capacity: {capacity}").replace(
                "[openai/gpt-4.1-mini]", "[acme/own]"
            )
        )
        notices = load(file, StillClock(datetime(2026, 12, 1, tzinfo=UTC))).notices
        assert any(notice.message.startswith("units are not in force") for notice in notices) is told


def test_an_expired_claim_is_a_notice_and_no_fault() -> None:
    before = load(EXAMPLE, StillClock(datetime(2027, 3, 15, 22, 59, tzinfo=UTC))).notices
    after = load(EXAMPLE, StillClock(datetime(2027, 3, 15, 23, 0, tzinfo=UTC))).notices

    assert not [notice for notice in before if "expired" in notice.message]
    assert after[-1].message == "the claim has expired and satisfies nothing: mistral-cloud human_review"
    assert after[-1].where == f"{EXAMPLE}:66:95"


def test_a_secret_in_the_file_is_a_notice_that_does_not_repeat_it(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(EXAMPLE.read_text().replace('"env:OPENAI_API_KEY"', "sk-proj-abc"))
    said = [str(notice) for notice in load(file).notices if "credentials stand in the file" in notice.message]
    assert len(said) == 1
    assert "sk-proj" not in said[0]
