from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, select, update

from trunkline.metering.alerts import Alert, Due
from trunkline.store.held_leases import now_of
from trunkline.store.schema import alerts
from trunkline.store.sessions import Sessions, upsert

TAKEN_FOR = 60_000_000_000
"""Nanoseconds for which a message is in the hands of who took it; whoever dies meanwhile leaves it to others."""

KEPT_FOR = 90 * 86_400_000_000_000
"""Nanoseconds for which messages are kept, ended or not."""


class AlertTable:
    """The messages to webhooks: implements `metering.alerts.AlertStore`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def add_alerts(self, messages: Sequence[Alert]) -> None:
        """Keep messages to be sent; those that were kept before stay as they are."""
        if not messages:
            return
        fresh = [
            {"id": one.id, "webhook": one.webhook, "at": one.at, "body": one.body, "due": 0, "tries": 0, "outcome": ""}
            for one in messages
        ]
        with self._sessions.writing() as connection:
            connection.execute(upsert(self._sessions.engine, alerts).on_conflict_do_nothing(), fresh)

    def due_alerts(self, webhooks: Collection[str], most: int) -> tuple[Due, ...]:
        """Take messages that are due, oldest first: nobody else gets them for a minute."""
        with self._sessions.reading() as connection:
            now = now_of(connection)
            waiting = (alerts.c.outcome == "", alerts.c.due <= now, alerts.c.webhook.in_(webhooks))
            rows = connection.execute(select(alerts).where(*waiting).order_by(alerts.c.at).limit(most)).all()
        if not rows:
            return ()
        taken: list[Due] = []
        with self._sessions.writing() as connection:
            for row in rows:
                mine = update(alerts).where(*_which(row), alerts.c.due == row.due, alerts.c.outcome == "")
                values = {"due": now_of(connection) + TAKEN_FOR, "tries": row.tries + 1}
                if connection.execute(mine.values(values)).rowcount == 1:
                    taken.append(Due(Alert(row.id, row.webhook, row.at, row.body), row.tries + 1))
        return tuple(taken)

    def postpone_alert(self, alert: Alert, wait: int) -> None:
        """Have a message be due again in so many nanoseconds."""
        with self._sessions.writing() as connection:
            connection.execute(update(alerts).where(*_which(alert)).values(due=now_of(connection) + wait))

    def end_alert(self, alert: Alert, outcome: str) -> None:
        """Note that a message was taken, or is given up: it is never due again."""
        with self._sessions.writing() as connection:
            connection.execute(update(alerts).where(*_which(alert)).values(outcome=outcome))

    def sweep_alerts(self) -> None:
        """Take out messages that are old."""
        with self._sessions.writing() as connection:
            connection.execute(delete(alerts).where(alerts.c.at < now_of(connection) - KEPT_FOR))


def _which(one: Any) -> tuple[Any, ...]:
    return (alerts.c.id == one.id, alerts.c.webhook == one.webhook)
