"""How a deployment is reached: engine, address and credentials."""

from __future__ import annotations

from urllib.parse import urlsplit

from trunkline.config.environment import fault_in, kind_of_reference
from trunkline.config.faults import Faults
from trunkline.estate.declared import Declared
from trunkline.estate.deployments import Deployment, Pattern

BUILTIN = "builtin"


def check_reach(declared: Declared, faults: Faults) -> None:
    """Engine or address, never both; secrets only by reference."""
    for name, boundary in declared.boundaries.items():
        check_credentials(declared, faults, ("boundaries", name), boundary.credentials)
        check_address(declared, faults, ("boundaries", name, "endpoint"), boundary.endpoint)
    for name, deployment in declared.deployments.items():
        check_credentials(declared, faults, ("deployments", name), deployment.credentials)
        check_address(declared, faults, ("deployments", name, "url"), deployment.url)
        _check_engine(declared, faults, name, deployment)


def check_credentials(declared: Declared, faults: Faults, path: tuple[str, ...], credentials: str | None) -> None:
    """Credentials are a reference of good form, or the secret itself, of which a notice warns."""
    fault = fault_in(credentials) if credentials is not None else None
    if fault is not None:
        faults.add(declared.place(*path, "credentials"), f"credentials {fault}")


def check_address(declared: Declared, faults: Faults, path: tuple[str, ...], address: str | None) -> None:
    """An address is a reference or a plain http or https URL. A fault never repeats it: it may hold a secret."""
    if address is None:
        return
    fault = fault_in(address)
    kind = kind_of_reference(address)
    if kind == "chain":
        fault = "wants an address, not credentials"
    elif kind == "literal":
        fault = _fault_in_url(address)
    if fault is not None:
        faults.add(declared.place(*path), f"{path[-1]} {fault}")


def _fault_in_url(address: str) -> str | None:
    example = "such as https://models.example.com/v1"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return f"is no URL; write one {example}, or env:NAME"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return f"wants an http or https URL {example}, or env:NAME"
    if any(letter.isspace() or not letter.isprintable() for letter in address):
        return f"holds a blank or a control character; write a URL {example}"
    if parts.username is not None or parts.password is not None:
        return "holds a name or password; put it in the environment and write `credentials: env:NAME`"
    if parts.query or parts.fragment:
        return "ends in a query or fragment; write only what stands before it"
    return None


def _check_engine(declared: Declared, faults: Faults, name: str, deployment: Deployment) -> None:
    path = ("deployments", name)
    engine = deployment.engine
    if engine is None:
        boundary = declared.boundaries.get(deployment.boundary)
        if (
            deployment.pattern is Pattern.SELF_MANAGED
            and deployment.url is None
            and boundary is not None
            and boundary.endpoint is None
        ):
            message = f'self-managed deployment "{name}" has no engine and no url; give it one of them'
            faults.add(declared.place_of_name(*path), message)
        return
    if deployment.url is not None:
        message = "an engine has an address of its own; take out engine or url"
        faults.add(declared.place(*path, "url"), message)
    if deployment.pattern is not Pattern.SELF_MANAGED:
        message = f"the exchange runs the engine itself, so the pattern is self_managed, not {deployment.pattern}"
        faults.add(declared.place(*path, "pattern"), message)
    if engine.weights == BUILTIN and engine.sha256 is not None:
        faults.add(declared.place(*path, "engine", "sha256"), "builtin weights need no sha256; take it out")
    if engine.weights != BUILTIN and engine.sha256 is None:
        message = "weights of your own need their sha256, so that no other file is ever run in their place"
        faults.add(declared.place(*path, "engine", "weights"), message)
