from __future__ import annotations

from trunkline.config.faults import Faults, suggestion
from trunkline.estate.declared import Declared
from trunkline.estate.expressions import VARIABLES, BadExpression, read_expression


def check_rules(declared: Declared, faults: Faults) -> None:
    """Every rule is an expression that is true or false, over what there is."""
    for name, rule in declared.rules.items():
        try:
            read_expression(rule.when)
        except BadExpression as bad:
            hint = suggestion(bad.name, VARIABLES) if bad.name is not None else ""
            faults.add(declared.place("rules", name, "when"), f"the rule cannot be used: {bad}{hint}")
