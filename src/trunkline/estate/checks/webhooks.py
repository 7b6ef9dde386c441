from __future__ import annotations

from trunkline.config.environment import fault_in, kind_of_reference
from trunkline.config.faults import Faults
from trunkline.estate.checks.reach import check_address
from trunkline.estate.declared import Declared


def check_webhooks(declared: Declared, faults: Faults) -> None:
    """A webhook has an address and a secret of good form. Neither is ever repeated: both may be secrets."""
    for name, webhook in declared.webhooks.items():
        path = ("webhooks", name)
        if kind_of_reference(webhook.url) == "literal" and "?" in webhook.url:
            message = "url has a query, which may hold a secret; put the whole of it into the environment: env:NAME"
            faults.add(declared.place(*path, "url"), message)
        else:
            check_address(declared, faults, (*path, "url"), webhook.url)
        kind, fault = kind_of_reference(webhook.secret), fault_in(webhook.secret)
        if kind == "chain":
            fault = "wants a text to sign with, such as env:NAME"
        if fault is not None:
            faults.add(declared.place(*path, "secret"), f"secret {fault}")
