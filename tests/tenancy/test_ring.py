from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import errors
from trunkline.clock import NANOS_PER_SECOND
from trunkline.tenancy.keys import Key
from trunkline.tenancy.mint import Restrictions, mint
from trunkline.tenancy.ring import ADMIN, KeyRing
from trunkline.tenancy.rotate import revoke, rotate

PEPPER = b"p" * 32
UNITS = {"acme": "CC-0", "hr": "CC-1"}
NOW = 1_700_000_000 * NANOS_PER_SECOND
HOME = "127.0.0.1"


def _ring(*keys: Key, admin: str | None = None) -> KeyRing:
    return KeyRing(keys, pepper=PEPPER, cost_centres=UNITS, root="acme", admin=admin)


def _refused(ring: KeyRing, secret: str, peer: str = HOME, now: int = NOW) -> errors.Unidentified:
    with pytest.raises(errors.Unidentified) as refused:
        ring.identify(secret.encode(), peer, now)
    assert refused.value.status == 401
    return refused.value


def test_a_key_stands_for_its_unit_and_cost_centre() -> None:
    key, secret = mint("hr", pepper=PEPPER, now=NOW, only=Restrictions(use_cases=("reports",)))
    caller = _ring(key).identify(secret.encode(), HOME, NOW)
    assert (caller.key, caller.unit, caller.cost_centre) == (key.id, "hr", "CC-1")
    assert caller.use_cases == frozenset({"reports"})


def test_a_key_without_use_cases_is_not_restricted() -> None:
    key, secret = mint("hr", pepper=PEPPER, now=NOW)
    assert _ring(key).identify(secret.encode(), HOME, NOW).use_cases is None


def test_the_same_caller_is_handed_out_each_time() -> None:
    key, secret = mint("hr", pepper=PEPPER, now=NOW)
    ring = _ring(key)
    assert ring.identify(secret.encode(), HOME, NOW) is ring.identify(secret.encode(), HOME, NOW)


def test_a_secret_is_long_url_safe_and_kept_only_as_a_keyed_digest() -> None:
    key, secret = mint("hr", pepper=PEPPER, now=NOW)
    assert secret.startswith("tl-")
    assert len(secret) == 46
    assert secret.replace("-", "").replace("_", "").isalnum()
    assert key.prefix == secret[:8]
    assert key.digest == hmac.new(PEPPER, secret.encode(), "sha256").digest()
    assert secret not in repr(key)


def test_no_key_is_told_how_to_send_one() -> None:
    refused = _refused(_ring(), "")
    assert (refused.code, "Authorization" in str(refused)) == ("missing_api_key", True)


@given(secret=st.text(min_size=1, max_size=60))
def test_an_unknown_secret_is_not_valid_and_nothing_more(secret: str) -> None:
    key, _ = mint("hr", pepper=PEPPER, now=NOW)
    assert str(_refused(_ring(key), secret)) == "the API key is not valid: check it, or ask for a new one"


def test_a_secret_that_differs_in_its_last_character_is_unknown() -> None:
    key, secret = mint("hr", pepper=PEPPER, now=NOW)
    last = "A" if secret[-1] != "A" else "B"
    assert "not valid" in str(_refused(_ring(key), secret[:-1] + last))


def test_a_digest_is_worth_nothing_under_another_pepper() -> None:
    key, secret = mint("hr", pepper=b"q" * 32, now=NOW)
    _refused(_ring(key), secret)


def test_a_key_works_until_the_moment_it_expires() -> None:
    key, secret = mint("hr", pepper=PEPPER, now=NOW, only=Restrictions(expires_at=NOW + 10))
    ring = _ring(key)
    assert ring.identify(secret.encode(), HOME, NOW + 9).key == key.id
    refused = _refused(ring, secret, now=NOW + 10)
    assert "expired on 2023-11-14" in str(refused)
    assert str(key.id) not in str(refused)
    assert str(key.id) in refused.inside


def test_a_revoked_key_identifies_nobody() -> None:
    key, secret = mint("hr", pepper=PEPPER, now=NOW)
    assert "revoked" in str(_refused(_ring(revoke(key, now=NOW)), secret))
    assert revoke(revoke(key, now=NOW), now=NOW + 5).revoked_at == NOW


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::5", True),
        ("fe80::1%eth0", False),
        ("11.0.0.1", False),
        ("127.0.0.1", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_a_key_with_networks_works_only_from_there(peer: str, allowed: bool) -> None:
    key, secret = mint("hr", pepper=PEPPER, now=NOW, only=Restrictions(networks=("10.0.0.0/8", "2001:db8::/32")))
    ring = _ring(key)
    if allowed:
        assert ring.identify(secret.encode(), peer, NOW).key == key.id
    else:
        refused = _refused(ring, secret, peer)
        assert "address" in str(refused)
        assert "10.0.0.0" not in str(refused)


def test_a_key_of_a_unit_that_is_gone_identifies_nobody_and_only_the_log_says_why() -> None:
    key, secret = mint("sold", pepper=PEPPER, now=NOW)
    refused = _refused(_ring(key), secret)
    assert "sold" not in str(refused)
    assert "sold is not in the estate" in refused.inside


def test_the_admin_key_acts_for_the_root_unit() -> None:
    caller = _ring(admin="sixteen-letters!").identify(b"sixteen-letters!", HOME, NOW)
    assert (caller.key, caller.unit, caller.cost_centre) == (ADMIN, "acme", "CC-0")


def test_a_short_admin_key_is_refused_and_not_repeated() -> None:
    with pytest.raises(errors.Unstartable, match="16 or more") as refused:
        _ring(admin="fifteen-letters")
    assert "fifteen" not in str(refused.value)


@pytest.mark.parametrize("admin", [None, ""])
def test_without_an_admin_key_there_is_none(admin: str | None) -> None:
    assert len(_ring(admin=admin)) == 0


def test_a_rotated_key_and_its_successor_work_side_by_side_for_the_grace_period() -> None:
    key, secret = mint(
        "hr", pepper=PEPPER, now=NOW, label="x", only=Restrictions(use_cases=("a",), networks=("127.0.0.0/8",))
    )
    done = rotate(key, grace=60, pepper=PEPPER, now=NOW)
    ring = _ring(done.old, done.new)
    end = NOW + 60 * NANOS_PER_SECOND
    assert ring.identify(secret.encode(), HOME, end - 1).key == key.id
    assert ring.identify(done.secret.encode(), HOME, end).key == done.new.id
    _refused(ring, secret, now=end)
    assert done.old.successor == done.new.id
    for right in ("unit", "use_cases", "networks", "expires_at", "label"):
        assert getattr(done.new, right) == getattr(key, right)


def test_a_rotation_never_lengthens_a_life() -> None:
    key, _ = mint("hr", pepper=PEPPER, now=NOW, only=Restrictions(expires_at=NOW + 5))
    done = rotate(key, grace=3600, pepper=PEPPER, now=NOW)
    assert (done.old.expires_at, done.new.expires_at) == (NOW + 5, NOW + 5)


def test_an_ended_or_replaced_key_cannot_be_rotated() -> None:
    key, _ = mint("hr", pepper=PEPPER, now=NOW, only=Restrictions(expires_at=NOW + 5))
    replaced = rotate(key, grace=60, pepper=PEPPER, now=NOW).old
    for ended, now in [(revoke(key, now=NOW), NOW), (key, NOW + 5), (replaced, NOW)]:
        with pytest.raises(errors.Malformed, match=key.id):
            rotate(ended, grace=60, pepper=PEPPER, now=now)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "ten", "10.0.0.0/33", ""])
def test_a_network_that_makes_no_sense_is_refused(network: str) -> None:
    with pytest.raises(errors.Malformed, match="CIDR"):
        mint("hr", pepper=PEPPER, now=NOW, only=Restrictions(networks=(network,)))


def test_a_key_that_would_have_expired_already_is_refused() -> None:
    with pytest.raises(errors.Malformed):
        mint("hr", pepper=PEPPER, now=NOW, only=Restrictions(expires_at=NOW))


def test_two_keys_never_share_a_secret_or_an_id() -> None:
    minted = [mint("hr", pepper=PEPPER, now=NOW) for _ in range(100)]
    assert len({key.id for key, _ in minted}) == len({secret for _, secret in minted}) == 100
