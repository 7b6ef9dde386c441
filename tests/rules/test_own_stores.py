"""What the exchange keeps itself is a catalogue entry: nothing is written that policy knows nothing of."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING

from trunkline.catalog.stores import STORES
from trunkline.store.schema import metadata

if TYPE_CHECKING:
    from tests.rules.conftest import Source


def test_every_table_belongs_to_exactly_one_of_the_exchanges_own_stores() -> None:
    claimed = Counter(table for store in STORES.values() for table in store.tables)
    assert claimed == dict.fromkeys(metadata.tables, 1), "name the table under `tables` of an entry in stores.yaml"


def test_content_is_kept_only_under_the_name_of_a_store_that_may_have_some(product: list[Source]) -> None:
    asked = [
        (source.path, argument.value)
        for source in product
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "may_keep"
        for argument in node.args
        if isinstance(argument, ast.Constant)
    ]
    assert asked
    assert [one for one in asked if one[1] not in STORES or not STORES[str(one[1])].content] == []
