from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from trunkline.tenancy.keyed import Keyed


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_every_digest_is_that_of_hmac_sha_256(key: bytes, texts: list[bytes]) -> None:
    keyed = Keyed(key)
    assert [keyed.digest(text) for text in texts] == [hmac.digest(key, text, "sha256") for text in texts]
