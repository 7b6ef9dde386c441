"""How each deployment is reached: address, key, dialect, bounds; or why it is not configured."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from trunkline.catalog.profile import ABILITIES, Profile
from trunkline.catalog.vendor import Vendor
from trunkline.config.environment import kind_of_reference
from trunkline.estate.boundaries import Boundary
from trunkline.estate.claims import Attestation, Basis
from trunkline.estate.deployments import Deployment, Pattern
from trunkline.estate.endpoints import Endpoint, Grant, Signals, Wanted
from trunkline.estate.estate import Estate
from trunkline.estate.unit_prices import UnitPrice
from trunkline.messages import Operation
from trunkline.policy.surroundings import Surroundings
from trunkline.wire.origins import Origin, Times

PORTS = {"http": 80, "https": 443}
STRANGER = Vendor(id="", name="", key_required=False)
"""A provider that the catalogue does not know is taken to speak as most do."""
DEFAULT_OUTPUT_BOUND = 16_384
ENGINE_COUNTS = ("anthropic",)
"""In which dialects llama.cpp's server counts tokens (its README, "POST /v1/messages/count_tokens")."""
OWN_CAPACITY = frozenset({Pattern.SELF_MANAGED, Pattern.CLOUD_PRIVATE})
"""Where nobody else's calls wait: what slows a deployment down is the calls that are sent there."""
NOWHERE = Origin("", 0, tls=False)
UNPRICED = UnitPrice(version="unknown: no price was handed in", known=False)
"""What stands for the price of a deployment that nobody looked one up for."""
NOT_YET = Grant(why="its token is fetched while the exchange runs")


class NotConfigured(Exception):
    """Why a deployment cannot be called; never leaves this module."""


class Place(msgspec.Struct, frozen=True):
    """Where a deployment listens, in the parts that a connection needs, and the header lines that it wants."""

    origin: Origin = NOWHERE
    base_path: str = ""
    query: bytes = b""
    headers: bytes = b""

    @property
    def host_line(self) -> bytes:
        """The Host header, which names the port only where it is not the scheme's own (RFC 9110 section 7.2)."""
        origin = self.origin
        usual = PORTS["https" if origin.tls else "http"]
        host = origin.authority.removesuffix(f":{usual}") if origin.port == usual else origin.authority
        return b"host: %b\r\n" % host.encode("ascii")


def reach(estate: Estate, surroundings: Surroundings) -> dict[str, Endpoint]:
    """Return every deployment as an endpoint; one that cannot be called says why in `missing`."""
    return {name: _reach_one(estate, name, surroundings) for name in estate.deployments}


def _reach_one(estate: Estate, name: str, surroundings: Surroundings) -> Endpoint:
    deployment = estate.deployments[name]
    boundary = estate.boundaries[deployment.boundary]
    vendor = surroundings.vendors.get(boundary.provider, STRANGER)
    profile = surroundings.profiles.get(deployment.model)
    dialect = deployment.dialect or vendor.dialect
    place, missing = Place(), ""
    try:
        _check_dialect(dialect, surroundings)
        if deployment.engine is not None:
            place = _reach_engine(name, surroundings)
        else:
            place = _reach_remote(deployment, boundary, vendor, surroundings)
    except NotConfigured as why:
        missing = str(why)
    times = deployment.timeouts
    context_length = _context_length(deployment, profile)
    return Endpoint(
        deployment=name,
        pattern=deployment.pattern,
        boundary=deployment.boundary,
        model=deployment.model,
        upstream_model=_upstream_model(deployment),
        dialect=dialect,
        origin=place.origin,
        base_path=place.base_path,
        headers=place.headers,
        price=surroundings.prices.get(name, UNPRICED),
        times=Times(times.connect, times.first_byte, times.between, times.total),
        context_length=context_length,
        output_bound=_output_bound(profile, context_length),
        missing=missing,
        operations=_operations(deployment, profile),
        engine=deployment.engine is not None and surroundings.engines,
        attested=_attested(deployment),
        output_limit=vendor.output_limit,
        renames=tuple(vendor.renames.items()),
        omits=vendor.omits,
        features=_features(deployment, profile),
        refuses=frozenset(profile.refuses) if profile else frozenset(),
        counts=_counts(deployment, vendor),
        # Who names a dialect means that one alone.
        speaks=vendor.speaks if deployment.engine is None and deployment.dialect is None else (),
        tolerance=deployment.tolerance,
        throttle=deployment.throttle or ("latency" if deployment.pattern in OWN_CAPACITY else "refusals"),
        retries=deployment.retries,
        signals=_signals(vendor),
        tools_prompt=vendor.tools_prompt.tokens if vendor.tools_prompt else 0,
        query=place.query,
        version=deployment.version or "",
        probe=_probe(deployment, vendor),
        thoughts=vendor.thoughts.field if vendor.thoughts else "",
        tokeniser=profile.tokeniser.name if profile and profile.tokeniser else None,
    )


def _counts(deployment: Deployment, vendor: Vendor) -> tuple[str, ...]:
    """In which dialects beside its own it counts. Who names a dialect means that one alone."""
    if deployment.engine is not None:
        return ENGINE_COUNTS
    return tuple(one for one in vendor.counts if deployment.dialect in (None, one))


def _probe(deployment: Deployment, vendor: Vendor) -> str:
    """Where to knock; an engine of the exchange's own is watched by who runs it."""
    if deployment.probe is not None:
        return "" if deployment.probe == "off" else deployment.probe
    return vendor.probe if deployment.engine is None else ""


def _check_dialect(dialect: str, surroundings: Surroundings) -> None:
    if dialect not in surroundings.dialects:
        raise NotConfigured(f"this version does not speak the dialect {dialect!r} upstream")


def _reach_engine(name: str, surroundings: Surroundings) -> Place:
    address = surroundings.addresses.get(name)
    if address is None and not surroundings.engines:
        raise NotConfigured("this exchange runs no engines")
    if address is None:
        raise NotConfigured("its engine is starting")
    place = _place(address.url, STRANGER.endpoint_path, "the engine's address")
    return _with_headers(place, _header(STRANGER.auth, address.key, "its key"))


def _reach_remote(deployment: Deployment, boundary: Boundary, vendor: Vendor, surroundings: Surroundings) -> Place:
    path = _path(deployment, boundary, vendor)
    if deployment.url is not None:
        place = _place(_resolve(deployment.url, "url", surroundings), path, "its url")
    elif boundary.endpoint is not None:
        what = f"endpoint of boundary {deployment.boundary}"
        place = _place(_resolve(boundary.endpoint, what, surroundings), path, f"the {what}")
    elif vendor is STRANGER:
        raise NotConfigured(f"the catalogue has no provider {boundary.provider!r}; give the deployment a `url`")
    elif vendor.base_url is None:
        raise NotConfigured(f"{vendor.name} has no address of its own; give the boundary an `endpoint` or a `url` here")
    else:
        place = _place(_fill(vendor.base_url, deployment.boundary, boundary), path, f"the address of {vendor.name}")
    credentials = _credentials(deployment, boundary, vendor, surroundings)
    place = msgspec.structs.replace(place, query=_query(deployment.boundary, boundary, vendor))
    return _with_headers(place, credentials, *(_line(one) for one in vendor.headers))


def _path(deployment: Deployment, boundary: Boundary, vendor: Vendor) -> str:
    """What an address without a path gets."""
    if vendor.dated_path is None or boundary.api_version is None or not boundary.api_version[0].isdigit():
        return vendor.endpoint_path
    return vendor.dated_path.replace("{model}", quote(_upstream_model(deployment), safe=""))


def _query(name: str, boundary: Boundary, vendor: Vendor) -> bytes:
    if boundary.api_version is None:
        return b""
    if vendor.version_query is None:
        raise NotConfigured(
            f"boundary {name} has an `api_version`, but the API of {boundary.provider} has none to choose; take it out"
        )
    return b"?" + vendor.version_query.replace("{version}", boundary.api_version).encode("ascii")


def _upstream_model(deployment: Deployment) -> str:
    return deployment.upstream_model or deployment.model.partition("/")[2] or deployment.model


def _credentials(deployment: Deployment, boundary: Boundary, vendor: Vendor, surroundings: Surroundings) -> bytes:
    reference = deployment.credentials or boundary.credentials
    if reference is None:
        if vendor.key_required and deployment.url is None:
            raise NotConfigured(f"boundary {deployment.boundary} has no `credentials`")
        return b""
    if kind_of_reference(reference) == "chain":
        return _granted(reference, boundary, vendor, surroundings)
    key = _resolve(reference, "credentials", surroundings)
    return _header(vendor.auth, key, "its key")


def _granted(chain: str, boundary: Boundary, vendor: Vendor, surroundings: Surroundings) -> bytes:
    """The header line with the token of a cloud's own chain of credentials."""
    taken = vendor.chains.get(chain)
    if taken is None:
        raise NotConfigured(f"{chain}: {vendor.name or boundary.provider} takes no tokens of it in this version")
    grant = surroundings.grants.get(Wanted(chain, taken.scope), NOT_YET)
    if not grant.token:
        raise NotConfigured(f"{chain}: {grant.why}")
    return _header(taken.auth, grant.token, "its token")


def wanted_grants(estate: Estate, vendors: Mapping[str, Vendor]) -> frozenset[Wanted]:
    """Return the tokens of clouds' own chains of credentials that the estate's deployments want."""
    found = set()
    for deployment in estate.deployments.values():
        boundary = estate.boundaries[deployment.boundary]
        vendor, reference = vendors.get(boundary.provider, STRANGER), deployment.credentials or boundary.credentials
        if reference in vendor.chains and deployment.engine is None:
            found.add(Wanted(reference, vendor.chains[reference].scope))
    return frozenset(found)


def _resolve(reference: str, what: str, surroundings: Surroundings) -> str:
    value, why = surroundings.resolve(reference)
    if value is None or not value.strip():
        raise NotConfigured(f"{what}: {why or 'empty'}")
    return value.strip()


def _fill(base_url: str, name: str, boundary: Boundary) -> str:
    filled = base_url
    for field, value in (("region", boundary.region), ("project", boundary.project)):
        if "{" + field + "}" in filled:
            if value is None:
                raise NotConfigured(f"boundary {name} has no `{field}`")
            filled = filled.replace("{" + field + "}", value)
    return filled


def _place(url: str, path: str, what: str) -> Place:
    """Take a base URL apart. The message of a fault never repeats the URL: it may hold a secret."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise NotConfigured(f"{what} is no URL: {fault}") from fault
    if parts.scheme not in PORTS or not parts.hostname:
        raise NotConfigured(f"{what} must be an http or https URL with a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise NotConfigured(f"{what} must have no user name, query or fragment")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise NotConfigured(f"{what} holds characters that cannot stand in a URL; write them percent-encoded")
    return Place(
        origin=Origin(parts.hostname, PORTS[parts.scheme] if port is None else port, parts.scheme == "https"),
        base_path=parts.path.rstrip("/") or path,
    )


def _header(template: str, key: str, what: str) -> bytes:
    if not key.isascii() or not key.isprintable():
        raise NotConfigured(f"{what} holds characters that cannot stand in a header")
    return _line(template.format(key=key))


def _line(text: str) -> bytes:
    return text.encode("ascii") + b"\r\n"


def _with_headers(place: Place, *lines: bytes) -> Place:
    return msgspec.structs.replace(place, headers=b"".join((place.host_line, *lines)))


def _operations(deployment: Deployment, profile: Profile | None) -> tuple[Operation, ...]:
    declared = tuple(operation for operation in Operation if operation.value in deployment.capabilities)
    if declared:
        return declared
    return profile.operations if profile else tuple(Operation)


def _features(deployment: Deployment, profile: Profile | None) -> frozenset[str] | None:
    """What the model can do as the catalogue says, and what the estate declares beside it."""
    declared = ABILITIES.intersection(deployment.capabilities)
    if profile is None or not profile.features:
        return frozenset(declared) or None
    return declared.union(profile.features)


def _signals(vendor: Vendor) -> Signals:
    units = {"seconds": 1.0, "milliseconds": 0.001}
    return Signals(
        retry_after=tuple((name.lower().encode(), units[unit]) for name, unit in vendor.retry_after.items()),
        rates=tuple(
            (one.of, one.left.lower().encode(), (one.resets or "").lower().encode()) for one in vendor.rate_headers
        ),
        request_ids=tuple(name.lower().encode() for name in vendor.request_ids),
        bills_on=vendor.cancelling is not None and vendor.cancelling.bills_on,
    )


def _attested(deployment: Deployment) -> tuple[tuple[str, Attestation], ...]:
    return tuple(
        (control, claim.attestation)
        for control, claim in deployment.controls.items()
        if claim.basis is Basis.ATTESTED_PER_RESPONSE and claim.attestation is not None
    )


def _context_length(deployment: Deployment, profile: Profile | None) -> int | None:
    if deployment.context_length is not None:
        return deployment.context_length
    known = [profile.context_length] if profile and profile.context_length is not None else []
    if deployment.engine is not None:
        known.append(deployment.engine.context)
    return min(known, default=None)


def _output_bound(profile: Profile | None, context_length: int | None) -> int:
    bound = profile.output_bound if profile and profile.output_bound is not None else None
    known = [limit for limit in (bound, context_length) if limit is not None]
    if bound is None:
        known.append(DEFAULT_OUTPUT_BOUND)
    return min(known)
