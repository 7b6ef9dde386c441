"""Brings the tables of an earlier version up to date. Apart from `open`, because importing Alembic takes its time."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from trunkline.store.telling import telling


def upgrade(connection: Connection, to: str = "head") -> None:
    """Run the migrations that are missing, within the connection's transaction; where that takes long, say so."""
    config = Config()
    config.set_main_option("script_location", "trunkline.store:migrations")
    config.attributes["connection"] = connection
    with telling(connection) as work:
        config.attributes["share"] = work.reach
        command.upgrade(config, to)
