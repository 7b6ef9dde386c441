from __future__ import annotations

import pytest

from trunkline.cli.ledger_lines import in_words
from trunkline.metering.lines import Difference, Verified

ODD = Difference("account", "cost:1/team", "1", "2")


@pytest.mark.parametrize(
    ("verified", "said"),
    [
        (Verified(1, 1, 1, ()), "1 attempt, 1 line, 1 account: everything agrees"),
        (Verified(0, 2, 1_000, (ODD,)), "0 attempts, 2 lines, 1,000 accounts: 1 difference"),
        (Verified(1_234, 1, 1, (ODD, ODD)), "1,234 attempts, 1 line, 1 account: 2 differences"),
    ],
)
def test_what_was_compared_is_said_in_numbers_and_their_right_words(verified: Verified, said: str) -> None:
    assert in_words(verified) == said
