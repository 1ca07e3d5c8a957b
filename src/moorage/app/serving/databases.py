"""A service's database, as its settings say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schema import Schema
from moorage.adapters.database.schemas import SCHEMAS
from moorage.app.serving.patience import for_ever
from moorage.app.serving.secrets import password_of, with_password
from moorage.app.serving.settings import DatabaseSettings

SQLITE = "sqlite:"


@asynccontextmanager
async def opened(name: str, settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The part of the service `name`. One that does not answer yet is waited for. Raises Invalid."""
    schema = next(schema for schema in SCHEMAS if schema.name == name)
    database = await for_ever(f"the database of {name}", partial(_open, schema, settings))
    try:
        yield database
    finally:
        await database.close()


async def _open(schema: Schema, settings: DatabaseSettings) -> Database:
    if settings.url.startswith(SQLITE):
        from moorage.adapters.database.sqlite import open_sqlite

        directory = sqlite_directory(settings.url)
        await asyncio.to_thread(partial(directory.mkdir, mode=0o700, parents=True, exist_ok=True))
        return open_sqlite(directory / f"{schema.name}.sqlite", schema, is_durable=settings.is_durable)
    from moorage.adapters.database.postgresql import open_postgresql

    return await open_postgresql(with_password(settings.url, password_of(settings)), schema)


def sqlite_directory(url: str) -> Path:
    return Path(url.removeprefix(SQLITE))
