"""Where stores are tried: on a SQLite in memory and in a file."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from moorage.adapters.database.engine import Database
from moorage.adapters.database.schema import Schema
from moorage.adapters.database.sqlite import open_sqlite

Opened = Callable[[Schema], AbstractAsyncContextManager[Database]]


def in_sqlite(directory: Path | None) -> Opened:
    @asynccontextmanager
    async def opened(schema: Schema) -> AsyncIterator[Database]:
        database = open_sqlite(None if directory is None else directory / f"{schema.name}.sqlite", schema)
        yield database
        await database.close()

    return opened


@pytest.fixture(params=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the database of a schema, one for each test."""
    return in_sqlite(tmp_path if request.param == "file" else None)


@pytest.fixture(params=["file"])
def kept(tmp_path: Path) -> Opened:
    """The same, in a place that holds the next time what it held before."""
    return in_sqlite(tmp_path)
