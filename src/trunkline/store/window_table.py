from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select, update

from trunkline.metering.shares import Share, Want, share_out
from trunkline.store.held_leases import now_of
from trunkline.store.schema import windows
from trunkline.store.sessions import Sessions, upsert

KEPT_FOR = 600_000_000_000
"""Nanoseconds after its end for which a window is kept: whoever still asks for it must not begin it anew."""


class WindowTable:
    """What exchanges have been given of limits: implements `metering.shares.ShareStore`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def share_out(self, wants: Sequence[Want]) -> tuple[Share, ...]:
        """Give exchanges their parts of windows, or take back what they do not need; one answer each, in order."""
        answers: dict[int, Share] = {}
        with self._sessions.writing() as connection:
            now = now_of(connection)
            # In one order, whoever asks: nobody waits for somebody who waits for him.
            for place in sorted(range(len(wants)), key=lambda place: (wants[place].name, wants[place].starts)):
                want = wants[place]
                row = {"name": want.name, "starts": want.starts, "ends": want.ends, "granted": 0}
                made = upsert(self._sessions.engine, windows).values(row).on_conflict_do_nothing()
                if connection.execute(made).rowcount:
                    old = (windows.c.name == want.name, windows.c.ends < now - KEPT_FOR)
                    connection.execute(delete(windows).where(*old))
                here = (windows.c.name == want.name, windows.c.starts == want.starts)
                granted = connection.execute(select(windows.c.granted).where(*here).with_for_update()).scalar_one()
                given = share_out(want, int(granted), now) if want.ends > now else 0
                if given:
                    connection.execute(update(windows).where(*here).values(granted=granted + given))
                answers[place] = Share(given, want.limit - int(granted) - given, now)
        return tuple(answers[place] for place in range(len(wants)))
