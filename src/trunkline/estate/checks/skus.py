from __future__ import annotations

from trunkline.catalog.vendor import load_vendors
from trunkline.config.faults import Faults, suggestion
from trunkline.estate.declared import Declared


def check_skus(declared: Declared, faults: Faults) -> None:
    """Where a provider's deployments come in kinds, a deployment is of one of them, spelt as the provider does."""
    for name, deployment in declared.deployments.items():
        boundary = declared.boundaries.get(deployment.boundary)
        if deployment.sku is None or boundary is None:
            continue
        vendor = load_vendors().get(boundary.provider)
        if vendor is not None and vendor.skus and deployment.sku not in vendor.skus:
            message = f'sku "{deployment.sku}" is not one of {vendor.name}{suggestion(deployment.sku, vendor.skus)}'
            faults.add(declared.place("deployments", name, "sku"), message)
