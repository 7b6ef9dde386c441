from __future__ import annotations

import pytest

from trunkline import errors
from trunkline.tenancy.certificates import Bearer, Bearers
from trunkline.wire.peer import Certificate

UNITS = {"acme": "CC-1", "finance": "CC-2"}
BATCH = Bearer("batch", "finance", ("drafts",), uri="spiffe://acme/batch")
PINNED = Bearer("pinned", "acme", sha256="ab" * 32)
BOTH = Bearer("both", "acme", dns="a.example", common_name="a")


def refused(bearers: Bearers, certificate: Certificate) -> errors.Unidentified:
    with pytest.raises(errors.Unidentified) as caught:
        bearers.identify(certificate)
    return caught.value


def test_a_certificate_stands_for_the_caller_whose_marks_it_has() -> None:
    bearers = Bearers([BATCH, PINNED, BOTH], UNITS)
    caller = bearers.identify(Certificate("0" * 64, uris=("spiffe://other", "spiffe://acme/batch")))
    assert (caller.key, caller.unit, caller.cost_centre) == ("cert_batch", "finance", "CC-2")
    assert caller.use_cases == frozenset({"drafts"})
    assert bearers.identify(Certificate("ab" * 32)).unit == "acme"
    assert bearers.identify(Certificate("0" * 64, common_name="a", dns=("a.example",))).key == "cert_both"


@pytest.mark.parametrize(
    "certificate",
    [
        Certificate("0" * 64),
        Certificate("0" * 64, uris=("spiffe://acme/batch/",)),
        Certificate("0" * 64, uris=("SPIFFE://acme/batch",)),
        Certificate("0" * 64, dns=("spiffe://acme/batch",), emails=("spiffe://acme/batch",)),
        Certificate("0" * 64, common_name="a"),
        Certificate("0" * 64, dns=("a.example",)),
        Certificate("0" * 64, common_name="a.example", dns=("a",)),
        Certificate("0" * 64, dns=("*.example",), common_name="a"),
    ],
)
def test_one_that_lacks_a_mark_stands_for_nobody(certificate: Certificate) -> None:
    fault = refused(Bearers([BATCH, PINNED, BOTH], UNITS), certificate)
    assert fault.code == "missing_api_key"
    assert certificate.sha256 not in fault.message


def test_one_that_fits_two_stands_for_neither() -> None:
    fault = refused(Bearers([BATCH, PINNED], UNITS), Certificate("ab" * 32, uris=("spiffe://acme/batch",)))
    assert fault.code == "ambiguous_certificate"
    assert "batch, pinned" in fault.inside
    assert "pinned" not in fault.message
