from __future__ import annotations

from enum import StrEnum

import msgspec


class Effect(StrEnum):
    """What a rule does to a deployment: refuse it where the rule is true, or everywhere but there."""

    DENY = "deny"
    ALLOW_ONLY = "allow_only"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator's rule beyond requirements: it can only take deployments away, never add one.

    `when` is an expression in CEL (Common Expression Language) over what stands in the guide. Where it cannot be
    worked out, the deployment is refused. `message` tells callers why.
    """

    when: str
    effect: Effect = Effect.DENY
    message: str | None = None
