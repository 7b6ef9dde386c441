"""What policy decided for a use case under a data class: where its calls may go, and why nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trunkline.catalog.requests import Form
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.use_cases import Keeping, Parameters


class Decision(msgspec.Struct, frozen=True):
    """What policy decided for one use case under one data class.

    Attributes:
        tiers: where a call may go: of the allowed and configured endpoints those of its models, in the order of the use
            case's pools and their tiers.
        allowed: all that are allowed and configured, whatever their models; the tiers where nothing else is said.
        denials: the deployments that policy refuses.
        unconfigured: the deployments that policy allows but that cannot be called.
        version: the use case's; empty where it has none.
        warning: what callers are told beside each answer; empty when there is nothing to say.
        deprecated: since when the use case is deprecated, in nanoseconds since 1970; None when it is not.
        sunset: when the use case ends, in nanoseconds since 1970.
        successor: of a deprecated use case, what to use instead.
        parameters: what the use case lets a request ask for.
        features: for each deployment in it, the features that a request must not use there, each with its denial.
        watched: by dialect and operation, which requests have to be examined; None where none has.
        stores: the exchange's own stores that may hold content of this class.
        drops_uncarried: whether what a deployment of another dialect cannot carry is left out, with a warning.
        pools: by deployment, the pool it stands in first; in the order of pools and tiers.
        min_healthy: by pool, the share of it that must be in good health for health to leave any out.
        substitutes: the models that may stand in for the first one; None where each further pool's own may.
        weights: by deployment, its weight among its tier's, where the tier declares some.
        keeps: who keeps answers that a conversation goes on from; None where nobody does.
        unkept: why the exchange may keep none of this class.
        drawn: how calls are shared out among the branches; None where they are not.
        branches: by arm of a split, what is decided of a call that is drawn for it.
        arm: the model or deployment that this branch is for.
        trial: the split and arm, or the shadow, that an attempt belongs to, for the ledger.
        copies: the shadows.
        refused: the shadows that policy lets have no calls, each with why.
        priority: where capacity is short, the greater goes first: 0 is low, 1 normal, 2 high.
        wait: seconds that a call waits at most for room.
        named: use case, version and data class, for the ledger; made from the rest.
        counted: how many deployments are allowed and how many not, for the ledger; made from the rest.
    """

    use_case: str
    owner: str
    data_class: str
    tiers: tuple[tuple[Endpoint, ...], ...]
    denials: tuple[Denial, ...] = ()
    unconfigured: tuple[Endpoint, ...] = ()
    instructions: str | None = None
    version: str = ""
    warning: str = ""
    deprecated: int | None = None
    sunset: int | None = None
    successor: str | None = None
    parameters: Parameters | None = None
    features: dict[str, dict[str, Denial]] = {}
    watched: dict[tuple[str, str], Watch] | None = None
    stores: frozenset[str] = frozenset()
    drops_uncarried: bool = False
    weights: dict[str, int] = {}
    keeps: Keeping | None = None
    unkept: tuple[Denial, ...] = ()
    allowed: tuple[tuple[Endpoint, ...], ...] = ()
    pools: dict[str, str] = {}
    substitutes: tuple[str, ...] | None = None
    min_healthy: dict[str, float] = {}
    drawn: Drawn | None = None
    branches: dict[str, Decision] = {}
    arm: str = ""
    trial: str = ""
    copies: tuple[Copy, ...] = ()
    refused: dict[str, Denial] = {}
    priority: int = 1
    wait: float = 5.0
    named: str = ""
    counted: str = ""

    def __post_init__(self) -> None:
        name = f"{self.use_case} {self.version}" if self.version else self.use_case
        refused = len({denial.deployment for denial in self.denials})
        allowed = self.allowed or self.tiers
        counted = f"{sum(map(len, allowed))} allowed, {refused} refused"
        if self.unconfigured:
            counted += f", {len(self.unconfigured)} not configured"
        if apart := sum(map(len, allowed)) - sum(map(len, self.tiers)):
            counted += f", {apart} of another model"
        if self.trial:
            counted += f"; {self.trial}"
        msgspec.structs.force_setattr(self, "allowed", allowed)
        msgspec.structs.force_setattr(self, "named", f"{name} as {self.data_class}")
        msgspec.structs.force_setattr(self, "counted", counted)

    @property
    def endpoints(self) -> Iterator[Endpoint]:
        """All endpoints that a call may go to, in order."""
        for tier in self.tiers:
            yield from tier

    @property
    def all_allowed(self) -> Iterator[Endpoint]:
        """All that are allowed and configured, whatever their models."""
        for tier in self.allowed:
            yield from tier

    def may_keep(self, *stores: str) -> bool:
        """Whether content of this class may be written to all of these stores of the exchange's own."""
        return self.stores.issuperset(stores)


class Denial(msgspec.Struct, frozen=True):
    """Why policy refuses a deployment: the rule, the claim it was held against, and the claim's source and date.

    A deployment that breaks several rules has a denial for each, in the order of the rules.
    """

    deployment: str
    rule: str
    claim: str


class Watch(msgspec.Struct, frozen=True):
    """Which requests of one dialect have to be examined beyond the lookup, and which not.

    Attributes:
        form: what is known of such requests.
        fields: top-level fields that may use a feature which the class does not allow everywhere.
        prompt: the field with the messages, where pieces of them may use such a feature; else empty.
        always: whether every request is examined, for what it leaves out or because the use case limits parameters.
        marks: what stands in messages wherever there may be such pieces.
    """

    form: Form
    fields: frozenset[str] = frozenset()
    prompt: str = ""
    always: bool = False
    marks: tuple[bytes, ...] = ()


class Drawn(msgspec.Struct, frozen=True):
    """A split that holds: what stays with one arm, what makes its draws its own, and the arms."""

    by: str
    salt: str
    arms: tuple[Arm, ...]


class Arm(msgspec.Struct, frozen=True):
    """A model or deployment that a split gives calls to: those drawn below `upto`, and not below the arm before."""

    name: str
    upto: float


class Copy(msgspec.Struct, frozen=True):
    """A shadow that holds: which share of calls is copied, how many at once, and what was decided of the copies."""

    name: str
    share: float
    at_once: int
    decision: Decision
