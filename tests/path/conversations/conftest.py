"""One exchange for each module, which keeps conversations over deployments of every dialect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.path.conversations.kept import declared
from tests.path.exchange import Exchange, exchange
from tests.upstreams.scripted import Upstream


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, spare_of_module: Upstream
) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("conversations"), declared(vendor_of_module, spare_of_module)) as started:
        yield started


@pytest.fixture(autouse=True)
def quiet(vendor: Upstream, spare: Upstream) -> None:
    """Both upstreams as good as new."""


@pytest.fixture(scope="module")
def foreign(running: Exchange) -> str:
    """A key of another unit."""
    return running.key("marketing")
