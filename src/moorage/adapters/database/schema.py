"""The tables of one service, and the migration that they stand at."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table, inspect, select

from moorage.domain.errors import Invalid

NUMBER = BigInteger().with_variant(Integer, "sqlite")  # keys of rows that come for ever: SQLite counts INTEGER only
FIRST = "0001"  # the tables as they were released before there were migrations

_VERSIONS = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


@dataclass(frozen=True)
class Schema:
    """`name` is the service's: its schema on PostgreSQL, its file with SQLite.

    `head` is the newest of its migrations (migrations/NAME), None for tables that have none: they are made, and never
    changed. `first_mark` is the user_version of SQLite files made before there were migrations.
    """

    name: str
    metadata: MetaData
    head: str | None = None
    first_mark: int | None = None


def revision_of(connection: Connection) -> str | None:
    """The migration that the tables stand at; None where none has been noted."""
    if not inspect(connection).has_table(_VERSIONS.name):
        return None
    return connection.scalar(select(_VERSIONS.c.version_num))


def note_revision(connection: Connection, revision: str) -> None:
    """As Alembic itself does it, which takes longer to import than to do this. Repeatable."""
    _VERSIONS.create(connection, checkfirst=True)
    connection.execute(_VERSIONS.delete())
    connection.execute(_VERSIONS.insert().values(version_num=revision))


def require_known(found: str, schema: Schema, known: Sequence[str], place: str, cure: str) -> None:
    """Raises Invalid for tables made by a newer version than this one."""
    if found not in known:
        raise Invalid(
            f"{place} was made by a newer version of Moorage, and cannot be read by this one (its tables stand at "
            f"{found}, this one knows them up to {schema.head}): {cure}"
        )
