"""Alembic, driven from here: one chain of migrations for each service, in migrations/NAME."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from moorage.adapters.database.schema import Schema

_HERE = Path(__file__).parent / "migrations"


def revisions(schema: Schema) -> list[str]:
    """Those of the chain, the oldest first."""
    chain = ScriptDirectory.from_config(_config(schema)).walk_revisions()
    return [script.revision for script in chain][::-1]


def upgrade(connection: Connection, schema: Schema, to: str = "head") -> None:
    """Bring the tables up to `to`, in the transaction of the connection. Repeatable."""
    command.upgrade(_config(schema, connection), to)


def stamp(connection: Connection, schema: Schema, revision: str) -> None:
    """Say that the tables stand at `revision` already."""
    command.stamp(_config(schema, connection), revision)


def _config(schema: Schema, connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection, "metadata": schema.metadata})
    for name, value in (
        ("script_location", str(_HERE)),
        ("version_locations", str(_HERE / schema.name)),
        ("path_separator", "newline"),
    ):
        config.set_main_option(name, value.replace("%", "%%"))
    return config
