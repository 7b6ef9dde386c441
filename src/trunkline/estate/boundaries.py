from __future__ import annotations

from typing import Annotated

import msgspec

from trunkline.estate.names import Count, ModelName, UnitName


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens and requests per minute."""

    tpm: Count | None = None
    rpm: Count | None = None


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the provider allows in this boundary: tokens and requests per minute.

    `tpm` and `rpm` bind all that is sent there, `models` each what is sent to one model there. A provider that counts
    by region has a boundary for each region.

    A quota is used evenly: no more than `burst` seconds' worth of it goes at once, and then as much as a second allows.
    Without it, that is a second's worth of requests, at least ten of them, and ten seconds' worth of tokens; 60 means
    that all of a minute may go at once.
    """

    tpm: Count | None = None
    rpm: Count | None = None
    models: dict[ModelName, Rates] = {}
    burst: Annotated[int, msgspec.Meta(ge=1, le=60)] | None = None


class Boundary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A billing boundary: account, subscription, project or cluster, with its credentials and quotas.

    `api_version` is for providers whose API comes in versions, such as Azure OpenAI: a date (`2024-10-21`) calls
    deployments by their names in the path, a word (`preview`) the undated API.
    """

    provider: str
    owner: UnitName
    account: str | None = None
    subscription: str | None = None
    project: str | None = None
    cluster: str | None = None
    region: str | None = None
    endpoint: str | None = None
    api_version: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]+$", max_length=40)] | None = None
    credentials: str | None = None
    quota: Quota | None = None
