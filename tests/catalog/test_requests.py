from __future__ import annotations

import json

import pytest

from trunkline.catalog.controls import CONTROLS
from trunkline.catalog.features import FEATURES
from trunkline.catalog.requests import DROP, Form, load_forms
from trunkline.catalog.stores import STORES
from trunkline.catalog.vendor import load_vendors
from trunkline.dialects.registry import DIALECTS
from trunkline.messages import Operation

FORMS = load_forms()


def test_every_dialect_that_is_spoken_has_a_form_for_each_of_its_operations() -> None:
    for dialect in DIALECTS.values():
        for operation in set(dialect.doors.values()):
            assert (dialect.name, operation.value) in FORMS


@pytest.mark.parametrize("form", FORMS.values(), ids=["-".join(key) for key in FORMS])
def test_a_form_speaks_of_operations_and_features_that_there_are(form: Form) -> None:
    assert form.operation in {operation.value for operation in Operation}
    for name, field in form.fields.items():
        used = [one for one in (field.feature, field.other_kind, *field.kinds.values()) if one is not None]
        assert used, name
        assert set(used) <= set(FEATURES), name
        assert field.feature is None or not field.kinds, name
        assert not field.kinds or field.other_kind is not None, name
        assert all(json.dumps(json.loads(value), separators=(",", ":")) == value for value in field.unless), name
        assert not field.when_absent or field.rewrite is not None, name
        if field.rewrite not in {None, DROP}:
            assert field.rewrite in field.unless, name
    for part in form.parts:
        assert part.feature is None or part.feature in FEATURES
        assert part.feature is not None or part.modality is not None
    assert not form.parts or form.messages


def test_features_put_controls_in_question_that_there_are() -> None:
    for feature in FEATURES.values():
        assert feature.meaning
        assert feature.questions
        assert set(feature.questions) <= set(CONTROLS)


def test_vendors_speak_of_features_modes_and_controls_that_there_are() -> None:
    for vendor in load_vendors().values():
        assert set(vendor.features) <= set(FEATURES)
        assert set(vendor.modes) <= set(CONTROLS["retention_mode"].words)
        tables = [vendor.controls, *vendor.skus.values(), *vendor.modes.values(), *vendor.features.values()]
        assert {control for table in tables for control in table} <= set(CONTROLS)
        for feature, table in vendor.features.items():
            assert set(table) <= set(FEATURES[feature].questions)
        for table in tables:
            for control, published in table.items():
                words = CONTROLS[control].words
                assert not words or isinstance(published.value, int) or published.value in words, (vendor.id, control)
                assert published.quote
                assert published.expires > published.verified


def test_azure_has_exactly_the_kinds_of_deployments_that_its_pages_name() -> None:
    assert set(load_vendors()["azure-openai"].skus) == {
        "GlobalStandard", "GlobalProvisionedManaged", "GlobalBatch", "DataZoneStandard",
        "DataZoneProvisionedManaged", "DataZoneBatch", "Standard", "ProvisionedManaged", "DeveloperTier",
    }  # fmt: skip


def test_the_exchanges_own_stores_claim_controls_that_there_are() -> None:
    assert {"ledger", "journal", "log", "metrics"} <= set(STORES)
    for store in STORES.values():
        assert set(store.controls) <= set(CONTROLS)
        for control, value in store.controls.items():
            words = CONTROLS[control].words
            assert not words or isinstance(value, int) or value in words
