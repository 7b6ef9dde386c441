"""Several at the same time on one store, each over connections of its own, as processes are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from trunkline.store.open import Store, open_store


def at_once(place: str, *works: Callable[[Store], object]) -> None:
    """Do several works at the same time, each over a store of its own, as processes do."""
    ready = threading.Barrier(len(works))

    def begin(work: Callable[[Store], object]) -> None:
        with open_store(place) as own:
            ready.wait(60)
            work(own)

    with ThreadPoolExecutor(len(works)) as pool:
        list(pool.map(begin, works))
