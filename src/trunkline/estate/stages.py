"""The compiled estate and the stage types of a request's path.

    Asked (messages) -> Permitted -> Attempt

A `Permitted` is made by `policy.permit` alone, an `Attempt` only out of a `Permitted`, and sending takes nothing but
an `Attempt`: a request that policy has not seen cannot reach an upstream. `tests/rules` holds this against the code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

import msgspec

from trunkline.catalog.requests import Form
from trunkline.estate.claims import Attestation
from trunkline.estate.deployments import Pattern, Tolerance
from trunkline.estate.use_cases import Keeping, Parameters
from trunkline.messages import Asked, Operation, Usage
from trunkline.money import Nano, Pico
from trunkline.tenancy.callers import Caller
from trunkline.wire.origins import Origin, Times

SECONDS_PER_DAY: Final = 86_400
FIRST_WEEKDAY: Final = 3
"""1970 began on a Thursday."""


class UnitPrice(msgspec.Struct, frozen=True):
    """What one token of each kind costs, in the estate's currency, and the version of the price that says so.

    `known` is false where neither the estate nor the bundled price table has a price: the call counts as zero and
    says so. Of the `variants` that hold for a call, the last counts in place of these. `until` is when another price
    begins, in nanoseconds since 1970; 0 where none is known of. `stated` is where answers say what is billed: that
    counts before all of these, which are then held. `media` is what sound and pictures cost; None for as much as text.
    """

    input: Pico = Pico(0)
    output: Pico = Pico(0)
    cache_read: Pico = Pico(0)
    cache_write: Pico = Pico(0)
    version: str = ""
    known: bool = True
    cache_write_long: Pico = Pico(0)
    variants: tuple[Variant, ...] = ()
    until: int = 0
    stated: Stated | None = None
    media: MediaPrice | None = None


class MediaPrice(msgspec.Struct, frozen=True):
    """What one token of sound or of a picture costs: that of text where it has no price of its own."""

    input_audio: Pico = Pico(0)
    input_image: Pico = Pico(0)
    cached_audio: Pico = Pico(0)
    cached_image: Pico = Pico(0)
    output_audio: Pico = Pico(0)
    output_image: Pico = Pico(0)


class Stated(msgspec.Struct, frozen=True):
    """Where an answer states what it costs, and what one unit of that is worth in the estate's currency."""

    path: tuple[str, ...]
    worth: Decimal


class Variant(msgspec.Struct, frozen=True):
    """Other prices of the same version: for prompts of more than `above` tokens (-1: all), or at some hours.

    `begins` and `ends` are seconds of the day in UTC, None for all hours; hours may go over midnight. `weekdays` are
    the only ones on which it holds, Monday being 0, and `free` days on which it does not, counted from 1970, in UTC.
    """

    price: UnitPrice
    above: int = -1
    begins: int | None = None
    ends: int = 0
    weekdays: frozenset[int] | None = None
    free: frozenset[int] = frozenset()

    def holds(self, tokens: int, second: int) -> bool:
        """Whether it holds for a prompt of so many tokens, at that second since 1970."""
        if tokens <= self.above:
            return False
        day, second = divmod(second, SECONDS_PER_DAY)
        if self.weekdays is not None and ((day + FIRST_WEEKDAY) % 7 not in self.weekdays or day in self.free):
            return False
        if self.begins is None:
            return True
        if self.begins <= self.ends:
            return self.begins <= second < self.ends
        return second >= self.begins or second < self.ends


class Address(msgspec.Struct, frozen=True):
    """Where an engine that the exchange runs listens at the moment, and the key it takes."""

    url: str
    key: str


class Wanted(msgspec.Struct, frozen=True):
    """A token that boundaries want: of a cloud's own chain of credentials, for a scope."""

    chain: str
    scope: str


class Grant(msgspec.Struct, frozen=True):
    """Such a token as it stands: good until `expires`, in nanoseconds since 1970; or why there is none."""

    token: str = ""
    expires: int = 0
    why: str = ""

    def __repr__(self) -> str:
        return f"Grant(expires={self.expires}, why={self.why!r})"


class Signals(msgspec.Struct, frozen=True):
    """What a deployment's answers say beside the answer, compiled from what is known of its vendor.

    Attributes:
        retry_after: headers that say when to come back, each with the seconds of its unit.
        rates: headers that say what is left: of what, how much, and when it is whole again.
        request_ids: headers with its own id of a request; the first one counts.
        bills_on: whether a stream is billed to its end though its reader has hung up.
    """

    retry_after: tuple[tuple[bytes, float], ...] = ((b"retry-after", 1.0),)
    rates: tuple[tuple[str, bytes, bytes], ...] = ()
    request_ids: tuple[bytes, ...] = (b"x-request-id", b"request-id")
    bills_on: bool = False


class Endpoint(msgspec.Struct, frozen=True):
    """A deployment, compiled: all that is needed to call it.

    Attributes:
        base_path: what stands before the dialect's own paths, such as `/v1`; without a trailing slash.
        query: what stands behind the path, such as `?api-version=2024-10-21`.
        headers: ready header lines, each ended by CR LF: the host, and the credentials.
        output_bound: the most tokens one answer can have where the caller sets no limit.
        engine: whether the exchange runs it itself, so that missing may mean restarting.
        missing: why the deployment is not configured; empty when it can be called.
        operations: what its model can be asked to do; a model that nothing is known of is taken to do all.
        attested: what each of its answers must carry before a byte of it may reach the caller, by control.
        output_limit: the field of OpenAI's chat requests in which it takes the bound of an answer's tokens.
        renames: top-level fields of OpenAI's requests that it takes under another name, each with that.
        omits: those that are not sent to it.
        features: what its model can do; None where nothing is known of it.
        refuses: parameters of the neutral form that its model refuses.
        tools_prompt: tokens that its provider adds to a prompt with tools.
        counts: dialects beside its own in which it counts the tokens of a prompt.
        speaks: dialects beside its own whose callers pass through.
        tolerance: when it is left alone because it fails.
        retries: how often one call may be repeated there.
        throttle: by which signs fewer calls at once go there: `latency` and refusals, `refusals` alone, or `off`.
        signals: what its answers say beside the answer.
        probe: a path that tells free of charge whether it is there; empty where none is known.
        version: of the model, where the estate declares one beside its name.
        thoughts: the field of OpenAI's messages in which it takes thoughts of earlier turns; empty for none.
        tokeniser: its vocabulary's published name; None where there is none.
    """

    deployment: str
    pattern: Pattern
    boundary: str
    model: str
    upstream_model: str
    dialect: str
    origin: Origin
    base_path: str
    headers: bytes
    price: UnitPrice
    times: Times
    context_length: int | None = None
    output_bound: int = 16_384
    missing: str = ""
    operations: tuple[Operation, ...] = tuple(Operation)
    engine: bool = False
    attested: tuple[tuple[str, Attestation], ...] = ()
    output_limit: str = "max_tokens"
    renames: tuple[tuple[str, str], ...] = ()
    omits: tuple[str, ...] = ()
    features: frozenset[str] | None = None
    refuses: frozenset[str] = frozenset()
    counts: tuple[str, ...] = ()
    speaks: tuple[str, ...] = ()
    tolerance: Tolerance = Tolerance()
    retries: int = 1
    signals: Signals = Signals()
    tools_prompt: int = 0
    query: bytes = b""
    version: str = ""
    probe: str = ""
    tokeniser: str | None = None
    thoughts: str = ""
    throttle: str = "refusals"

    @property
    def exactly(self) -> str:
        """The model with its version, where the estate declares one."""
        return f"{self.model}@{self.version}" if self.version else self.model


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


class Arm(msgspec.Struct, frozen=True):
    """A model or deployment that a split gives calls to: those drawn below `upto`, and not below the arm before."""

    name: str
    upto: float


class Drawn(msgspec.Struct, frozen=True):
    """A split that holds: what stays with one arm, what makes its draws its own, and the arms."""

    by: str
    salt: str
    arms: tuple[Arm, ...]


class Copy(msgspec.Struct, frozen=True):
    """A shadow that holds: which share of calls is copied, how many at once, and what was decided of the copies."""

    name: str
    share: float
    at_once: int
    decision: Decision


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


class Offer(msgspec.Struct, frozen=True):
    """A use case as a caller meets it, or one of its direct models: one decision per data class it may be raised to.

    Attributes:
        decisions: over all deployments, whatever their models do, by data class.
        by_operation: the same over those that can do the operation; none of an operation that no deployment does.
    """

    name: str
    use_case: str
    data_class: str
    decisions: dict[str, Decision]
    by_operation: dict[Operation, dict[str, Decision]] = {}


class Gone(msgspec.Struct, frozen=True):
    """A use case that is retired, and what took its place."""

    owner: str
    successor: str | None = None


Narrow = Callable[[Decision, Caller, Asked], Decision]
"""Takes from a decision what operator rules refuse that look at the caller or the request."""


class Snapshot(msgspec.Struct, frozen=True):
    """The compiled estate: a request costs lookups.

    Attributes:
        version: names the estate's content.
        classes: data classes, loosest first.
        offers: for each unit, what it may name in `model`.
        cost_centres: for each unit.
        good_until: when the first claim in it expires or price changes, in nanoseconds since 1970; then it is to be
            compiled again.
        key_offers: for each key (or group) that an audience names, what that adds.
        owners: for each use case on offer, the unit to ask.
        direct: for each use case, the models that may be named by themselves under it.
        warnings: what the operator should know of this estate.
        retired: the use cases that are no longer on offer, by name.
        narrow: the operator rules that could not be decided ahead; None where there are none.
        stores: for each of the exchange's own stores and each data class, why content of it may not be held there.
        weights: of units that get more or less than others of what is short; one where none is given.
    """

    version: str
    currency: str
    root: str
    classes: tuple[str, ...]
    offers: dict[str, dict[str, Offer]]
    cost_centres: dict[str, str]
    endpoints: dict[str, Endpoint]
    good_until: int
    key_offers: dict[str, dict[str, Offer]] = {}
    owners: dict[str, str] = {}
    direct: dict[str, dict[str, Offer]] = {}
    warnings: tuple[str, ...] = ()
    retired: dict[str, Gone] = {}
    narrow: Narrow | None = None
    stores: dict[str, dict[str, tuple[Denial, ...]]] = {}
    weights: dict[str, int] = {}


class Rewrite(msgspec.Struct, frozen=True):
    """A field of the request that is sent with another value, or not at all.

    Attributes:
        value: the JSON to send; None leaves the field out.
        why: in a few words, for the ledger.
        deployments: where it is sent so; None for everywhere.
    """

    field: str
    value: bytes | None
    why: str
    deployments: frozenset[str] | None = None

    def holds_at(self, deployment: str) -> bool:
        """Whether it is sent so to this deployment."""
        return self.deployments is None or deployment in self.deployments

    def __str__(self) -> str:
        done = f"dropped {self.field}" if self.value is None else f"set {self.field}={self.value.decode()}"
        return f"{done} ({self.why})"


class Permitted(msgspec.Struct, frozen=True):
    """A request that policy allows, with the decision that says where it may go and what is sent otherwise."""

    caller: Caller
    asked: Asked
    decision: Decision
    note: str = ""
    rewrites: tuple[Rewrite, ...] = ()


class Attempt(msgspec.Struct, frozen=True):
    """One try at one allowed endpoint.

    Attributes:
        bound: the most tokens that it can use.
        hold: what they cost.
        reason: why this endpoint at this point, in words.
        times: how long it may take: the endpoint's, or less where the caller waits no longer.
        wait: seconds to let pass before it is sent.
    """

    permitted: Permitted
    endpoint: Endpoint
    number: int
    bound: Usage
    hold: Nano
    reason: str
    times: Times
    wait: float = 0.0
