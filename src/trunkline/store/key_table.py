from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select, update

from trunkline import errors
from trunkline.ids import KeyId
from trunkline.store.schema import counters, keys
from trunkline.store.sessions import Sessions, upsert
from trunkline.tenancy.keys import Key

_encode = msgspec.json.Encoder().encode
_names = msgspec.json.Decoder(tuple[str, ...]).decode

KEYS = "keys"
"""The topic under which changes of keys are told."""


class KeyTable:
    """The keys' part of the store: implements `tenancy.keys.KeyStore`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._counted = "SELECT value FROM counters WHERE name = 'keys'"
        counted = upsert(sessions.engine, counters).values(name="keys", value=1)
        self._count = counted.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + 1})

    def add(self, key: Key) -> None:
        """Keep a new key."""
        with self._sessions.writing() as connection:
            connection.execute(keys.insert().values(_values(key)))
            self._changed(connection)

    def add_first(self, key: Key) -> bool:
        """Keep a key only if there is none at all, however many try at once; return whether it was kept."""
        with self._sessions.writing() as connection:
            connection.execute(self._count)  # Locks the count: who comes at the same time waits here.
            if connection.execute(select(keys.c.id).limit(1)).first() is not None:
                return False
            connection.execute(keys.insert().values(_values(key)))
            self._sessions.tell(connection, KEYS)
        return True

    def replace(self, key: Key) -> None:
        """Keep a changed key in place of the one with its id.

        Raises:
            errors.Unknown: there is no key with this id.
        """
        with self._sessions.writing() as connection:
            if not connection.execute(update(keys).where(keys.c.id == key.id).values(_values(key))).rowcount:
                raise errors.Unknown(f"there is no key {key.id}", code="key_not_found")
            self._changed(connection)

    def all(self) -> tuple[Key, ...]:
        """Every key ever made, oldest first."""
        rows = self._sessions.rows(select(keys).order_by(keys.c.created_at, keys.c.id))
        return tuple(_key(row) for row in rows)

    def changed(self) -> int:
        """Count the changes ever made to keys, by any process: when the number differs, read them again. Cheap."""
        return self._sessions.glance(self._counted)

    def _changed(self, connection: Connection) -> None:
        connection.execute(self._count)
        self._sessions.tell(connection, KEYS)


def _values(key: Key) -> dict[str, Any]:
    values = msgspec.structs.asdict(key)
    return values | {"use_cases": _encode(key.use_cases).decode(), "networks": _encode(key.networks).decode()}


def _key(row: Row[Any]) -> Key:
    return Key(
        id=KeyId(row.id),
        prefix=row.prefix,
        digest=bytes(row.digest),
        unit=row.unit,
        created_at=row.created_at,
        use_cases=_names(row.use_cases),
        networks=_names(row.networks),
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        successor=None if row.successor is None else KeyId(row.successor),
        label=row.label,
        person=row.person,
    )
