"""Who answers at the other end: how a vendor is addressed, and what it publishes about its handling of data."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Final, Literal, get_args

import msgspec

from trunkline.catalog.controls import ControlValue
from trunkline.catalog.read import read_folder


class PublishedControl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a vendor's own pages say of one control by default, the worst case where they say several things.

    Attributes:
        value: of residency, `{region}` stands for the boundary's region, `{geography}` for the union or country that
            it lies in, `{data_zone}` for eu or us. Where that cannot be filled in, nothing is claimed.
        title: the page it was read on.
        quote: what the page says, in short.
        verified: the day it was read.
        expires: the last day on which it counts; pages drift, so each is read again within a year.
        sha256: of the page as it was read, where it was kept.
    """

    value: ControlValue
    title: str
    quote: str
    verified: date
    expires: date
    reference: str | None = None
    sha256: str | None = None


Published = dict[str, PublishedControl]


class RateHeaders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The response headers that say how much of a rate limit is left, and when it is whole again.

    `resets` holds a duration (`6m0s`, `20ms`), seconds, or a moment (RFC 3339).
    """

    of: Literal["tokens", "requests"]
    left: str
    resets: str | None = None


class Cancelling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a vendor goes on to bill a stream whose reader has hung up, and where this was read."""

    bills_on: bool
    title: str
    verified: date


class Stating(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a vendor's answers state what it bills for them, and where this was read.

    Attributes:
        field: of a whole answer and of a stream's last event, such as `usage.cost`.
        currency: of the amount.
    """

    field: str
    currency: str
    title: str
    verified: date


class Chained(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a vendor takes tokens of a cloud's own chain of credentials: for which scope, in which header line.

    `{key}` stands for the token. `title` is the page where this was read, on the day `verified`.
    """

    scope: str
    title: str
    verified: date
    auth: str = "authorization: Bearer {key}"


class ToolsPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The most tokens that a provider adds to a prompt where there are tools, and where it says so."""

    tokens: int
    title: str
    verified: date


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: Final = get_args(Weekday)


class PricedDays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On which days the list's prices by the hour hold, and where this was read. The list itself knows no days.

    Attributes:
        weekdays: the only ones, in UTC.
        free: days among them on which they do not hold, as far as they are known.
    """

    weekdays: tuple[Weekday, ...]
    title: str
    verified: date
    free: tuple[date, ...] = ()


class GivenBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which field of OpenAI's messages a vendor wants back what a model thought, and where this was read.

    `reasoning_content` goes with turns that call tools, be it empty; `reasoning_details` with every turn that has some.
    """

    field: Literal["reasoning_content", "reasoning_details"]
    title: str
    verified: date


class Vendor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel to models: the wire it speaks, where it stands, how it takes its key, what it publishes.

    The base address of a deployment is the first of: its own `url`, its boundary's `endpoint`, `base_url` here. An
    address without a path gets `endpoint_path`; one with a path is taken as it is; a trailing slash is dropped. So
    `http://10.0.0.7:8000` becomes `http://10.0.0.7:8000/v1`, and an Azure endpoint `https://NAME.openai.azure.com`
    becomes `https://NAME.openai.azure.com/openai/v1`.

    Attributes:
        dialect: the wire format it speaks, by its name in the registry of dialects.
        speaks: others that it speaks at the same address; callers of these pass through, too.
        base_url: its own address; `{region}` and `{project}` stand for the boundary's. None where every customer has
            an address of his own.
        endpoint_path: what an address without a path gets.
        dated_path: the same where the boundary's `api_version` is a date; `{model}` stands for the model's name there.
        version_query: the query that tells the boundary's `api_version`, `{version}` standing for it; None where the
            API has no versions to choose.
        auth: the header line that carries the key, `{key}` standing for it.
        chains: the clouds' own chains of credentials whose tokens it takes in place of a key, by name.
        headers: further header lines of every request.
        key_required: whether it answers nobody without a key.
        prices: its name in the bundled price table, or None where that has no prices for it.
        priced_days: when the prices by the hour of that table hold; None for every day.
        output_limit: the field of OpenAI's chat requests in which it takes the bound of an answer's tokens.
        counts: dialects beside its own in which it counts the tokens of a prompt.
        tools_prompt: what it adds to the prompt of a request with tools; None where it says nothing of it.
        renames: top-level fields of OpenAI's requests that it takes under another name.
        thoughts: how it takes thoughts of earlier turns in OpenAI's dialect; None where it takes none.
        omits: those that it refuses although its answers are the same without, such as `stream_options` where usage
            comes anyway.
        controls: what it publishes. A control that is absent is unknown and satisfies nothing.
        skus: what it publishes of each kind of deployment; goes before `controls`. Where there are any, a deployment
            can have no other SKU.
        modes: what it publishes of each retention mode; goes before both where the estate claims that mode.
        features: what it publishes where a request uses a feature; stands beside all of them.
        retry_after: the response headers that say when to come back, each with its unit; the first one counts.
        rate_headers: those that say how much is left.
        request_ids: the response headers with its own id of a request; the first one counts.
        stating: where its answers state what they cost: that is booked where the estate has no price of its own.
        probe: a path, from the root of its address, that tells free of charge whether it is there; empty where none is.
        cancelling: what hanging up on a stream does; where nothing is known, it ends the bill.
    """

    id: str
    name: str
    dialect: str = "openai"
    speaks: tuple[str, ...] = ()
    base_url: str | None = None
    endpoint_path: str = "/v1"
    dated_path: str | None = None
    version_query: str | None = None
    auth: str = "authorization: Bearer {key}"
    chains: dict[str, Chained] = {}
    headers: tuple[str, ...] = ()
    key_required: bool = True
    prices: str | None = None
    priced_days: PricedDays | None = None
    output_limit: str = "max_tokens"
    counts: tuple[str, ...] = ()
    tools_prompt: ToolsPrompt | None = None
    renames: dict[str, str] = {}
    thoughts: GivenBack | None = None
    omits: tuple[str, ...] = ()
    controls: Published = {}
    skus: dict[str, Published] = {}
    modes: dict[str, Published] = {}
    features: dict[str, Published] = {}
    retry_after: dict[str, Literal["seconds", "milliseconds"]] = msgspec.field(
        default_factory=lambda: {"retry-after": "seconds"}
    )
    rate_headers: tuple[RateHeaders, ...] = ()
    request_ids: tuple[str, ...] = ("x-request-id", "request-id")
    cancelling: Cancelling | None = None
    stating: Stating | None = None
    probe: str = ""


@cache
def load_vendors() -> dict[str, Vendor]:
    """Read the vendors that ship with the package, by id.

    Raises:
        Unstartable: a file of the installation is damaged.
    """
    return {vendor.id: vendor for vendor in read_folder("vendors", Vendor)}
