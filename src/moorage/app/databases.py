"""Where the services keep their tables: each in a database of its own."""

from collections.abc import Mapping
from pathlib import Path

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schemas import SCHEMAS
from moorage.adapters.database.sqlite import open_sqlite

Databases = Mapping[str, Database]  # by the service's name


def in_memory() -> Databases:
    return {schema.name: open_sqlite(None, schema) for schema in SCHEMAS}


def in_files(directory: Path, *, is_durable: bool) -> Databases:
    """SQLite files, made or brought up to date. Raises Invalid, Full, Unavailable."""
    return {
        schema.name: open_sqlite(directory / f"{schema.name}.sqlite", schema, is_durable=is_durable)
        for schema in SCHEMAS
    }


async def close(databases: Databases) -> None:
    for database in databases.values():
        await database.close()
