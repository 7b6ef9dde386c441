"""Messages to webhooks: kept once, taken by one, due again when they were not brought."""

from __future__ import annotations

import threading
import time

import pytest

from trunkline.metering.alerts import Alert, Due
from trunkline.store import alert_table
from trunkline.store.open import Store

ONE, TWO = Alert("one", "money", time.time_ns(), "{}"), Alert("two", "money", time.time_ns() + 1, "{}")


def take(store: Store, *webhooks: str) -> list[Due]:
    return list(store.due_alerts(webhooks or ("money",), 8))


def test_a_message_is_kept_once_and_taken_once(store: Store) -> None:
    store.add_alerts([ONE])
    store.add_alerts([ONE, TWO])
    assert take(store, "others") == []
    assert take(store) == [Due(ONE, 1), Due(TWO, 1)]
    assert take(store) == []


def test_whoever_looks_at_once_does_not_take_the_same(store: Store) -> None:
    store.add_alerts([ONE, TWO])
    taken: list[Due] = []
    looking = [threading.Thread(target=lambda: taken.extend(take(store))) for _ in range(6)]
    for thread in looking:
        thread.start()
    for thread in looking:
        thread.join()
    assert sorted(one.alert.id for one in taken) == ["one", "two"]


def test_a_message_that_was_not_brought_is_due_again_and_one_that_was_never(store: Store) -> None:
    store.add_alerts([ONE, TWO])
    take(store)
    store.postpone_alert(ONE, 0)
    store.end_alert(TWO, "taken")
    assert take(store) == [Due(ONE, 2)]
    store.add_alerts([TWO])
    assert take(store) == []


def test_what_a_process_took_that_died_is_due_for_others_after_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_table, "TAKEN_FOR", -1)
    store.add_alerts([ONE])
    assert take(store) == [Due(ONE, 1)]
    assert take(store) == [Due(ONE, 2)]


def test_old_messages_are_taken_out(store: Store) -> None:
    store.add_alerts([Alert("old", "money", 1, "{}"), ONE])
    store.sweep_alerts()
    assert take(store) == [Due(ONE, 1)]
