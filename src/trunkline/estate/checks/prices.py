from __future__ import annotations

from trunkline.config.faults import Faults
from trunkline.estate.declared import Declared


def check_prices(declared: Declared, faults: Faults) -> None:
    """A price in another currency needs an exchange rate; an internal rate needs a fixed price."""
    known = {declared.currency, *(rate.currency for rate in declared.exchange_rates)}
    for name, deployment in declared.deployments.items():
        price = deployment.price
        if price is None:
            continue
        path = ("deployments", name, "price")
        if price.currency is not None and price.currency not in known and declared.currency:
            line = f"{price.currency}: {{{declared.currency}: ...}}"
            message = f"{price.currency} has no exchange rate; add `{line}` to exchange_rates"
            faults.add(declared.place(*path, "currency"), message)
        fixed = price.per_hour is not None or price.people_per_month is not None
        by_token = price.input_mtok is not None or price.output_mtok is not None
        if price.internal_rate is not None and by_token:
            message = "the deployment has prices per token already; an internal rate stands beside a fixed price"
            faults.add(declared.place(*path, "internal_rate"), message)
        elif price.internal_rate is not None and not fixed:
            message = "an internal rate shares out a fixed price; add per_hour or people_per_month"
            faults.add(declared.place(*path, "internal_rate"), message)
