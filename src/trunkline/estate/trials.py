"""What a use case tries out: calls shared out among models or deployments, and copies of calls."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from trunkline.estate.names import Count, DeploymentName, Moment


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Shares calls out among models or deployments of the use case's pools, each with its weight.

    `by` says what stays with one of them: a `session` (calls without one are drawn singly), a `key`, an
    `end_customer`, or each `call` by itself. It holds `from` a moment `until` another; a date alone means from the
    beginning of that day, and to its end. Of several, the first that holds counts.
    """

    shares: Annotated[dict[str, Count], msgspec.Meta(min_length=1)]
    by: Literal["session", "key", "end_customer", "call"] = "session"
    from_: Moment | None = None
    until: Moment | None = None


class Shadow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Sends a copy of a share of the calls to one more deployment, once they are answered; nobody sees its answers.

    Policy decides on the copy as on any attempt. It is paid by the use case's owner. No more than `at_once` copies are
    under way in one process: further ones are left out.
    """

    to: DeploymentName
    share: Annotated[float, msgspec.Meta(gt=0, le=1)]
    at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    from_: Moment | None = None
    until: Moment | None = None
