"""The ledger's lines: each moves an amount from one account to another, so that debits equal credits by form."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Kind(IntEnum):
    """Why an amount moves. The number is what the store keeps."""

    HOLD = 1  # an attempt begins: the most that it can cost is set aside
    RELEASE = 2  # it has ended: what was set aside is free again
    SETTLE = 3  # what it cost, up to its hold
    OVERRUN = 4  # what it cost beyond its hold
    ADJUST = 5  # a correction, by somebody, for a reason
    TRANSFER = 7  # from one unit to another

    @property
    def word(self) -> str:
        """The kind in a word, as it is shown."""
        return self.name.lower()


class LineRow(msgspec.Struct, frozen=True):
    """A line as the ledger holds it. `amount` is never negative, in billionths of the currency.

    Attributes:
        debit: the account that takes: `cost:CENTRE/UNIT` where a unit pays, `held:CENTRE/UNIT` where it sets aside.
        credit: the account that gives: `owed:BOUNDARY` is what must be paid there, `reserved:BOUNDARY` what may be.
        reason: the status that an attempt ended with, or what somebody gave as the reason of a correction.
        by: who corrected; None where nobody did.
    """

    request: str
    attempt: int
    number: int
    at: int
    kind: Kind
    debit: str
    credit: str
    amount: int
    currency: str
    price_version: str
    reason: str
    by: str | None


class Adjustment(msgspec.Struct, frozen=True):
    """A correction of what a settled attempt costs: by how much, up or down, in billionths of its currency."""

    request: str
    attempt: int
    amount: int
    reason: str
    by: str


class Decision(msgspec.Struct, frozen=True):
    """What somebody decided about a budget: its line moves an amount between accounts of the budget's own.

    Attributes:
        budget: the allowance; its name ends with the currency.
        taker: the account that takes: `budget` where more may be spent, `lost` where something counts as spent.
        giver: the account that gives: `raised` by an increase, `frozen` with a lease.
        by: who decided.
    """

    budget: str
    taker: str
    giver: str
    amount: int
    at: int
    reason: str
    by: str


class Difference(msgspec.Struct, frozen=True):
    """Where what is kept ready differs from what the lines say.

    Attributes:
        where: what is wrong: `attempt`, `account`, `roll-up`, `call`, `allowance`, `lease`.
        which: which of them.
        kept: what stands there.
        rebuilt: what should.
    """

    where: str
    which: str
    kept: str
    rebuilt: str


class Verified(msgspec.Struct, frozen=True):
    """What was compared, and the first differences that were found."""

    attempts: int
    lines: int
    accounts: int
    differences: tuple[Difference, ...]
