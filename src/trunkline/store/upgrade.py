"""Brings the tables of an earlier version up to date. Apart from `open`, because importing Alembic takes its time."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection, to: str = "head") -> None:
    """Run the migrations that are missing, within the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", "trunkline.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
