from __future__ import annotations

from trunkline.config.faults import Faults, suggestion
from trunkline.estate.currencies import CURRENCIES, is_known
from trunkline.estate.declared import Declared


def check_currencies(declared: Declared, faults: Faults) -> None:
    """Every currency that is named is one."""
    _check(declared, faults, declared.currency, "currency")
    for foreign in declared.names("exchange_rates"):
        _check(declared, faults, foreign, "exchange_rates", foreign, name=True)
    for name, deployment in declared.deployments.items():
        if deployment.price is not None and deployment.price.currency is not None:
            _check(declared, faults, deployment.price.currency, "deployments", name, "price", "currency")


def _check(declared: Declared, faults: Faults, currency: str, *path: str, name: bool = False) -> None:
    if currency and not is_known(currency):
        hint = suggestion(currency, CURRENCIES)
        message = f"{currency} is no currency of ISO 4217{hint}; one of your own begins with X, such as XTK"
        faults.add(declared.place_of_name(*path) if name else declared.place(*path), message)
