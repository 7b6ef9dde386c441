from __future__ import annotations

from trunkline.config.faults import Faults, suggestion
from trunkline.config.reader import Reference
from trunkline.estate.checks.budgets import check_budgets
from trunkline.estate.checks.certificates import check_certificates
from trunkline.estate.checks.claims import check_claims
from trunkline.estate.checks.currencies import check_currencies
from trunkline.estate.checks.ownership import check_ownership
from trunkline.estate.checks.prices import check_prices
from trunkline.estate.checks.reach import check_reach
from trunkline.estate.checks.rules import check_rules
from trunkline.estate.checks.services import check_pools, check_use_cases
from trunkline.estate.checks.skus import check_skus
from trunkline.estate.checks.units import check_units
from trunkline.estate.checks.webhooks import check_webhooks
from trunkline.estate.checks.zones import check_zones
from trunkline.estate.declaration import NOUNS
from trunkline.estate.declared import Declared
from trunkline.estate.merge import Owned


def check(declared: Declared, owned: tuple[Owned, ...], references: list[Reference], faults: Faults) -> None:
    """Hold the estate as a whole against its rules, adding every fault."""
    check_references(declared, references, faults)
    check_units(declared, faults)
    check_zones(declared, faults)
    check_certificates(declared, faults)
    check_claims(declared, faults)
    check_reach(declared, faults)
    check_skus(declared, faults)
    check_rules(declared, faults)
    check_currencies(declared, faults)
    check_prices(declared, faults)
    check_pools(declared, faults)
    check_use_cases(declared, faults)
    check_budgets(declared, faults)
    check_webhooks(declared, faults)
    check_ownership(declared, owned, faults)


def check_references(declared: Declared, references: list[Reference], faults: Faults) -> None:
    """Every name that is used must be declared."""
    known = {section: frozenset(declared.names(section)) for section in {reference.section for reference in references}}
    for section, name, place in references:
        if name not in known[section] and section not in declared.unread:
            names = declared.names(section)
            hint = suggestion(name, names) if names else f"; there are no {section.replace('_', ' ')} in the estate"
            faults.add(place, f'{NOUNS[section]} "{name}" is not declared{hint}')
