"""Where the services keep their tables: each a SQLite file of its own, or a schema of one PostgreSQL."""

from collections.abc import Mapping
from pathlib import Path

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schemas import SCHEMAS
from moorage.adapters.database.sqlite import open_sqlite
from moorage.domain.errors import MoorageError

Databases = Mapping[str, Database]  # by the service's name


def in_memory() -> Databases:
    return {schema.name: open_sqlite(None, schema) for schema in SCHEMAS}


def in_files(directory: Path, *, is_durable: bool) -> Databases:
    """SQLite files, made or brought up to date. Raises Invalid, Full, Unavailable."""
    return {
        schema.name: open_sqlite(directory / f"{schema.name}.sqlite", schema, is_durable=is_durable)
        for schema in SCHEMAS
    }


async def in_postgresql(url: str) -> Databases:
    """In the database at `url`, whose tables are made if it has none.

    Raises Invalid for those of another version, Unavailable.
    """
    from moorage.adapters.database.postgresql import open_postgresql

    opened: dict[str, Database] = {}
    try:
        for schema in SCHEMAS:
            opened[schema.name] = await open_postgresql(url, schema, makes_tables=True)
    except MoorageError:
        await close(opened)
        raise
    return opened


async def close(databases: Databases) -> None:
    for database in databases.values():
        await database.close()
