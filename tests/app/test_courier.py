from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.app.courier import FIRST_WAIT, LONGEST_WAIT, Unsent, find_post, sign, wait_after
from trunkline.config.environment import Environment
from trunkline.estate.webhooks import Webhook
from trunkline.wire.client import Origin

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = Webhook(url="env:URL", secret="env:SECRET")


def around(url: str = "https://hooks.example.com/in?a=b", secret: str = SECRET) -> Environment:
    return Environment(Path(), {"URL": url, "SECRET": secret})


def test_messages_are_signed_as_the_specification_of_standard_webhooks_signs_its_example() -> None:
    key = find_post(HOOK, around()).secret
    signed = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_query_of_an_address_goes_with_it() -> None:
    post = find_post(HOOK, around())
    assert (post.origin, post.host) == (Origin("hooks.example.com", 443, tls=True), "hooks.example.com")
    assert post.target == "/in?a=b"
    assert "hooks" not in repr(post)


def test_waits_grow_to_an_hour() -> None:
    waits = [wait_after(tries) for tries in range(1, 100)]
    assert 0.75 * FIRST_WAIT <= waits[0] <= 1.25 * FIRST_WAIT
    assert 6 * FIRST_WAIT <= waits[3] <= 10 * FIRST_WAIT
    assert max(waits) <= 1.25 * LONGEST_WAIT


@pytest.mark.parametrize(
    ("url", "secret", "said"),
    [
        ("", SECRET, "`url`: the variable URL is empty"),
        ("ftp://hooks.example.com", SECRET, "no http or https URL"),
        ("https://ada:pass@hooks.example.com", SECRET, "without a user name"),
        ("https://hooks.example.com:port", SECRET, "no URL"),
        ("https://hooks.example.com/ü", SECRET, "cannot stand in a URL"),
        ("https://hooks.example.com", "short", "shorter than 24"),
        ("https://hooks.example.com", "whsec_c2hvcnQ=", "base64 of 24 bytes"),
        ("https://hooks.example.com", "whsec_?", "base64 of 24 bytes"),
    ],
)
def test_what_cannot_be_used_is_told_without_repeating_it(url: str, secret: str, said: str) -> None:
    with pytest.raises(Unsent, match=said) as fault:
        find_post(HOOK, around(url, secret))
    for hidden in ("hooks", "pass", "c2hvcnQ"):
        assert hidden not in str(fault.value)
