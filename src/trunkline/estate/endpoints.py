"""Deployments as they are called, compiled, and what changes of them while the exchange runs."""

from __future__ import annotations

import msgspec

from trunkline.estate.claims import Attestation
from trunkline.estate.deployments import Pattern, Tolerance
from trunkline.estate.unit_prices import UnitPrice
from trunkline.messages import Operation
from trunkline.wire.origins import Origin, Times


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
