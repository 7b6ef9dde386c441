from __future__ import annotations

from typing import Literal

import msgspec

from trunkline.estate.names import UnitName

Event = Literal["budget.threshold", "budget.overrun", "budget.frozen"]


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address that is told what happens to budgets: each event once, signed, again and again until it is taken.

    `url` and `secret` are references, such as `env:NAME` or `file:PATH`. With `secret` each message is signed, in the
    way of Standard Webhooks: `whsec_` and base64, or any text of 24 characters or more. `events` are those that it is
    told of, all where none is named: `budget.threshold` (one of `warn_at` is passed), `budget.overrun` (a deployment
    billed more than its call could use), `budget.frozen` (money is held by a worker that is gone). With `units`, only
    what concerns these units and those below them is told.
    """

    url: str
    secret: str
    events: tuple[Event, ...] = ()
    units: tuple[UnitName, ...] = ()
